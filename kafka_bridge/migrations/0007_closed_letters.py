from django.db import migrations, models


class Migration(migrations.Migration):
    """Letters that are over are found by when they were closed."""

    dependencies = [("kafka_bridge", "0006_append_only")]

    operations = [
        migrations.AddIndex(
            model_name="deadletter",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", False)), fields=["closed_at"], name="dead_letter_closed"
            ),
        ),
    ]
