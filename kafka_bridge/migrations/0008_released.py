from django.db import migrations, models


class Migration(migrations.Migration):
    """Released heads are found among however many others."""

    dependencies = [("kafka_bridge", "0007_closed_letters")]

    operations = [
        migrations.AddIndex(
            model_name="parkedmessage",
            index=models.Index(condition=models.Q(("state", "released")), fields=["group"], name="parked_released"),
        ),
    ]
