"""The shop's own pages, with the texts that the shop comes with."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.functions import Now

from shop.pages import page_texts
from shop.pages.tables import Language, Slug


def seed(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Each page in each language."""
    found = [page_texts.as_delivered(slug, language) for slug in Slug.values for language in Language.values]
    rows = apps.get_model("shop", "ShopPage").objects
    rows.bulk_create(
        [rows.model(slug=each.slug, language=each.language, title=each.title, text=each.text) for each in found],
        ignore_conflicts=True,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("shop", "0020_accounts_by_address"),
    ]

    operations = [
        migrations.CreateModel(
            name="ShopPage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.CharField(choices=[("delivery", "Delivery"), ("returns", "Returns and withdrawal"), ("terms", "Terms"), ("privacy", "Privacy"), ("imprint", "Imprint"), ("contact", "Contact")], max_length=20, verbose_name="page")),
                ("language", models.CharField(choices=[("en", "English"), ("vi", "Tiếng Việt")], max_length=2)),
                ("title", models.CharField(max_length=100)),
                ("text", models.TextField(max_length=30_000)),
                ("changed_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "verbose_name": "page of the shop",
                "verbose_name_plural": "pages of the shop",
                "ordering": ("slug", "language"),
                "constraints": [models.UniqueConstraint(fields=("slug", "language"), name="page_once_per_language")],
            },
        ),
        migrations.RunPython(seed, migrations.RunPython.noop),
    ]
