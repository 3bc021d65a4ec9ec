"""The operations page as the role live serves it: who may look, what the first screen answers, how much it sends."""

import asyncio
import json
import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from devtools.testing.shop import operations_scenes as scenes
from devtools.testing.shop import overviews
from shop.live import pushing
from shop.live.operations import sockets as ops_sockets
from shop.live.operations.feed import Feed
from shop.live.operations.http import Ops
from shop.operations.overview.figures import Overview
from shop.operations.pages import passes, rendering
from shop.operations.pages.reading import Reader, Sources
from shop.operations.pages.state import Held

pytestmark = pytest.mark.operations
PASS_COOKIE = passes.COOKIE
HOST = (b"host", b"testserver")


def feed_of(overview: Overview, **sources: Any) -> Feed:
    """Pages about these figures."""
    return Feed(Reader(Sources(overview=lambda: overview, **sources)).read)


async def get(application: Ops, path: str, *, cookie: str = "", host: bytes = b"testserver") -> tuple[int, str]:
    """Status and text of an answer."""
    headers = [(b"host", host), (b"cookie", f"{PASS_COOKIE}={cookie}".encode())]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
    said: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    await application(scope, None, send)
    return said[0]["status"], " ".join(unescape(said[1]["body"].decode(errors="replace")).split())


@pytest.fixture
def operator(db: None) -> User:
    """Somebody of staff who may look."""
    user = User.objects.create_user("olga", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_operations"))
    return user


def pass_for(user: User) -> tuple[Client, str]:
    """The cookie that the admin gives, and the client that has it."""
    client = Client()
    client.force_login(user)
    answer = client.get("/admin/operations/")
    assert answer.status_code == 302 and answer["Location"] == "/ops/"
    cookie = answer.cookies[PASS_COOKIE]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/ops/", True, "Strict")
    return client, cookie.value


@pytest.mark.django_db(transaction=True)
@pytest.mark.security
def test_the_page_opens_with_the_pass_of_the_admin_and_no_other_way(operator: User) -> None:
    client, value = pass_for(operator)
    application = Ops(feed_of(scenes.all_well()), passes.Checks())
    for path in ("/ops/", *(page.url for page in rendering.PAGES)):
        assert asyncio.run(get(application, path, cookie=value))[0] == 200
        status, text = asyncio.run(get(application, path))
        assert status == 403 and "Open it from the admin" in text and "/admin/operations/" in text
        assert asyncio.run(get(application, path, cookie=value[:-1] + "x"))[0] == 403
    assert asyncio.run(get(application, "/ops/", cookie=value, host=b"evil.example"))[0] == 400
    assert asyncio.run(get(application, "/ops/secrets/", cookie=value))[0] == 404
    assert asyncio.run(get(application, "/ops/static/../settings.py", cookie=value))[0] == 404
    signed_out = client.post("/sign-out/")
    assert signed_out.cookies[PASS_COOKIE].value == "" and signed_out.cookies[PASS_COOKIE]["path"] == "/ops/"


@pytest.mark.django_db(transaction=True)
@pytest.mark.security
def test_staff_without_the_permission_get_no_pass() -> None:
    client = Client()
    client.force_login(User.objects.create_user("sam", is_staff=True))
    answer = client.get("/admin/operations/")
    assert answer.status_code == 403 and PASS_COOKIE not in answer.cookies


@pytest.mark.django_db(transaction=True)
@pytest.mark.security
@pytest.mark.parametrize("change", ["staff", "permission", "password"])
def test_a_pass_ends_with_what_it_was_given_for(operator: User, change: str) -> None:
    _, value = pass_for(operator)
    held, checks = passes.read(value), passes.Checks()
    assert held and checks.is_good(held), "the signature counts until PostgreSQL was asked"
    if change == "staff":
        User.objects.filter(pk=operator.pk).update(is_staff=False)
    elif change == "permission":
        operator.user_permissions.clear()
    else:
        operator.set_password("y")
        operator.save()
    again = passes.Checks()
    again.is_good(held)
    again.wait()
    assert not again.is_good(held)


def test_a_pass_counts_while_postgresql_is_away(operator: User, database_away: None) -> None:
    held = passes.Pass(user_id=operator.pk, name="olga", mark="whatever")
    checks = passes.Checks()
    assert checks.is_good(held)
    checks.wait()
    assert checks.is_good(held)


# -- What the first screen answers --------------------------------------------------------------------------------
def shown(overview: Overview, page: str = "", query: dict[str, str] | None = None, **sources: Any) -> str:
    """The page as people read it, roughly."""
    found = rendering.find(page)
    assert found
    state = Reader(Sources(overview=lambda: overview, **sources)).read()
    html = rendering.fragment(found, query or {}, state, web="")
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def now_of(make: Any) -> Overview:
    """As if read just now."""
    made: Overview = make(timezone.now())
    return made


def test_all_is_well() -> None:
    text = shown(now_of(scenes.all_well))
    assert text.startswith("All is well") and "What to do" not in text
    assert "2 paid orders wait for shipping, the oldest for 4 s." in text


def test_the_stopped_group_the_orders_that_wait_and_what_to_do() -> None:
    text = shown(now_of(scenes.shipping_stopped))
    assert text.startswith("shipping is not running, and 17 orders wait")
    assert "17 paid orders wait for shipping, the oldest for 2 min 14 s." in text
    assert "python manage.py run_consumer shipping" in text and "These orders" in text


def test_retries_are_a_line_of_their_group_and_make_it_as_bad_as_they_are() -> None:
    waiting = overviews.group(messages=4)
    kafka = overviews.kafka(
        overviews.group(messages=0), replace(waiting, name="shipping.retry", members=()),
        replace(waiting, name="orphan.retry"),
    )  # fmt: skip
    state = Reader(Sources(overview=lambda: overviews.overview(at=timezone.now(), kafka=kafka))).read()
    rows = rendering._group_rows(state)
    assert [(row["group"].name, row["level"]) for row in rows] == [("shipping", "bad"), ("orphan.retry", "bad")]
    assert "retries : 4 behind, nobody reads them" in shown(state.overview)


@pytest.mark.parametrize(
    ("source", "name"),
    [("database", "PostgreSQL"), ("kafka", "Kafka"), ("redis", "Redis"), ("processes", "Processes")],
)
def test_a_source_that_is_away_is_said_and_the_rest_goes_on(source: str, name: str) -> None:
    overview = scenes.away(now_of(scenes.all_well), source, "it is away")
    text = shown(overview)
    assert f"{name} cannot be read: it is away" in text
    assert "1 min old" in text and "All is well" not in text
    for page in rendering.PAGES:
        assert f"{name} cannot be read: it is away" in shown(overview, page.name)


def test_nothing_is_claimed_before_anything_was_read() -> None:
    state = Reader().read()
    for page in rendering.PAGES:
        text = " ".join(re.sub(r"<[^>]+>", " ", rendering.fragment(page, {}, state, web="")).split())
        assert "All is well" not in text and "Not everything can be seen" in text


def test_what_a_person_has_paused_is_shown_with_the_reason() -> None:
    held = (Held(group="shipping", who="ada", reason="the carrier is on strike", since=None),)
    text = shown(now_of(scenes.shipping_stopped), held=lambda: held)
    assert "shipping is paused by ada: the carrier is on strike" in text
    calm = shown(now_of(scenes.all_well), held=lambda: held)
    assert calm.startswith("shipping is paused by ada: the carrier is on strike") and "Resume…" in calm
    page = shown(now_of(scenes.shipping_stopped), "groups", {"group": "shipping"}, held=lambda: held)
    assert "the carrier is on strike" in page


@pytest.mark.security
def test_what_strangers_wrote_is_text() -> None:
    text = rendering.fragment(rendering.PAGES[1], {"group": "<script>alert(1)</script>"}, Reader().read(), web="")
    assert "<script>" not in text


# -- The socket ------------------------------------------------------------------------------------------------------
class Browser:
    """One open page, which answers pings or does not."""

    def __init__(self, sockets: ops_sockets.OpsSockets, cookie: str, *, answers: bool = True) -> None:
        self._sockets, self._cookie, self._answers = sockets, cookie, answers
        self._frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.pages: list[str] = []
        self.closed_with: int | None = None

    async def look(self, seconds: float) -> "Browser":
        """Keep it open for so long, or until it is closed."""
        scope = {
            "type": "websocket", "path": "/ops/socket/", "query_string": b"",
            "headers": [HOST, (b"cookie", f"{PASS_COOKIE}={self._cookie}".encode())],
        }  # fmt: skip
        self._frames.put_nowait({"type": "websocket.connect"})
        serving = asyncio.ensure_future(self._sockets(scope, self._frames.get, self._hear))
        await asyncio.wait([serving], timeout=seconds)
        self._frames.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await serving
        return self

    async def _hear(self, event: Any) -> None:
        if event["type"] == "websocket.close":
            self.closed_with = event["code"]
        if event["type"] == "websocket.send":
            self.pages.append(json.loads(event["text"])["html"])
            if self._answers:
                self._frames.put_nowait({"type": "websocket.receive", "text": '{"type":"pong"}'})


@pytest.mark.django_db(transaction=True)
@pytest.mark.security
def test_one_page_at_a_time_goes_to_a_browser_and_none_without_a_pass(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, value = pass_for(operator)
    monkeypatch.setattr(ops_sockets, "EVERY_SECONDS", 0.05)
    sockets = ops_sockets.OpsSockets(feed_of(now_of(scenes.all_well)), passes.Checks())

    async def play() -> tuple[Browser, ...]:
        return tuple(
            await asyncio.gather(
                Browser(sockets, value).look(0.6),
                Browser(sockets, value, answers=False).look(0.6),
                Browser(sockets, "forged").look(0.6),
            )
        )

    reader, slow, stranger = asyncio.run(play())
    assert len(reader.pages) > 2 and "All is well" in reader.pages[-1]
    assert len(slow.pages) == 1, "the next one waits for the answer to the first"
    assert stranger.pages == [] and stranger.closed_with == pushing.NO_PASS


@pytest.mark.django_db(transaction=True)
@pytest.mark.security
def test_only_so_many_look_at_once(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    _, value = pass_for(operator)
    monkeypatch.setattr(ops_sockets, "SOCKETS_MAX", 2)
    sockets = ops_sockets.OpsSockets(feed_of(now_of(scenes.all_well)), passes.Checks())

    async def play() -> list[Browser]:
        return list(await asyncio.gather(*(Browser(sockets, value).look(0.3) for _ in range(4))))

    assert sorted(browser.closed_with or 0 for browser in asyncio.run(play())) == [0, 0, 4429, 4429]
