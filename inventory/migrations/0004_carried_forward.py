from django.db import migrations, models


class Migration(migrations.Migration):
    """A line of the ledger may stand for many old ones."""

    dependencies = [("inventory", "0003_first_movements")]

    operations = [
        migrations.AddField(
            model_name="movement", name="carried", field=models.PositiveIntegerField(db_default=0, default=0)
        ),
        migrations.AddIndex(
            model_name="movement",
            index=models.Index(condition=models.Q(("carried", 0)), fields=["at"], name="movement_to_carry"),
        ),
        migrations.AddConstraint(
            model_name="movement",
            constraint=models.UniqueConstraint(
                condition=models.Q(("carried__gt", 0)), fields=("bin", "kind"), name="movement_carried_once"
            ),
        ),
    ]
