from django.db import migrations

PRUNABLE = """
DROP TRIGGER shop_auditentry_is_append_only ON shop_auditentry;
DROP FUNCTION shop_auditentry_is_append_only();
CREATE TRIGGER shop_auditentry_is_append_only BEFORE UPDATE OR DELETE ON shop_auditentry FOR EACH STATEMENT
    EXECUTE FUNCTION kafka_bridge_append_only('the audit log is never changed or deleted; add an entry', 365);
CREATE TRIGGER shop_auditentry_keeps_the_young BEFORE DELETE ON shop_auditentry FOR EACH ROW
    EXECUTE FUNCTION kafka_bridge_append_only('the audit log is kept for a year at least', 365);
"""
BEFORE = """
DROP TRIGGER shop_auditentry_keeps_the_young ON shop_auditentry;
DROP TRIGGER shop_auditentry_is_append_only ON shop_auditentry;
CREATE FUNCTION shop_auditentry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is never changed or deleted; add an entry';
END
$$;
CREATE TRIGGER shop_auditentry_is_append_only BEFORE UPDATE OR DELETE ON shop_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION shop_auditentry_is_append_only();
"""


class Migration(migrations.Migration):
    """Old entries can be pruned, and nothing else; see Note [Append-only, until it is old] in the bridge."""

    dependencies = [("shop", "0005_audit_log_indexes"), ("kafka_bridge", "0006_append_only")]

    operations = [migrations.RunSQL(PRUNABLE, BEFORE)]
