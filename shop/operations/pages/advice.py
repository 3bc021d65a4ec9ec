"""Why something waits, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from kafka_bridge.monitoring.cluster_figures import GroupFigures
from shop.operations.pages import words
from shop.operations.pages.state import Held, State

STALLED_SECONDS = 60.0
RETRY = ".retry"
"""A group's retry topics are read by the same process, as a group of its own."""
ACTS = frozenset({"pause", "resume", "rejoin", "reset"})
"""Acts that have a form at /admin/operations/."""
RESUME = "Resume it when the reason is gone."
_COMMANDS = {
    "relay": "run_relay",
    "timekeeper": "run_timekeeper",
    "gateway": "run_sandbox_gateway",
}
_SERVERS = ("web", "live")
_SERVICES = {"gateway": "sandbox-gateway"}


@dataclass(frozen=True, slots=True)
class Link:
    """Where to go."""

    words: str
    url: str
    is_of_web: bool = False
    """The page is the role web's, at its own address."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Why, what to do, and where."""

    why: str
    todo: str
    links: Sequence[Link] = ()
    commands: Sequence[str] = ()


def start_commands(role: str) -> tuple[str, ...]:
    """How a role is started: by hand, and with compose."""
    service = _SERVICES.get(role, role)
    if role in _SERVERS:
        return (f"docker compose up -d {service}",)
    command = _COMMANDS.get(role, f"run_consumer {role}")
    return (f"python manage.py {command}", f"docker compose up -d {service}")


def of_role(role: str) -> Advice:
    """A process that should run, and does not."""
    return Advice(
        f"{role} is not running.",
        "Start it, and look at the end of its log for why it stopped.",
        (Link("Processes", "/ops/processes/"),),
        start_commands(role),
    )


def of_group(state: State, name: str) -> Advice:
    """Why orders or messages wait for this group, and what to do."""
    page = Link(f"Group {name}", group_url(name))
    if held := state.held_of(name):
        return Advice(
            words.sentence(f"{held.name} is paused by {held.who}: {held.reason}"),
            RESUME,
            (page, *resume(held)),
        )
    if _is_missing(state, name):
        found = of_role(name.removesuffix(RETRY))
        return Advice(found.why, found.todo, (page, *found.links), found.commands)
    if error := state.overview.kafka.error:
        return Advice(
            f"Kafka cannot be reached ({error}).",
            "Orders are taken and wait in the outbox; they go on by themselves once Kafka answers. See to the brokers.",
            (Link("Brokers", "/ops/brokers/"),),
        )
    group = state.group(name)
    return _of_running(state, name, group, page) if group else _of_relay(state, name, page)


def _of_running(state: State, name: str, group: GroupFigures, page: Link) -> Advice:
    paused = next((part.lag for part in group.partitions if part.lag.state == "paused"), None)
    if paused:
        why = f"{name} waits: {paused.reason}" if paused.reason else f"{name} waits for something that is away."
        return Advice(why, "It goes on by itself once that answers again. See to what it waits for.", (page,))
    retried = next((part.lag for part in group.partitions if part.lag.state == "retrying"), None)
    if retried and not group.messages:
        return Advice(
            f"{name} tries messages again: {retried.reason}",
            "Those of other orders go on. Correct the cause; what fails for good lands in the dead letters.",
            (page, Link("Dead letters", "/admin/kafka_bridge/deadletter/?state__exact=parked", is_of_web=True)),
        )
    if group.messages and max((part.stalled_seconds for part in group.partitions), default=0.0) > STALLED_SECONDS:
        return Advice(
            f"{name} runs, and yet nothing moves.",
            "Ask its member to leave and come back, or start it again; its log says what it was doing.",
            (page, *act("Ask to rejoin…", "rejoin", group=controlled_as(name), **_only_member(group))),
            (f"docker compose restart {name}",),
        )
    if group.messages:
        until = f", at this pace for {words.duration(group.drain_seconds)}" if group.drain_seconds else ""
        return Advice(
            f"{name} is behind by {words.plural(group.messages, 'message')}{until}.",
            "It is working them off. If that takes too long, give it more members.",
            (page,),
            (f"docker compose up -d --scale {name}=3 {name}",),
        )
    return _of_relay(state, name, page)


def _of_relay(state: State, name: str, page: Link) -> Advice:
    """Nothing waits for the group in Kafka; is it still in the outbox?"""
    database = state.overview.database.value
    if database and database.outbox.rows:
        if _is_missing(state, "relay"):
            return of_role("relay")
        return Advice(
            f"{words.plural(database.outbox.rows, 'event')} have not left for Kafka.",
            "The relay sends them; is it running, and does Kafka take them?",
            (Link("Outbox", "/ops/outbox/"), Link("Processes", "/ops/processes/")),
        )
    return Advice(
        f"Nothing waits for {name} in Kafka.",
        "Look at one of these orders: its page tells what happened last. The timekeeper takes up what was due.",
        (page,),
    )


def _is_missing(state: State, role: str) -> bool:
    """Whether no process of this role says that it runs."""
    role, seen = role.removesuffix(RETRY), state.overview.processes
    if seen.value is not None and not seen.error:
        missing = next((one for one in seen.value.missing if one.role == role), None)
        return missing is not None and missing.present == 0
    group = state.group(role)
    return group is not None and not state.overview.kafka.error and not group.members


def controlled_as(name: str) -> str:
    """The group that people pause, or have a member of leave, when they mean this one."""
    return name.removesuffix(RETRY)


def resume(held: Held) -> tuple[Link, ...]:
    """The form that ends a pause."""
    return act("Resume…", "resume", **held.query)


def _only_member(group: GroupFigures) -> dict[str, str]:
    return {"member": group.members[0].id} if len(group.members) == 1 else {}


def group_url(name: str) -> str:
    """The page of a group."""
    return f"/ops/groups/?{urlencode({'group': name})}"


def act(title: str, form: str, **fields: str) -> tuple[Link, ...]:
    """The form for an act, which is the role web's; none where there is no such form."""
    if form not in ACTS:
        return ()
    link = Link(title, f"/admin/operations/{form}/?{urlencode(fields)}", is_of_web=True)
    return (link,)
