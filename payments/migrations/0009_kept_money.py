from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0008_plans_and_states"),
    ]

    operations = [
        migrations.AlterField(
            model_name="review",
            name="kind",
            field=models.CharField(
                choices=[
                    ("unknown", "Outcome unknown for too long"),
                    ("refund_refused", "Refund refused by the gateway"),
                    ("void_refused", "Void refused by the gateway"),
                    ("mismatch", "Our books and the gateway's differ"),
                    ("stranger", "Money at the gateway that no order knows"),
                    ("kept", "More money kept than the order costs"),
                    ("event_refused", "A payment event that does not match our charge"),
                ],
                max_length=20,
            ),
        ),
    ]
