import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def note_names(apps, schema_editor):
    """Accounts in the sequence in which they were made: of those that look alike, the first one has the name."""
    from shop.accounts.names import canonical

    User, AccountName = apps.get_model("auth", "User"), apps.get_model("shop", "AccountName")
    rows = []
    for pk, username in User.objects.order_by("pk").values_list("pk", "username").iterator(chunk_size=1000):
        rows.append(AccountName(user_id=pk, canonical=canonical(username)))
        if len(rows) == 1000:
            AccountName.objects.bulk_create(rows, ignore_conflicts=True)
            rows = []
    AccountName.objects.bulk_create(rows, ignore_conflicts=True)


class Migration(migrations.Migration):

    dependencies = [
        ('shop', '0006_prunable_audit_log'),
        ('auth', '0012_alter_user_first_name_max_length'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AccountName',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('canonical', models.CharField(max_length=300, unique=True)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.RunPython(note_names, migrations.RunPython.noop),
    ]
