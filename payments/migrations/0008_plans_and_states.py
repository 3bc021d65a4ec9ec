import django.db.models.deletion
from django.db import migrations, models


FORWARD = [
    "DROP INDEX CONCURRENTLY IF EXISTS payments_refund_charge_id_2ba1056b",
    "ALTER TABLE payments_charge DROP CONSTRAINT IF EXISTS charge_state_known",
    "ALTER TABLE payments_charge ADD CONSTRAINT charge_state_known CHECK (state IN ('requested', 'action_required', 'authorized', 'capturing', 'succeeded', 'failed', 'voiding', 'cancelled')) NOT VALID",
    "ALTER TABLE payments_charge VALIDATE CONSTRAINT charge_state_known",
    "ALTER TABLE payments_refund DROP CONSTRAINT IF EXISTS refund_state_known",
    "ALTER TABLE payments_refund ADD CONSTRAINT refund_state_known CHECK (state IN ('requested', 'succeeded')) NOT VALID",
    "ALTER TABLE payments_refund VALIDATE CONSTRAINT refund_state_known",
]
BACK = [
    "ALTER TABLE payments_refund DROP CONSTRAINT IF EXISTS refund_state_known",
    "ALTER TABLE payments_charge DROP CONSTRAINT IF EXISTS charge_state_known",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS payments_refund_charge_id_2ba1056b ON payments_refund (charge_id)",
]


class Migration(migrations.Migration):
    """An index that begins as another does is gone, and states of charges and refunds are checked.

    Each statement is a transaction of its own and can be made again, and none keeps a running shop waiting: indexes go and
    come concurrently, constraints hold for new rows first and are checked on the old ones afterwards.
    """

    atomic = False
    dependencies = [
        ("payments", "0007_contact"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACK)],
            state_operations=[
                migrations.AlterField(
                    model_name="refund",
                    name="charge",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="refunds",
                        to="payments.charge",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="charge",
                    constraint=models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                [
                                    "requested",
                                    "action_required",
                                    "authorized",
                                    "capturing",
                                    "succeeded",
                                    "failed",
                                    "voiding",
                                    "cancelled",
                                ],
                            )
                        ),
                        name="charge_state_known",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="refund",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("state__in", ["requested", "succeeded"])), name="refund_state_known"
                    ),
                ),
            ],
        ),
    ]
