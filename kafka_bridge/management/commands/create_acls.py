"""`manage.py create_acls`."""

import argparse
import json
from dataclasses import asdict
from typing import Any

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError

from kafka_bridge.access import acls
from kafka_bridge.runtime import access_errors, clients, conf

TOO_MUCH = 3


class Command(BaseCommand):
    """Gives each role the rights on the brokers that it needs, and no other."""

    help = (
        "Give each role a principal with exactly the rights on the brokers that the registry implies: the topics it "
        "states and hears, its groups, its retry and dead letter topics. Add what is missing; with --prune also take "
        "away what these principals have too much. Roles that have a password in the settings can sign in with it by "
        "SCRAM-SHA-512 afterwards. Safe to run again. Run it as a principal that may alter the cluster. "
        "Exit code 1: the cluster refused or did not answer. Exit code 3: there are rights too many, and no --prune."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument("--prune", action="store_true", help="take away what is too much")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            changes = acls.plan()
            if not options["dry_run"]:
                acls.set_passwords(clients.conf().role_passwords)
                acls.create(changes.missing)
                acls.delete(changes.excess if options["prune"] else ())
        except KafkaException as error:
            raise CommandError(_explain(error)) from error
        self._print(changes, **{name: options[name] for name in ("dry_run", "prune", "json")})
        if changes.excess and not options["prune"]:
            raise CommandError(
                f"{len(changes.excess)} rights are too many; --prune takes them away.", returncode=TOO_MUCH
            )

    def _print(self, changes: acls.AclChanges, *, dry_run: bool, prune: bool, json: bool) -> None:
        if json:
            self.stdout.write(_as_json(changes, dry_run=dry_run, prune=prune))
            return
        for acl in changes.missing:
            self.stdout.write(f"+ {acl}")
        for acl in changes.excess:
            self.stdout.write(f"- {acl}")
        done = "would be " * dry_run
        removed = f"{done}removed" if prune else "too many"
        self.stdout.write(
            f"{changes.right} right, {len(changes.missing)} {done}added, {len(changes.excess)} {removed}"
        )  # fmt: skip


def _as_json(changes: acls.AclChanges, *, dry_run: bool, prune: bool) -> str:
    return json.dumps(
        {
            "dry_run": dry_run,
            "prune": prune,
            "right": changes.right,
            "missing": [asdict(acl) for acl in changes.missing],
            "excess": [asdict(acl) for acl in changes.excess],
        }
    )


def _explain(error: KafkaException) -> str:
    kafka_error = error.args[0]
    if kafka_error.name() == "SECURITY_DISABLED":
        return (
            f"The brokers at {clients.conf().bootstrap_servers} have no authorizer, so everybody may do everything: "
            "set authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer on each of them."
        )
    if access_errors.is_access_refused(kafka_error):
        return access_errors.advice(kafka_error)
    return (
        f"Kafka at {clients.conf().bootstrap_servers} did not do it: {error}. Is it running, and is "
        f"{conf.name_of('bootstrap_servers')} right?"
    )
