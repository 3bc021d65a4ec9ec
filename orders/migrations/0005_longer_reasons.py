from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0004_money")]

    operations = [
        migrations.AlterField(
            model_name="ordermail",
            name="reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=500),
        ),
    ]
