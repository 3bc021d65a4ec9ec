import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    """Messages that a group does not believe are put on a list."""

    dependencies = [("kafka_bridge", "0008_released")]

    operations = [
        migrations.CreateModel(
            name="RefusedMessage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("group", models.CharField(max_length=60)),
                ("topic", models.CharField(max_length=120)),
                ("partition", models.IntegerField()),
                ("offset", models.BigIntegerField()),
                ("key", models.CharField(max_length=120)),
                ("event_id", models.UUIDField()),
                ("type", models.CharField(max_length=80)),
                ("headers", models.JSONField(default=list)),
                ("value", models.BinaryField()),
                ("why", models.CharField(max_length=500)),
                ("undone", models.CharField(max_length=300)),
                ("refused_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("closed_at", models.DateTimeField(null=True)),
                ("closed_by", models.CharField(blank=True, max_length=150)),
                ("note", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "verbose_name": "refused message",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["key"], name="refused_message_key"),
                    models.Index(
                        condition=models.Q(("closed_at", None)), fields=["id"], name="refused_message_open"
                    ),
                    models.Index(
                        condition=models.Q(("closed_at__isnull", False)),
                        fields=["closed_at"],
                        name="refused_message_closed",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("group", "topic", "partition", "offset", "event_id"), name="refused_message_once"
                    )
                ],
            },
        ),
    ]
