"""R3: what a waiting room does in Redis, web and live may do by deploy/redis/users.acl, and no other role."""

from collections.abc import Iterator

import pytest
import redis

from devtools.local.redis import Redis
from devtools.testing.services import Services
from devtools.testing.shop.secured_shop import PASSWORDS
from shop.tests.waiting_room.test_scripts import HOUR, a_room, look, take, turn
from shop.waiting_room import scripts

pytestmark = [pytest.mark.rush, pytest.mark.security]


@pytest.fixture(scope="module")
def secured(services: Services) -> Iterator[Redis]:
    """A Redis that knows its users."""
    passwords = {f"{role.upper()}_PASSWORD": password for role, password in PASSWORDS.items()}
    state = services.state
    folder = state.path / "room-redis"
    server = Redis(services.supervisor, folder=folder, sockets=state.sockets, name="room-redis", passwords=passwords)
    server.start()
    yield server
    server.stop()


def sign_in(monkeypatch: pytest.MonkeyPatch, server: Redis, role: str) -> None:
    """Waiting rooms ask as that role."""
    client = redis.Redis(
        unix_socket_path=str(server.socket), username=f"bookrush_{role}", password=PASSWORDS[role], db=1
    )
    monkeypatch.setattr(scripts, "get_redis_connection", lambda name: client)


@pytest.mark.parametrize("role", ["web", "live"])
def test_web_and_live_work_a_queue(secured: Redis, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    sign_in(monkeypatch, secured, role)
    room = a_room(sale_id={"web": 1, "live": 2}[role])
    first, second = take(room, "a:ada"), take(room)
    assert turn(room, free=1)
    assert scripts.enter(room, place=first.place, key="k", epoch="e") == ""
    scripts.leave(room, place=first.place, key="k", epoch="e")
    assert turn(room, free=0, held=1)
    assert [look(room, held).state for held in (first, second)] == ["admitted", "waiting"]
    assert scripts.drawn_places(room.sale_id) == []
    assert scripts.is_my_turn(room.sale_id, milliseconds=1000)
    over = a_room(sale_id=3, starts_in=-9 * HOUR)
    assert take(over).place == ""


@pytest.mark.parametrize("role", ["orders", "inventory", "timekeeper", "payments"])
def test_no_other_role_does(secured: Redis, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    sign_in(monkeypatch, secured, role)
    with pytest.raises(redis.exceptions.NoPermissionError):
        scripts.read(1)
