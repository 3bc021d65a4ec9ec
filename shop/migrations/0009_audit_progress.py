from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("shop", "0009_plans_and_states"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditProgress",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("marks", models.JSONField(default=list)),
                ("order_cursor", models.UUIDField(blank=True, null=True)),
                ("sku_cursor", models.CharField(blank=True, max_length=20)),
                ("suspect_orders", models.JSONField(default=list)),
                ("suspect_skus", models.JSONField(default=list)),
                ("round_finished_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
    ]
