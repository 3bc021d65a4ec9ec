"""`manage.py dead_letters list|show|redrive|discard`."""

import argparse
import getpass
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import IO, Any, cast

from confluent_kafka import KafkaException
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db.models import QuerySet
from rich.console import Console, RenderableType
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from kafka_bridge.dead_letters import (
    error_kinds,
    key_discarding,
    letter_store,
    redrive_preview,
    redrive_sender,
    redriving,
)
from kafka_bridge.management.output import dead_letters as output
from kafka_bridge.models import DeadLetter
from kafka_bridge.runtime import clients

NOT_ALL, BAD_OPTIONS, NO_DATABASE, NO_KAFKA = 1, 2, 3, 4


class Command(BaseCommand):
    """Shows what consumer groups gave up on, and sends it again or gives it up for good."""

    requires_system_checks = ()
    help = (
        "Work through the dead letters: messages that a consumer group could not handle after all its attempts. "
        "`list` shows them (with --kinds grouped by error), `show` one with its payload, traceback, history, and what "
        "sending it again would do; `redrive` sends them again once the cause is mended, `discard` gives them up and "
        "lets go on what waits behind them. Both take ids, or filters, and want a --reason, which is kept with who did "
        "it. Exit codes: 0 done; 1 some letters were left alone, or there was none; 2 an option is wrong; "
        "3 PostgreSQL, 4 Kafka does not answer."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The four verbs and their options."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|redrive|discard")
        listing = verbs.add_parser("list", help="which there are, oldest first")
        _filters(listing)
        listing.set_defaults(state=None)
        listing.add_argument("--kinds", action="store_true", help="one line for each kind of error that waits")
        _output(listing)
        show = verbs.add_parser("show", help="all about one, and what sending it again would do")
        show.add_argument("id", type=int)
        _output(show)
        for verb, words in (
            ("redrive", "send them again, oldest first, at a pace"),
            ("discard", "give them up; what waits behind them goes on"),
        ):
            action = verbs.add_parser(verb, help=words)
            action.add_argument("ids", nargs="*", type=int, metavar="ID", help="only these")
            action.add_argument("--all", action="store_true", help="every one that waits, where no filter is given")
            _filters(action)
            action.add_argument("--reason", default="", help="why; kept with the letter")
            action.add_argument("--by", default="", metavar="WHO", help="who says so (default: who is signed in here)")
            action.add_argument("--dry-run", action="store_true", help="say what it would do, and do nothing")
            _output(action)
            if verb == "discard":
                action.add_argument(
                    "--whole-key", action="store_true",
                    help="with one id: all of its key that its group could not handle, and what waits behind it",
                )  # fmt: skip
            if verb == "redrive":
                action.add_argument(
                    "--rate", type=float, default=redriving.PER_SECOND, metavar="N",
                    help=f"messages per second (default: {redriving.PER_SECOND:g})",
                )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the verb says."""
        verbs: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "list": self._list,
            "show": self._show,
            "redrive": self._redrive,
            "discard": self._discard,
        }
        try:
            verbs[options["verb"]](options)
        except ValueError as error:
            raise CommandError(f"{str(error)[:1].upper()}{str(error)[1:]}.", returncode=BAD_OPTIONS) from error
        except DatabaseError as error:
            raise CommandError(f"PostgreSQL did not do it: {error}", returncode=NO_DATABASE) from error

    # -- Looking -----------------------------------------------------------------------------------
    def _list(self, options: Mapping[str, Any]) -> None:
        if options["kinds"]:
            kinds = error_kinds.waiting(limit=options["limit"])
            self._out(
                options, {"kinds": [output.kind_as_json(kind) for kind in kinds]}, lambda: output.kinds_table(kinds)
            )
            return
        found = _chosen(options, state=options["state"] or "")
        letters = list(found.defer("value", "traceback")[: options["limit"]])
        facts = {"count": found.count(), "letters": [output.letter_as_json(letter) for letter in letters]}
        self._out(options, facts, lambda: output.letters_table(letters, of=int(cast(int, facts["count"]))))

    def _show(self, options: Mapping[str, Any]) -> None:
        letter = DeadLetter.objects.filter(pk=options["id"]).first()
        if letter is None:
            raise CommandError(f"There is no dead letter {options['id']}.", returncode=NOT_ALL)
        acts = list(letter.acts.all())
        told = redrive_preview.dry_run(letter)
        facts = output.letter_as_json(letter) | {
            "value": output.as_text(letter.value),
            "edited_value": None if letter.edited_value is None else output.as_text(letter.edited_value),
            "headers": {name: output.as_text(value) for name, value in letter_store.unpack(letter.headers)},
            "cut": cut._asdict() if any(cut := letter_store.cut_of(letter)) else None,
            "traceback": letter.traceback,
            "waiting_behind": redrive_preview.waiting_behind(letter).count(),
            "dry_run": told,
            "acts": [
                {"at": act.at.isoformat(), "who": act.who, "what": act.what, "reason": act.reason} for act in acts
            ],
        }
        self._out(options, facts, lambda: output.letter_page(facts))

    # -- Doing -------------------------------------------------------------------------------------
    def _redrive(self, options: Mapping[str, Any]) -> None:
        letters = _wanted(options)
        if options["dry_run"]:
            self._dry_run(options, letters, redriving.obstacle_to_redriving, redrive_preview.dry_run)
            return
        outcome = redriving.redrive(
            letters, by=_who(options), reason=_reason(options), cap=options["limit"], per_second=options["rate"]
        )
        self._send(outcome.done, quiet=options["json"])
        self._report(options, outcome, "sent again")

    def _discard(self, options: Mapping[str, Any]) -> None:
        letters = _wanted(options)
        if options["whole_key"]:
            if len(options["ids"]) != 1:
                raise ValueError("--whole-key takes the id of one letter")
            if options["dry_run"]:
                self._dry_run(options, letters, key_discarding.obstacle, output.what_discarding_the_key_does)
                return
            outcome = redriving.RedriveOutcome()
            for letter in letters:
                outcome = key_discarding.discard_key(letter.pk, by=_who(options), reason=_reason(options))
            self._report(options, outcome, "discarded")
            return
        if options["dry_run"]:
            self._dry_run(options, letters, redriving.obstacle_to_discarding, output.what_discarding_does)
            return
        outcome = redriving.discard(letters, by=_who(options), reason=_reason(options), cap=options["limit"])
        self._report(options, outcome, "discarded")

    def _dry_run(
        self,
        options: Mapping[str, Any],
        letters: QuerySet[DeadLetter],
        obstacle: Callable[[DeadLetter], str],
        tell: Callable[[DeadLetter], str],
    ) -> None:
        found = [(one, obstacle(one) or tell(one), not obstacle(one)) for one in letters[: options["limit"]]]
        facts = {
            "dry_run": True,
            "letters": [
                output.letter_as_json(one) | {"would": words, "possible": possible} for one, words, possible in found
            ],
        }
        self._out(options, facts, lambda: output.dry_run_table(found))

    def _send(self, ids: Sequence[int], *, quiet: bool) -> None:
        """Bring the copies to Kafka at their pace; whatever is left when we end is sent by the group `dead_letters`."""
        left = redrive_sender.unsent(ids)
        if not left:
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
            task = progress.add_task("sending again", total=len(ids))
            try:
                while left := redrive_sender.unsent(ids):
                    redrive_sender.send_due()
                    progress.update(task, completed=len(ids) - left)
                    time.sleep(0.05)
            except KafkaException as error:
                where = clients.conf().bootstrap_servers
                raise CommandError(
                    f"Kafka at {where} did not take {redrive_sender.unsent(ids)} of them: {error}. "
                    "It is noted that they are to be sent: the group `dead_letters` does it once Kafka answers.",
                    returncode=NO_KAFKA,
                ) from error
            except KeyboardInterrupt:
                self.stderr.write(
                    f"{redrive_sender.unsent(ids)} are still to be sent; the group `dead_letters` does it."
                )

    def _report(self, options: Mapping[str, Any], outcome: redriving.RedriveOutcome, done: str) -> None:
        facts = {
            "done": outcome.done,
            "left": [{"id": pk, "why": why} for pk, why in outcome.left],
            "beyond_limit": outcome.beyond_cap,
            "by": _who(options),
        }
        self._out(options, facts, lambda: output.outcome_text(outcome, done, by=_who(options)))
        if outcome.left or not outcome.done:
            raise CommandError(
                f"{len(outcome.left)} left alone." if outcome.left else "No dead letter was found for that.",
                returncode=NOT_ALL,
            )

    def _out(self, options: Mapping[str, Any], facts: object, page: Callable[[], RenderableType]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(facts))
        else:
            Console(file=cast(IO[str], self.stdout)).print(page())


# -- Options -------------------------------------------------------------------------------------------
def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--group", default="", metavar="NAME", help="the consumer group that gave up")
    parser.add_argument("--event", default="", metavar="TYPE", help="the event's type, such as invoice.paid")
    parser.add_argument("--error", default="", metavar="WORDS", help="part of the error, or a kind's name")
    parser.add_argument("--state", choices=DeadLetter.State.values, default="", help="default: parked; list: all")
    parser.add_argument("--older-than", default="", metavar="AGE", help="given up on so long ago: 90s, 15m, 3h, 2d")
    parser.add_argument("--limit", type=int, default=redriving.CAP, metavar="N",
                        help=f"at most so many, oldest first (default: {redriving.CAP})")  # fmt: skip


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _wanted(options: Mapping[str, Any]) -> QuerySet[DeadLetter]:
    """The letters that are meant; never all of them by a slip."""
    narrowed = any(options[name] for name in ("ids", "group", "event", "error", "state", "older_than"))
    if narrowed == options["all"]:
        raise ValueError("name letters by their ids or by filters, or say --all, and not both")
    return _chosen(options, state=options["state"] or ("" if options["ids"] else DeadLetter.State.PARKED))


def _chosen(options: Mapping[str, Any], *, state: str) -> QuerySet[DeadLetter]:
    if options["limit"] < 1:
        raise ValueError("--limit takes a number from 1 on")
    error = options["error"]
    is_kind = re.fullmatch(r"[0-9a-f]{16}", error) is not None
    return redriving.choose(
        ids=options.get("ids") or (),
        group=options["group"],
        event=options["event"],
        error="" if is_kind else error,
        kind=error if is_kind else "",
        state=state,
        older_than=_age(options["older_than"]) if options["older_than"] else None,
    )


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise ValueError(f"--older-than takes an age such as 90s, 15m, 3h or 2d, not {text!r}")
    return timedelta(seconds=int(found[1]) * output.UNITS[found[2]])


def _who(options: Mapping[str, Any]) -> str:
    if options["by"]:
        return str(options["by"])
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise ValueError("this account has no name: say --by WHO") from error


def _reason(options: Mapping[str, Any]) -> str:
    if not options["reason"].strip():
        raise ValueError("say why, with --reason")
    return str(options["reason"])
