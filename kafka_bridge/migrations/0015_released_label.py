from django.db import migrations, models


class Migration(migrations.Migration):
    """A state is called what it is; no row changes."""

    dependencies = [("kafka_bridge", "0014_plans_and_states")]

    operations = [
        migrations.AlterField(
            model_name="parkedmessage",
            name="state",
            field=models.CharField(
                choices=[
                    ("retrying", "Waits for its next attempt"),
                    ("dead", "Among the dead letters"),
                    ("released", "Given up: what waits behind it goes on"),
                    ("waiting", "Waits behind another one"),
                ],
                max_length=10,
            ),
        ),
    ]
