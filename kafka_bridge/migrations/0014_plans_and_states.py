from django.db import migrations, models


FORWARD = [
    "DROP INDEX CONCURRENTLY IF EXISTS outbox_event",
    "CREATE INDEX CONCURRENTLY outbox_event ON kafka_bridge_outboxrow (event_id)",
]
BACK = [
    "DROP INDEX CONCURRENTLY IF EXISTS outbox_event",
]


class Migration(migrations.Migration):
    """Events in the outbox are found by their ids.

    Each statement is a transaction of its own and can be made again, and none keeps a running shop waiting: indexes go and
    come concurrently, constraints hold for new rows first and are checked on the old ones afterwards.
    """

    atomic = False
    dependencies = [
        ("kafka_bridge", "0013_letter_permissions"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACK)],
            state_operations=[
                migrations.AddIndex(
                    model_name="outboxrow",
                    index=models.Index(fields=["event_id"], name="outbox_event"),
                ),
            ],
        ),
    ]
