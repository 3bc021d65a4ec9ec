from django.db import migrations

APPEND_ONLY = """
CREATE FUNCTION kafka_bridge_deadletteract_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was done to dead letters is never changed or deleted';
END
$$;
CREATE TRIGGER kafka_bridge_deadletteract_is_append_only BEFORE UPDATE OR DELETE ON kafka_bridge_deadletteract
    FOR EACH STATEMENT EXECUTE FUNCTION kafka_bridge_deadletteract_is_append_only();
"""
CHANGEABLE = """
DROP TRIGGER kafka_bridge_deadletteract_is_append_only ON kafka_bridge_deadletteract;
DROP FUNCTION kafka_bridge_deadletteract_is_append_only();
"""


class Migration(migrations.Migration):
    """Whoever can change what was done can deny having done it."""

    dependencies = [("kafka_bridge", "0003_parked_and_dead")]

    operations = [migrations.RunSQL(APPEND_ONLY, CHANGEABLE)]
