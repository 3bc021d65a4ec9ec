from django.conf import settings
from django.db import migrations

FORWARD = [
    "DROP INDEX CONCURRENTLY IF EXISTS account_address",
    "CREATE INDEX CONCURRENTLY account_address ON auth_user (upper(email))",
]
BACK = ["DROP INDEX CONCURRENTLY IF EXISTS account_address"]


class Migration(migrations.Migration):
    """Accounts are found by their mail address, in any case. Made concurrently: nobody waits for it."""

    atomic = False
    dependencies = [
        ("shop", "0019_accounts_by_mail"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunSQL(FORWARD, BACK)]
