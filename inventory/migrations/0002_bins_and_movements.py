import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Movement",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("bin", models.CharField(max_length=40)),
                ("sku", models.CharField(max_length=20)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("opened", "Opening balance"),
                            ("received", "Received"),
                            ("corrected", "Corrected"),
                            ("set aside", "Set aside for a sale"),
                            ("held", "Held"),
                            ("sold", "Sold"),
                            ("released", "Released"),
                            ("expired", "Hold expired"),
                        ],
                        max_length=10,
                    ),
                ),
                ("received", models.IntegerField(default=0)),
                ("held", models.IntegerField(default=0)),
                ("sold", models.IntegerField(default=0)),
                ("order_id", models.UUIDField(blank=True, null=True)),
                ("by", models.CharField(max_length=80)),
                ("reason", models.CharField(max_length=200)),
            ],
            options={
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["sku", "-id"], name="movement_of_sku")],
            },
        ),
        migrations.AlterModelOptions(
            name="stock", options={"ordering": ("bin",), "verbose_name_plural": "stock"}
        ),
        # The key keeps the index that its old name gave it, and the new column wants that index's name.
        migrations.RunSQL(
            "ALTER INDEX inventory_stock_sku_6adb288c_like RENAME TO inventory_stock_bin_like",
            "ALTER INDEX inventory_stock_bin_like RENAME TO inventory_stock_sku_6adb288c_like",
        ),
        migrations.RenameField("stock", "sku", "bin"),
        migrations.AlterField("stock", "bin", models.CharField(max_length=40, primary_key=True, serialize=False)),
        migrations.AddField(
            "stock", "sku", models.CharField(db_index=True, default="", max_length=20), preserve_default=False
        ),
        migrations.AddField("stock", "version", models.PositiveBigIntegerField(default=0)),
        migrations.AddField("stock", "sale_id", models.BigIntegerField(blank=True, null=True)),
        migrations.AddField("stock", "customer_limit", models.PositiveSmallIntegerField(blank=True, null=True)),
        migrations.AddField("stock", "hold_seconds", models.PositiveIntegerField(blank=True, null=True)),
        migrations.AddField("stock", "closes_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "reservation", "flow", models.CharField(default="", max_length=20), preserve_default=False
        ),
        migrations.AddField("reservation", "expires_at", models.DateTimeField(blank=True, null=True)),
        migrations.AlterField(
            "reservation",
            "state",
            models.CharField(
                choices=[
                    ("held", "Held"),
                    ("sold", "Sold"),
                    ("released", "Released"),
                    ("expired", "Expired"),
                    ("refused", "Refused"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddIndex(
            "reservation",
            models.Index(condition=models.Q(("state", "held")), fields=["expires_at"], name="reservation_expiring"),
        ),
        migrations.AddField("hold", "bin", models.CharField(default="", max_length=40), preserve_default=False),
        migrations.AddField("hold", "given_back", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("hold", "customer", models.CharField(blank=True, default="", max_length=32), preserve_default=False),
        migrations.AddConstraint(
            "hold",
            models.CheckConstraint(
                condition=models.Q(("given_back__lte", models.F("quantity"))),
                name="hold_gives_back_no_more_than_it_has",
            ),
        ),
        migrations.AddIndex(
            "hold",
            models.Index(
                condition=models.Q(("customer", ""), _negated=True), fields=["customer", "bin"], name="hold_of_customer"
            ),
        ),
    ]
