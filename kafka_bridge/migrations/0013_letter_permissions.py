from django.db import migrations


class Migration(migrations.Migration):
    """Sending a dead letter again, and editing it, are permissions of their own."""

    dependencies = [("kafka_bridge", "0012_unknown_events")]

    operations = [
        migrations.AlterModelOptions(
            name="deadletter",
            options={
                "ordering": ("-id",),
                "permissions": (
                    ("redrive_deadletter", "Can send a dead letter again"),
                    ("edit_deadletter", "Can edit the event of a dead letter"),
                ),
                "verbose_name": "dead letter",
            },
        ),
    ]
