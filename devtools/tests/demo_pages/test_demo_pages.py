"""The pages of a demo, over HTTP and in a browser, at a running shop: each break is seen, and undone by itself."""

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from django.conf import settings as django_settings
from playwright.sync_api import Page

import devtools
from devtools.apps import DevtoolsConfig
from devtools.demo_control import channel
from devtools.testing.processes import Shop
from devtools.testing.shop import strange_words
from devtools.testing.shop.demo_in_test import DemoInTest
from kafka_bridge.models import DeadLetter

pytestmark = [pytest.mark.window, pytest.mark.kafka, pytest.mark.slow, pytest.mark.together]
BREAK, EXPERIMENTS = "/kafka/break/", "/kafka/experiments/"
_demo: list[DemoInTest] = []


@pytest.fixture
def demo(running_shop: Shop, real_kafka: Any) -> DemoInTest:
    """One for all tests of the file."""
    if not _demo:
        _demo.append(DemoInTest(running_shop, real_kafka))
        _demo[0].open()
    return _demo[0]


@pytest.fixture(scope="module", autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    while _demo:
        _demo.pop().close()


def state_of(demo: DemoInTest, process: str) -> str:
    """`T` is frozen, empty is gone."""
    if not demo.shop.supervisor.is_running(process):
        return ""
    status = Path(f"/proc/{demo.shop.supervisor.pid(process)}/stat").read_text()
    return status.rpartition(")")[2].split()[0]


def break_it(demo: DemoInTest, act: str, target: str = "", seconds: int = 3) -> None:
    """By the page's form."""
    answer = demo.post(BREAK, act=act, target=target, seconds=seconds)
    assert answer.status_code == 302, answer.text
    page = demo.get(f"{BREAK}?part=1").text
    assert "undone by itself in" in page
    assert "What is affected" in page


@pytest.mark.parametrize(
    ("act", "target", "broken"),
    [("freeze", "inventory", "T"), ("kill", "orders", ""), ("stop", "relay", ""), ("freeze", "broker 1", "T")],
)
def test_a_part_is_broken_for_a_while(demo: DemoInTest, act: str, target: str, broken: str) -> None:
    """Line 4: seen in the process, and undone though nobody looks at the page."""
    process = demo.control.breaker.parts.process(target)
    break_it(demo, act, target, seconds=4)
    assert state_of(demo, process) == broken
    demo.wait(lambda: state_of(demo, process) not in ("T", ""), f"{target} at work again")
    assert f"{target}, for 4 s. Undone:" in " ".join(demo.get(BREAK).text.split())


def test_it_can_be_undone_at_once(demo: DemoInTest) -> None:
    break_it(demo, "freeze", "shipping", seconds=120)
    [broken] = demo.control.breaker.as_object()["now"]
    assert demo.post(BREAK, act="freeze", target="shipping", seconds=5).status_code == 409
    assert demo.post(BREAK, undo=broken["id"]).status_code == 302
    assert state_of(demo, "shipping") != "T"


def test_the_bank_closes_and_opens(demo: DemoInTest) -> None:
    def answers() -> int:
        return httpx.post(f"{demo.shop.gateway_url}/v1/refunds", json={}, trust_env=False).status_code

    break_it(demo, "bank", seconds=4)
    assert answers() == 503
    demo.wait(lambda: answers() != 503, "an open bank")


def test_redis_is_flushed_and_fills_again(demo: DemoInTest) -> None:
    with redis.Redis.from_url(demo.shop.redis.url()) as client:
        client.set("left", 1)
        break_it(demo, "redis")
        assert client.get("left") is None
        demo.wait(lambda: client.info("keyspace"), "heartbeats")


def test_a_poison_message_is_given_up_and_cleared_away(demo: DemoInTest) -> None:
    """No console producer: every group that hears the topic has a dead letter of it, which is then discarded."""

    def letters(state: str) -> int:
        found = demo.shop.query(
            "SELECT count(*) FROM kafka_bridge_deadletter WHERE value = 'nonsense' AND state = %s", state
        )
        return int(found[0][0])

    before = letters(DeadLetter.State.DISCARDED)
    break_it(demo, "poison", seconds=3)
    demo.wait(lambda: letters(DeadLetter.State.DISCARDED) > before and not letters("parked"), "discarded letters")


def test_a_burst_of_orders_comes(demo: DemoInTest) -> None:
    def orders() -> int:
        return int(demo.shop.query("SELECT count(*) FROM orders_order")[0][0])

    before = orders()
    break_it(demo, "burst", seconds=3)
    demo.wait(lambda: orders() > before, "orders")
    demo.post(BREAK, undo=demo.control.breaker.as_object()["now"][0]["id"])
    assert not demo.shop.supervisor.is_running("burst")


def test_who_may_not_break(demo: DemoInTest) -> None:
    """Only a form of the page itself, from this machine, for a bounded time."""
    fields: dict[str, Any] = {"act": "kill", "target": "orders", "seconds": 5}
    assert demo.post(BREAK, has_token=False, **fields).status_code == 403
    assert demo.get(BREAK, **{"X-Forwarded-For": "127.0.0.1"}).status_code == 403
    for wrong in ({"seconds": 121}, {"seconds": "long"}, {"target": "postgres"}, {"act": "rm"}):
        assert demo.post(BREAK, **{**fields, **wrong}).status_code == 409
    assert demo.control.breaker.as_object()["now"] == []


def test_pressed_twice_it_is_broken_once(demo: DemoInTest) -> None:
    fields: dict[str, Any] = {"act": "freeze", "target": "analytics", "seconds": 60}
    assert [demo.post(BREAK, **fields).status_code for _ in range(2)] == [302, 409]
    [broken] = demo.control.breaker.as_object()["now"]
    assert demo.post(BREAK, undo=broken["id"]).status_code == 302
    assert demo.control.breaker.as_object()["now"] == []


@pytest.mark.security
@pytest.mark.parametrize("inputs", [25, pytest.param(250, marks=pytest.mark.prove)])
def test_strange_words_break_nothing(demo: DemoInTest, inputs: int) -> None:
    """Each is refused with words; what is broken is in a list, not in what was typed."""
    chance = random.Random(22)  # noqa: S311 - the same inputs each time
    for _ in range(inputs):
        page, names = chance.choice(
            ((BREAK, ("act", "target", "seconds", "undo")), (EXPERIMENTS, ("do", "name", "prediction")))
        )
        fields: dict[str, Any] = {name: strange_words.word(chance).encode(errors="replace").decode() for name in names}
        if chance.random() < 0.5:
            fields.pop("undo", None)
        answer = demo.post(page, **fields)
        assert answer.status_code in (302, 400, 409), (page, fields)
        assert "<script>alert" not in answer.text
    assert demo.get(BREAK, Host="evil.example").status_code == 400
    assert demo.control.breaker.as_object()["now"] == []
    assert not demo.control.experiments.as_object()["is_running"]


def test_without_a_demo_there_are_no_such_pages(settings: Any, tmp_path: Path) -> None:
    assert not django_settings.SHOW_DEMO_HINTS
    assert DevtoolsConfig("devtools", devtools).urlpatterns == []
    settings.STATE_DIR = tmp_path
    with pytest.raises(channel.NoDemo):
        channel.ask({"do": "look"})


@pytest.mark.browser
def test_an_experiment_in_a_browser(demo: DemoInTest, page: Page) -> None:
    """Line 3: a prediction, progress, a chart, a verdict."""
    with _ticking(demo):
        page.goto(f"{demo.shop.url}{EXPERIMENTS}", timeout=60_000)
        page.locator("summary", has_text="A key keeps the sequence").click()
        page.get_by_label("with a key and without one").check()
        page.get_by_role("button", name="Try it").and_(page.locator("details[open] button")).click()
        verdict = page.locator(".demo-verdict")
        verdict.wait_for(timeout=120_000)
        assert "What happened: only those with a key." in verdict.inner_text()
        assert page.locator(".demo-chart dt").all_inner_texts() == ["with a key", "without"]
        assert page.locator(".demo-chart rect").nth(0).get_attribute("width") == "0"


class _ticking:
    """The demo's loop in a thread, while a browser waits for it. It starts nothing that is to outlive the thread."""

    def __init__(self, demo: DemoInTest) -> None:
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[demo.tick], daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(60)

    def _run(self, tick: Callable[[], None]) -> None:
        while not self._is_over.wait(0.05):
            tick()
