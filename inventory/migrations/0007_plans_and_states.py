import django.db.models.deletion
from django.db import migrations, models


FORWARD = [
    "DROP INDEX CONCURRENTLY IF EXISTS inventory_hold_reservation_id_33e13c0e",
    "ALTER TABLE inventory_reservation DROP CONSTRAINT IF EXISTS reservation_state_known",
    "ALTER TABLE inventory_reservation ADD CONSTRAINT reservation_state_known CHECK (state IN ('held', 'sold', 'released', 'expired', 'refused')) NOT VALID",
    "ALTER TABLE inventory_reservation VALIDATE CONSTRAINT reservation_state_known",
]
BACK = [
    "ALTER TABLE inventory_reservation DROP CONSTRAINT IF EXISTS reservation_state_known",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS inventory_hold_reservation_id_33e13c0e ON inventory_hold (reservation_id)",
]


class Migration(migrations.Migration):
    """An index that begins as another does is gone, and states of reservations are checked.

    Each statement is a transaction of its own and can be made again, and none keeps a running shop waiting: indexes go and
    come concurrently, constraints hold for new rows first and are checked on the old ones afterwards.
    """

    atomic = False
    dependencies = [
        ("inventory", "0006_unpaid_holds"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACK)],
            state_operations=[
                migrations.AlterField(
                    model_name="hold",
                    name="reservation",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="holds",
                        to="inventory.reservation",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="reservation",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("state__in", ["held", "sold", "released", "expired", "refused"])),
                        name="reservation_state_known",
                    ),
                ),
            ],
        ),
    ]
