from django.db import migrations

# Its arguments: what to say to whoever tries, and the age in days from which a row may be pruned.
FUNCTION = """
CREATE FUNCTION kafka_bridge_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('bookrush.pruning', true) = 'on' THEN
        IF TG_LEVEL = 'STATEMENT' THEN
            RETURN NULL;
        ELSIF OLD.at < now() - make_interval(days => TG_ARGV[1]::int) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '%', TG_ARGV[0];
END
$$;
"""
NO_FUNCTION = "DROP FUNCTION kafka_bridge_append_only();"

ACTS = """
DROP TRIGGER kafka_bridge_deadletteract_is_append_only ON kafka_bridge_deadletteract;
DROP FUNCTION kafka_bridge_deadletteract_is_append_only();
CREATE TRIGGER kafka_bridge_deadletteract_is_append_only BEFORE UPDATE OR DELETE ON kafka_bridge_deadletteract
    FOR EACH STATEMENT
    EXECUTE FUNCTION kafka_bridge_append_only('what was done to dead letters is never changed or deleted', 30);
CREATE TRIGGER kafka_bridge_deadletteract_keeps_the_young BEFORE DELETE ON kafka_bridge_deadletteract
    FOR EACH ROW
    EXECUTE FUNCTION kafka_bridge_append_only('what was done to dead letters is kept for a month at least', 30);
"""
ACTS_BEFORE = """
DROP TRIGGER kafka_bridge_deadletteract_keeps_the_young ON kafka_bridge_deadletteract;
DROP TRIGGER kafka_bridge_deadletteract_is_append_only ON kafka_bridge_deadletteract;
CREATE FUNCTION kafka_bridge_deadletteract_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was done to dead letters is never changed or deleted';
END
$$;
CREATE TRIGGER kafka_bridge_deadletteract_is_append_only BEFORE UPDATE OR DELETE ON kafka_bridge_deadletteract
    FOR EACH STATEMENT EXECUTE FUNCTION kafka_bridge_deadletteract_is_append_only();
"""


class Migration(migrations.Migration):
    """Old lines can be pruned, and nothing else; see Note [Append-only, until it is old] in `housekeeping.py`."""

    dependencies = [("kafka_bridge", "0005_send_at")]

    operations = [
        migrations.RunSQL(FUNCTION, NO_FUNCTION),
        migrations.RunSQL(ACTS, ACTS_BEFORE),
    ]
