from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """The outbox row of an event is found by its key and id; a shop at work goes on stating events meanwhile."""

    atomic = False
    dependencies = [("kafka_bridge", "0009_refused_messages")]

    operations = [
        AddIndexConcurrently(
            model_name="outboxrow", index=models.Index(fields=["key", "event_id"], name="outbox_key_event")
        ),
        # Two indexes less: of the key alone, and of its patterns.
        migrations.AlterField(model_name="outboxrow", name="key", field=models.CharField(max_length=120)),
    ]
