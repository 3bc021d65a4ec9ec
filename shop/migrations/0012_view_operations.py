from django.db import migrations


class Migration(migrations.Migration):
    """A permission for those who may look at the operations page."""

    dependencies = [("shop", "0011_alerts")]

    operations = [
        migrations.AlterModelOptions(
            name="auditrun",
            options={
                "ordering": ("-started_at",),
                "permissions": (("view_operations", "Can view the operations page"),),
            },
        ),
    ]
