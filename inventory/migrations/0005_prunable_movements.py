from django.db import migrations

PRUNABLE = """
DROP TRIGGER inventory_movement_is_append_only ON inventory_movement;
DROP FUNCTION inventory_movement_is_append_only();
CREATE TRIGGER inventory_movement_is_append_only BEFORE UPDATE OR DELETE ON inventory_movement FOR EACH STATEMENT
    EXECUTE FUNCTION kafka_bridge_append_only('stock movements are never changed or deleted; add one that corrects', 90);
CREATE TRIGGER inventory_movement_keeps_the_young BEFORE DELETE ON inventory_movement FOR EACH ROW
    EXECUTE FUNCTION kafka_bridge_append_only('stock movements are kept one by one for 90 days at least', 90);
"""
BEFORE = """
DROP TRIGGER inventory_movement_keeps_the_young ON inventory_movement;
DROP TRIGGER inventory_movement_is_append_only ON inventory_movement;
CREATE FUNCTION inventory_movement_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'stock movements are never changed or deleted; add one that corrects';
END
$$;
CREATE TRIGGER inventory_movement_is_append_only BEFORE UPDATE OR DELETE ON inventory_movement
    FOR EACH STATEMENT EXECUTE FUNCTION inventory_movement_is_append_only();
"""


class Migration(migrations.Migration):
    """Old movements can be folded, and nothing else; see Note [Append-only, until it is old] in the bridge."""

    dependencies = [("inventory", "0004_carried_forward"), ("kafka_bridge", "0006_append_only")]

    operations = [migrations.RunSQL(PRUNABLE, BEFORE)]
