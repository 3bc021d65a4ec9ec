from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0010_waiting_orders'),
    ]

    operations = [
        migrations.AddField(
            model_name='ordermail',
            name='caused_by',
            field=models.UUIDField(blank=True, null=True),
        ),
    ]
