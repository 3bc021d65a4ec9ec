from django.db import migrations

APPEND_ONLY = """
CREATE FUNCTION payments_chargeentry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the history of a charge is never changed or deleted; add a line';
END
$$;
CREATE TRIGGER payments_chargeentry_is_append_only BEFORE UPDATE OR DELETE ON payments_chargeentry
    FOR EACH STATEMENT EXECUTE FUNCTION payments_chargeentry_is_append_only();
"""
CHANGEABLE = """
DROP TRIGGER payments_chargeentry_is_append_only ON payments_chargeentry;
DROP FUNCTION payments_chargeentry_is_append_only();
"""
# What went back before the charge kept the sum itself.
FILL = """
UPDATE payments_charge c SET refunded_minor = r.amount
FROM (SELECT charge_id, sum(amount_minor) AS amount FROM payments_refund GROUP BY charge_id) AS r
WHERE r.charge_id = c.id;
"""


class Migration(migrations.Migration):
    """Data apart from the schema: PostgreSQL does not alter a table with changed rows in the same transaction."""

    dependencies = [("payments", "0003_money")]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(APPEND_ONLY, CHANGEABLE),
    ]
