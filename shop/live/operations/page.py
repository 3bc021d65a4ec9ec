"""The operations page of this process: its pages and its sockets, which share what they show."""

from kafka_bridge.consuming import controls
from kafka_bridge.models import GroupControl
from shop.live.operations.alerts import AlertReader
from shop.live.operations.feed import Feed
from shop.live.operations.http import Ops
from shop.live.operations.sockets import OpsSockets
from shop.operations.overview import collector
from shop.operations.pages import reading, stored
from shop.operations.pages.passes import Checks
from shop.operations.pages.state import Held

reader = reading.Reader()
_feed, _checks = Feed(reader.read), Checks()
pages = Ops(_feed, _checks)
sockets = OpsSockets(_feed, _checks)


def start() -> None:
    """Show what this process collects; before this, nothing is known."""
    alerts = AlertReader()
    alerts.start()
    reader.use(
        reading.Sources(
            overview=collector.overview,
            alerts=alerts.current,
            past_alerts=alerts.past,
            held=_held,
            stored=stored.read,
        )
    )


def _held() -> tuple[Held, ...]:
    """What people have paused, as PostgreSQL last told of it."""
    database = collector.overview().database.value
    return tuple(_as_held(pause) for pause in database.pauses) if database else ()


def _as_held(pause: GroupControl) -> Held:
    place = vars(controls.place_of(pause))
    return Held(**place, who=pause.who, reason=pause.reason, since=pause.at)
