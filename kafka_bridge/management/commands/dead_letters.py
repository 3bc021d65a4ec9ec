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
from django.utils import timezone
from rich.console import Console, RenderableType
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from kafka_bridge.dead_letters import letter_store, redrive_preview, redrive_sender, redriving
from kafka_bridge.models import DeadLetter
from kafka_bridge.runtime import clients

NOT_ALL, BAD_OPTIONS, NO_DATABASE, NO_KAFKA = 1, 2, 3, 4
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_COLOURS = {"parked": "bold yellow", "redriven": "cyan", "resolved": "green", "discarded": "dim"}


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
            deed = verbs.add_parser(verb, help=words)
            deed.add_argument("ids", nargs="*", type=int, metavar="ID", help="these, and none else")
            deed.add_argument("--all", action="store_true", help="every one that waits, where no filter is given")
            _filters(deed)
            deed.add_argument("--reason", default="", help="why; kept for whoever asks later")
            deed.add_argument("--by", default="", metavar="WHO", help="who says so (default: who is signed in here)")
            deed.add_argument("--dry-run", action="store_true", help="say what it would do, and do nothing")
            _output(deed)
            if verb == "redrive":
                deed.add_argument(
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
            kinds = letter_store.kinds(limit=options["limit"])
            self._out(options, {"kinds": [_kind_facts(kind) for kind in kinds]}, lambda: _kinds_table(kinds))
            return
        found = _chosen(options, state=options["state"] or "")
        letters = list(found.defer("value", "traceback")[: options["limit"]])
        facts = {"count": found.count(), "letters": [_facts(letter) for letter in letters]}
        self._out(options, facts, lambda: _table(letters, of=int(cast(int, facts["count"]))))

    def _show(self, options: Mapping[str, Any]) -> None:
        letter = DeadLetter.objects.filter(pk=options["id"]).first()
        if letter is None:
            raise CommandError(f"There is no dead letter {options['id']}.", returncode=NOT_ALL)
        acts = list(letter.acts.all())
        told = redrive_preview.dry_run(letter)
        facts = _facts(letter) | {
            "value": _body(letter.value),
            "edited_value": None if letter.edited_value is None else _body(letter.edited_value),
            "headers": {name: value.decode(errors="replace") for name, value in letter_store.unpack(letter.headers)},
            "traceback": letter.traceback,
            "waiting_behind": redrive_preview.waiting_behind(letter).count(),
            "dry_run": told,
            "acts": [
                {"at": act.at.isoformat(), "who": act.who, "what": act.what, "reason": act.reason} for act in acts
            ],
        }
        self._out(options, facts, lambda: _page(facts))

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
        if options["dry_run"]:
            self._dry_run(options, letters, redriving.obstacle_to_discarding, _discarding)
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
            "letters": [_facts(one) | {"would": words, "possible": possible} for one, words, possible in found],
        }
        self._out(options, facts, lambda: _dry_table(found))

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
        }
        self._out(options, facts, lambda: _told(outcome, done))
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
    """The letters a deed is for; never all of them by a slip."""
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
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _who(options: Mapping[str, Any]) -> str:
    if options["by"]:
        return str(options["by"])
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise ValueError("this account has no name: say --by WHO") from error


def _reason(options: Mapping[str, Any]) -> str:
    if not options["reason"].strip():
        raise ValueError("say why, with --reason: somebody will ask")
    return str(options["reason"])


# -- Words ---------------------------------------------------------------------------------------------
def _facts(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.pk,
        "state": str(letter.state),
        "group": letter.group,
        "event": letter.type,
        "event_id": letter.event_id and str(letter.event_id),
        "key": letter.key,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "error": letter.error,
        "kind": letter.fingerprint,
        "handler": letter.handler,
        "attempts": letter.attempts,
        "died_at": letter.died_at.isoformat(),
    }


def _kind_facts(kind: letter_store.Kind) -> dict[str, Any]:
    return {
        "kind": kind.fingerprint,
        "count": kind.count,
        "groups": kind.groups,
        "event": kind.type,
        "error": kind.error,
        "handler": kind.handler,
        "first": kind.first.isoformat(),
        "last": kind.last.isoformat(),
        "example": kind.example,
    }


def _body(value: bytes | memoryview) -> str:
    return bytes(value).decode(errors="replace")


def _discarding(letter: DeadLetter) -> str:
    behind = redrive_preview.waiting_behind(letter).count()
    return "Given up for good." + (f" {behind:,} waiting behind it would be handled." if behind else "")


def _state(letter: DeadLetter) -> Text:
    return Text(str(letter.state), style=_COLOURS[letter.state])


def _since(at: Any) -> str:
    seconds = max(0, int((timezone.now() - at).total_seconds()))
    for unit, size in reversed(_UNITS.items()):
        if seconds >= 2 * size or size == 1:
            return f"{seconds // size} {unit}"
    return ""


def _table(letters: Sequence[DeadLetter], *, of: int) -> RenderableType:
    if not letters:
        return "No dead letters."
    more = f", the first {len(letters):,}" if of > len(letters) else ""
    table = Table("id", "state", "group", "event", "key", title=f"Dead letters: {of:,}{more}", title_justify="left")
    table.add_column("tried", justify="right")
    table.add_column("since", justify="right")
    table.add_column("error")
    for one in letters:
        cells = (one.group, one.type, one.key, str(one.attempts), _since(one.died_at), Text(one.error))
        table.add_row(str(one.pk), _state(one), *cells)
    return table


def _kinds_table(kinds: Sequence[letter_store.Kind]) -> RenderableType:
    if not kinds:
        return "No dead letter waits."
    table = Table(title="Dead letters that wait, by kind", title_justify="left")
    table.add_column("kind", no_wrap=True, min_width=16)
    table.add_column("letters", justify="right")
    for column in ("group", "event", "error", "first", "last", "one"):
        table.add_column(column)
    for kind in kinds:
        ages = (f"{_since(kind.first)} ago", f"{_since(kind.last)} ago")
        groups = ", ".join(kind.groups)
        table.add_row(
            kind.fingerprint, f"{kind.count:,}", groups, kind.type, Text(kind.error), *ages, str(kind.example)
        )
    return table


def _dry_table(found: Sequence[tuple[DeadLetter, str, bool]]) -> RenderableType:
    if not found:
        return "No dead letter was found for that."
    table = Table("id", "state", "event", "key", "would", title="Dry run: nothing was done", title_justify="left")
    for one, words, possible in found:
        table.add_row(str(one.pk), _state(one), one.type, one.key, Text(words, style="" if possible else "dim"))
    return table


def _page(facts: Mapping[str, Any]) -> RenderableType:
    table = Table("", "", show_header=False, title=f"Dead letter {facts['id']}", title_justify="left")
    for name, value in facts.items():
        match name, value:
            case "headers", _:
                words = "\n".join(f"{header}: {content}" for header, content in value.items())
            case "acts", _:
                words = "\n".join(
                    f"{act['at']} {act['who']}: {act['what']}" + f" ({act['reason']})" * bool(act["reason"])
                    for act in value
                )
            case _:
                words = "" if value is None else str(value)
        if words:
            table.add_row(name.replace("_", " "), Text(words))
    return table


def _told(outcome: redriving.RedriveOutcome, done: str) -> RenderableType:
    lines = [f"{len(outcome.done):,} {done}."] if outcome.done else []
    lines += [f"{pk}: left alone, {why}." for pk, why in outcome.left]
    if outcome.beyond_cap:
        lines.append(f"{outcome.beyond_cap:,} more are beyond the limit; run it again for them.")
    return Text("\n".join(lines))
