from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0009_plans_and_states'),
    ]

    operations = [
        migrations.AddField(
            model_name='ordermail',
            name='caused_by',
            field=models.UUIDField(blank=True, null=True),
        ),
    ]
