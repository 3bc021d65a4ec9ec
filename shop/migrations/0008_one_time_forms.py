import django.contrib.messages.storage.cookie
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("shop", "0007_account_names"),
    ]

    operations = [
        migrations.CreateModel(
            name="FormPress",
            fields=[
                ("token", models.UUIDField(primary_key=True, serialize=False)),
                ("owner", models.CharField(blank=True, max_length=20)),
                ("path", models.CharField(max_length=500)),
                ("contents", models.CharField(max_length=64)),
                ("location", models.TextField(blank=True)),
                (
                    "said",
                    models.JSONField(
                        decoder=django.contrib.messages.storage.cookie.MessageDecoder,
                        default=list,
                        encoder=django.contrib.messages.storage.cookie.MessageEncoder,
                    ),
                ),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True)),
            ],
            options={
                "ordering": ("-at",),
            },
        ),
    ]
