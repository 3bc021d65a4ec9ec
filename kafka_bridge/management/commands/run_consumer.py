"""`manage.py run_consumer NAME…`."""

import argparse
import itertools
import json
import threading
from dataclasses import asdict
from functools import partial
from typing import IO, Any, cast

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from kafka_bridge.consuming import consumer_groups, consumer_process, registry, workers
from kafka_bridge.dead_letters import consumer, limit
from kafka_bridge.monitoring.heartbeats import reporting
from kafka_bridge.retrying import policy
from kafka_bridge.retrying.policy import RetryPolicy
from kafka_bridge.runtime import access_errors, clients, processes, supervision
from kafka_bridge.runtime.postgresql import database_bounds
from kafka_bridge.wire.events import Event

BAD_OPTIONS = 2


class Command(BaseCommand):
    """Runs members of consumer groups until SIGTERM or Ctrl-C."""

    # Checked by `migrate` and in CI; here they would only load every page before the first message.
    requires_system_checks = ()
    help = (
        "React to topics as a member of one or several consumer groups. One group and one instance run in this "
        "process; more run as child processes, restarted when they fail and stopped together. More instances than "
        "partitions stand by. Beside each member runs a consumer of the group's retry topics. Exit code 1: a consumer "
        "failed for good, or had to be killed. Exit code 2: options that make no sense. Exit code 4: a group stopped "
        "by itself, because too many messages in a row went to the dead letters (dead_letters_in_row); it "
        "is not started again until a person does it. Exit code 5: the brokers refuse the sign-in or a right."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="groups, such as `stock`; see --list")
        parser.add_argument("--all", action="store_true", help="every group")
        parser.add_argument(
            "--list", action="store_true", help="print the groups, what they hear and how they try again, then stop"
        )
        parser.add_argument("--json", action="store_true", help="with --list: one JSON object on standard output")
        parser.add_argument("--instances", type=int, default=1, metavar="N", help="members of each group (default: 1)")
        parser.add_argument(
            "--until-eof",
            action="store_true",
            help="stop, too, when standard input ends: for a parent process that may be killed",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self._list(as_json=options["json"])
            return
        groups = self._groups(options["names"], every=options["all"])
        instances = options["instances"]
        if not 1 <= instances <= 64:
            raise CommandError("--instances takes a number from 1 to 64.", returncode=BAD_OPTIONS)
        if len(groups) == instances == 1:
            stop = _stop(until_eof=options["until_eof"])
            with reporting.reporting(groups[0].name):
                self._run(groups[0], stop)
        else:
            self._supervise(groups, instances, _stop(until_eof=options["until_eof"]))

    def _groups(self, names: list[str], *, every: bool) -> list[consumer_groups.Subscriber]:
        if every:
            return consumer_groups.all_groups()
        if not names:
            raise CommandError("Name one or more groups, or --all; --list shows them.", returncode=BAD_OPTIONS)
        try:
            return [consumer_groups.find(name) for name in dict.fromkeys(names)]
        except LookupError as error:
            raise CommandError(str(error), returncode=BAD_OPTIONS) from error

    def _run(self, group: consumer_groups.Subscriber, stop: threading.Event) -> None:
        database_bounds.bound_statements()
        database_bounds.end_when_silent()
        if not isinstance(group, registry.Group):
            self._run_reader(stop)
            return
        beside = [workers.Worker(work, stop) for work in group.workers]
        for worker in beside:
            worker.start()
        member = consumer_process.ConsumerProcess(group, stop, after_commit=partial(_wake, beside))
        self.stderr.write(
            f"{clients.conf().group_prefix}{group.name}: hears {', '.join(topic.name for topic in group.topics)} "
            f"on {clients.conf().bootstrap_servers}"
        )
        try:
            member.run()
        except KafkaException as error:
            raise _ended(group.name, error) from error
        except limit.TooManyDeadLetters as error:
            raise CommandError(str(error), returncode=supervision.NEEDS_A_PERSON) from error
        finally:
            stop.set()
            for worker in beside:
                worker.wake()
                worker.join(timeout=5)
        self.stderr.write(
            f"{group.name}: stopped; {member.handled} handled, {member.duplicates} seen before, "
            f"{member.parked} parked, {member.dead} dead letters"
        )

    def _run_reader(self, stop: threading.Event) -> None:
        reader = consumer.DeadLetterConsumer(stop)
        self.stderr.write(f"{clients.conf().group_prefix}{consumer.NAME}: stores the dead letters of all groups")
        try:
            reader.run()
        except KafkaException as error:
            raise _ended(consumer.NAME, error) from error
        finally:
            stop.set()
        self.stderr.write(f"{consumer.NAME}: stopped; {reader.stored} stored, {reader.seen_before} seen before")

    def _supervise(self, groups: list[consumer_groups.Subscriber], instances: int, stop: threading.Event) -> None:
        commands = {
            f"{group.name}-{number}": ["run_consumer", group.name, "--until-eof"]
            for group in groups
            for number in range(1, instances + 1)
        }
        self.stderr.write(f"starting {len(commands)} consumers: {', '.join(commands)}")
        outcome = supervision.supervise(commands, stop)
        if outcome.given_up:
            raise CommandError(
                f"{', '.join(outcome.given_up)} stopped for good: look at what was logged, and start them again then.",
                returncode=supervision.NEEDS_A_PERSON,
            )
        if outcome.killed:
            raise CommandError(
                f"{outcome.killed} consumers did not stop in time and were killed; nothing is lost by that."
            )

    def _list(self, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({group.name: _facts(group) for group in consumer_groups.all_groups()}))
            return
        table = Table(title="Consumer groups")
        table.add_column("group", no_wrap=True)
        for column in ("hears", "topics", "tries"):
            table.add_column(column)
        for group in consumer_groups.all_groups():
            topics = "\n".join(topic.name for topic in group.topics)
            table.add_row(
                clients.conf().group_prefix + group.name, "\n".join(_heard(group)), topics, "\n".join(_tries(group))
            )
        Console(file=cast(IO[str], self.stdout)).print(table)


def _stop(*, until_eof: bool) -> threading.Event:
    """What ends this process, see `processes`."""
    stop = processes.stop_on_signals()
    if until_eof:
        processes.stop_at_end_of_input(stop, within_seconds=supervision.STOP_SECONDS)
    return stop


def _ended(group: str, error: KafkaException) -> CommandError:
    """The words, and the exit code, for a client that cannot go on."""
    if access_errors.was_access_refused(error):
        return CommandError(f"{group}: {access_errors.advice(error.args[0])}", returncode=access_errors.EXIT_CODE)
    return CommandError(f"{group}: the Kafka client failed for good: {error}. Start it again.")


def _wake(beside: list[workers.Worker]) -> None:
    for worker in beside:
        worker.wake()


def _heard(group: consumer_groups.Subscriber) -> list[str]:
    if not isinstance(group, registry.Group):
        return ["dead letters of all groups"]
    return [_conditions(event, handlers) for event, handlers in group.handlers.items()]


def _conditions(event: type[Event], handlers: list[registry.Handler]) -> str:
    """An event's type, with the values of fields by which the group tells which ones it hears."""
    if not all(handler.where for handler in handlers):
        return event.TYPE
    values = ["+".join(str(value) for _, value in handler.where) for handler in handlers]
    return f"{event.TYPE} ({', '.join(values)})"


def _tries(group: consumer_groups.Subscriber) -> list[str]:
    """Its policy, and those of its events that have another one."""
    if not isinstance(group, registry.Group):
        return ["until it works"]
    usual, own = _policies(group)
    return [str(usual), *(f"{event}: {policy}" for event, policy in own.items())]


def _policies(group: registry.Group) -> tuple[RetryPolicy, dict[str, RetryPolicy]]:
    handlers = itertools.chain.from_iterable(group.handlers.values())
    own = {handler.event.TYPE: handler.retry for handler in handlers if handler.retry}
    return group.retry or policy.from_settings(clients.conf()), own


def _facts(group: consumer_groups.Subscriber) -> dict[str, Any]:
    """For machines; no policy where everything is tried until it works."""
    usual, own = _policies(group) if isinstance(group, registry.Group) else (None, {})
    return {
        "hears": _heard(group),
        "topics": [topic.name for topic in group.topics],
        "retry": usual and asdict(usual),
        "retry_of_event": {event: asdict(policy) for event, policy in own.items()},
    }
