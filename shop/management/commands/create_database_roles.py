"""`manage.py create_database_roles`."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from shop.access import database_grants, database_roles


class Command(BaseCommand):
    """Gives each process a role in PostgreSQL with the rights that it needs, and no other."""

    help = (
        "Make a role in PostgreSQL for each process that has a password in ROLE_PASSWORDS, and give every role exactly "
        "the rights on tables and rows that its work needs. Run it as the owner of the tables, after each migration. "
        "Safe to run again. Exit code 1: PostgreSQL refused, and nothing was changed."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--list", action="store_true", help="print each role's rights, and do nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self._list()
            return
        try:
            database_grants.apply(settings.ROLE_PASSWORDS)
        except Error as error:
            raise CommandError(
                f"PostgreSQL did not do it, and nothing was changed: {str(error).strip()}. Run this as the owner of "
                "the tables, who may create roles."
            ) from error
        made = [role.name for role in database_roles.all_roles() if role.name in settings.ROLE_PASSWORDS]
        self.stdout.write(f"{len(made)} database roles: {', '.join(made) or 'ROLE_PASSWORDS names none'}.")

    def _list(self) -> None:
        for role in database_roles.all_roles():
            self.stdout.write(database_grants.role_name(role.name))
            for model, rights in sorted(role.rights().items(), key=lambda item: item[0]._meta.db_table):
                self.stdout.write(f"    {model._meta.db_table}: {rights}")
