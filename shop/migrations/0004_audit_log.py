from django.db import migrations

APPEND_ONLY = """
CREATE FUNCTION shop_auditentry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is never changed or deleted; add an entry';
END
$$;
CREATE TRIGGER shop_auditentry_is_append_only BEFORE UPDATE OR DELETE ON shop_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION shop_auditentry_is_append_only();
"""
CHANGEABLE = """
DROP TRIGGER shop_auditentry_is_append_only ON shop_auditentry;
DROP FUNCTION shop_auditentry_is_append_only();
"""


class Migration(migrations.Migration):
    """Whoever can change the log of what was done can deny having done it."""

    dependencies = [("shop", "0003_money")]

    operations = [migrations.RunSQL(APPEND_ONLY, CHANGEABLE)]
