import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("shop", "0023_shipping_tax_coupons"),
    ]

    operations = [
        migrations.AddField(
            model_name="flashsale",
            name="waiting_room",
            field=models.CharField(
                choices=[
                    ("off", "No waiting room"),
                    ("on", "Always, from the sale's start"),
                    ("auto", "When more people want a copy than there are"),
                ],
                db_default="off",
                default="off",
                max_length=4,
                verbose_name="waiting room",
            ),
        ),
        migrations.AddField(
            model_name="flashsale",
            name="waiting_pass_seconds",
            field=models.PositiveIntegerField(
                db_default=180,
                default=180,
                validators=[django.core.validators.MinValueValidator(30)],
                verbose_name="seconds to order",
            ),
        ),
        migrations.CreateModel(
            name="WaitingRoom",
            fields=[
                (
                    "sale",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="room",
                        serialize=False,
                        to="shop.flashsale",
                    ),
                ),
                ("seed", models.CharField(max_length=64)),
                ("first_place_at", models.DateTimeField(blank=True, null=True)),
                ("drawn", models.JSONField(blank=True, null=True)),
                ("paused_at", models.DateTimeField(blank=True, null=True)),
                ("paused_by", models.CharField(blank=True, db_default="", default="", max_length=150)),
                ("paused_because", models.CharField(blank=True, db_default="", default="", max_length=500)),
            ],
        ),
    ]
