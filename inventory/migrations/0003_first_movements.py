from django.db import migrations

APPEND_ONLY = """
CREATE FUNCTION inventory_movement_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'stock movements are never changed or deleted; add one that corrects';
END
$$;
CREATE TRIGGER inventory_movement_is_append_only BEFORE UPDATE OR DELETE ON inventory_movement
    FOR EACH STATEMENT EXECUTE FUNCTION inventory_movement_is_append_only();
"""
CHANGEABLE = """
DROP TRIGGER inventory_movement_is_append_only ON inventory_movement;
DROP FUNCTION inventory_movement_is_append_only();
"""
# What there is becomes the ordinary bin of its sku, and the first line of its ledger.
FILL = """
UPDATE inventory_stock SET sku = bin;
UPDATE inventory_hold SET bin = sku;
UPDATE inventory_reservation SET flow = 'reserve_first';
INSERT INTO inventory_movement (bin, sku, kind, received, held, sold, by, reason)
SELECT bin, sku, 'opened', received, held, sold, 'upgrade', 'what there was before movements were kept'
FROM inventory_stock;
"""


class Migration(migrations.Migration):
    """Data apart from the schema: PostgreSQL does not alter a table with changed rows in the same transaction."""

    dependencies = [("inventory", "0002_bins_and_movements")]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(APPEND_ONLY, CHANGEABLE),
    ]
