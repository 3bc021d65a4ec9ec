from django.db import migrations, models

# With the rights of the tables' owner: processes that change stock already may not write the new table yet.
TRIGGERS = """
CREATE FUNCTION inventory_pool_turned() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO inventory_poolturn (bin) VALUES (NEW.bin);
    RETURN NULL;
END
$$;
CREATE TRIGGER inventory_pool_began AFTER INSERT ON inventory_stock
    FOR EACH ROW WHEN (NEW.received > NEW.held + NEW.sold) EXECUTE FUNCTION inventory_pool_turned();
CREATE TRIGGER inventory_pool_turned AFTER UPDATE ON inventory_stock
    FOR EACH ROW WHEN ((OLD.received > OLD.held + OLD.sold) <> (NEW.received > NEW.held + NEW.sold))
    EXECUTE FUNCTION inventory_pool_turned();
"""
NO_TRIGGERS = """
DROP TRIGGER inventory_pool_turned ON inventory_stock;
DROP TRIGGER inventory_pool_began ON inventory_stock;
DROP FUNCTION inventory_pool_turned();
"""


class Migration(migrations.Migration):
    """Who follows which pools have units is told of each turn; see Note [Turns] in `inventory/queries.py`."""

    dependencies = [("inventory", "0007_plans_and_states")]

    operations = [
        migrations.CreateModel(
            name="PoolTurn",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("bin", models.CharField(max_length=40)),
            ],
        ),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
    ]
