"""The window on Kafka of a whole running shop: true to the offset, an order is followed, each card decides."""

import json
import re
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from playwright.sync_api import Browser, Page, expect
from websockets.sync.client import ClientConnection, connect

from devtools.testing.processes import Shop
from devtools.testing.shop.kafka_pages import KafkaPages
from devtools.testing.shop.storefront import CONTACT
from kafka_bridge.runtime import waiting
from shop.kafka_window.cards.concepts import CARDS

pytestmark = [pytest.mark.window, pytest.mark.browser, pytest.mark.kafka, pytest.mark.together]
SEEN_MS = 60_000
Key = tuple[str, str, int]
[LAG] = [card for card in CARDS if card.name == "lag"]


@pytest.fixture(scope="module")
def _served() -> Iterator[list[KafkaPages]]:
    started: list[KafkaPages] = []
    yield started
    for each in started:
        each.stop()


@pytest.fixture
def window(running_shop: Shop, _served: list[KafkaPages], tmp_path_factory: pytest.TempPathFactory) -> KafkaPages:
    """The window as a demo serves it, one process for the whole file."""
    if not _served:
        _served.append(KafkaPages(running_shop, tmp_path_factory.mktemp("window") / "log"))
    return _served[0]


@pytest.fixture
def page(browser: Browser, window: KafkaPages) -> Iterator[Page]:
    """A visitor's page, which must run without errors and within the content security policy."""
    context = browser.new_context(base_url=window.url)
    opened, errors = context.new_page(), list[str]()
    opened.set_default_timeout(SEEN_MS)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
    yield opened
    context.close()
    assert errors == []


def place_order(shop: Shop) -> str:
    """An order over the JSON interface; returns its id."""
    ((sku,),) = shop.query(
        "SELECT sku FROM inventory_stock WHERE bin = sku ORDER BY received - held - sold DESC LIMIT 1"
    )
    body = {
        **CONTACT, "idempotency_key": str(uuid.uuid4()), "lines": [{"sku": sku, "quantity": 1}],
        "payment_method": "pm_success",
    }  # fmt: skip
    request = urllib.request.Request(  # noqa: S310 - our own shop
        f"{shop.url}/api/orders/", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        placed: dict[str, Any] = json.load(answer)
    return str(placed["order"])


def told_by_brokers(shop: Shop) -> dict[Key, dict[str, Any]]:
    """By group, topic and partition, what the brokers say."""
    rows = json.loads(shop.manage("show_lag", "--json"))["partitions"]
    return {(row["group"], row["topic"], row["partition"]): row for row in rows}


def number(text: str) -> int:
    """An offset of the page's; nothing committed is before all of them."""
    return int(text) if text.isdigit() else -1


def test_every_offset_owner_and_lag_is_the_brokers(window: KafkaPages, running_shop: Shop) -> None:
    """Under load what the page says lies between what the brokers said before and after; at rest it is the same."""
    stop = threading.Event()

    def buy() -> None:
        while not stop.wait(0.1):
            place_order(running_shop)

    buyer = threading.Thread(target=buy)
    buyer.start()
    try:
        for _ in range(2):
            before = told_by_brokers(running_shop)
            shown = once_past(window, before)
            after = told_by_brokers(running_shop)
            for key, row in shown.items():
                assert number(row["end"]) <= after[key]["end"], key
                assert number(row["committed"]) <= committed(after[key]), key
                assert int(row["lag"]) <= max(0, after[key]["end"] - max(0, committed(before[key]))), key
                assert row["owner"] in {each[key]["owner"] or "nobody" for each in (before, after)}, key
    finally:
        stop.set()
        buyer.join(60)
    waiting.until(lambda: differences(window, running_shop) == [], what="the same at rest", timeout_seconds=180)


def committed(row: dict[str, Any]) -> int:
    """As `number`."""
    return -1 if row["committed"] is None else int(row["committed"])


def once_past(window: KafkaPages, before: dict[Key, dict[str, Any]]) -> dict[Key, dict[str, str]]:
    """What the page says as soon as it has got as far as this."""
    shown: dict[Key, dict[str, str]] = {}

    def is_past() -> bool:
        shown.clear()
        shown.update(window.partitions())
        return all(
            key in shown
            and number(shown[key]["end"]) >= row["end"]
            and number(shown[key]["committed"]) >= committed(row)
            for key, row in before.items()
            if row["end"]
        )

    waiting.until(is_past, what="the page is as far as the brokers were", timeout_seconds=60)
    return shown


def differences(window: KafkaPages, shop: Shop) -> list[tuple[Key, dict[str, str]]]:
    """Where the page says something else than the brokers. It leaves out topics that nothing was ever written to."""
    shown, told = window.partitions(), told_by_brokers(shop)
    expected = {
        key: {
            "end": str(row["end"]),
            "committed": "nothing" if row["committed"] is None else str(row["committed"]),
            "lag": str(row["messages"]),
            "owner": row["owner"] or "nobody",
        }
        for key, row in told.items()
        if row["end"]
    }
    return [(key, shown.get(key, {})) for key, row in expected.items() if shown.get(key) != row]


def test_an_order_is_followed(page: Page, window: KafkaPages, running_shop: Shop) -> None:
    """F11: from its messages in their logs to what one of them holds, why it lies there, and what it caused."""
    order = place_order(running_shop)
    page.goto(f"/kafka/?order={order}")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    mine = page.locator(".kafka-log [data-mine] a")
    expect(mine.first).to_be_visible()
    tree = page.locator(".kafka-tree li")
    expect(tree.first).to_contain_text("order.created")
    expect(page.locator(".kafka-tree [data-depth='1']").first).to_contain_text("inventory.reserved")
    expect(page.locator(".kafka-tree")).to_contain_text("order.confirmed")

    page.locator(".kafka-tree a", has_text="orders.events").first.press("Enter")
    message = page.locator("[data-message]")
    expect(message).to_contain_text("CRC32(key) = ")
    expect(message.locator("[data-group='inventory']")).to_contain_text("in its inbox since")
    expect(message.locator("pre")).to_contain_text("total_minor")
    expect(message).to_contain_text("ce_correlationid")
    topic, partition, offset = (message.get_attribute("data-message") or "").split("/")
    [row] = running_shop.query(
        'SELECT type, partition, "offset" FROM kafka_bridge_outboxrow WHERE key = %s ORDER BY id LIMIT 1', order
    )
    assert (topic, row) == ("orders.events", ("order.created", int(partition), int(offset)))


def test_a_box_is_a_message_and_the_drawing_says_what_the_tables_say(page: Page, running_shop: Shop) -> None:
    """Its number is its offset; below a partition stand its groups, with what they have committed and have to read."""
    order = place_order(running_shop)
    waiting.until(lambda: len(messages_of(running_shop, order)) >= 2, what="the order's messages", timeout_seconds=120)
    page.goto(f"/kafka/?order={order}")
    type_of, partition, offset = messages_of(running_shop, order)[0]
    lane = page.locator(f"[data-topic='orders.events'] [data-partition='{partition}']")
    box = lane.locator(f"li[data-key='{offset}']")
    expect(box).to_have_attribute("data-mine", "")
    expect(box).to_have_text(f"{offset} {type_of.rpartition('.')[2]}")
    offsets = [int(words) for words in lane.locator(".kafka-number-of").all_inner_texts()]
    assert offsets == sorted(offsets), "it grows to the right"
    expect(page.locator("section", has=page.locator("#outbox"))).to_contain_text(f"orders.events {partition}@")
    expect(page.locator("section", has=page.locator("#inbox"))).to_contain_text("inventory")
    waiting.until(lambda: drawn(page) == tabled(page), what="both say the same", timeout_seconds=120)


def messages_of(shop: Shop, order: str) -> list[tuple[str, int, int]]:
    """Type, partition and offset of what orders has stated about an order and the relay has sent."""
    return shop.query(
        'SELECT type, partition, "offset" FROM kafka_bridge_outboxrow '
        "WHERE key = %s AND topic = 'orders.events' AND published_at IS NOT NULL ORDER BY id",
        order,
    )


def drawn(page: Page) -> set[tuple[str, ...]]:
    """Topic, partition, group, committed and lag, as the drawing shows them."""
    page.goto("/kafka/")
    rows: list[list[str]] = page.evaluate(
        """() => [...document.querySelectorAll(".kafka-readers li")].map((li) => [
            li.closest("[data-topic]").dataset.topic, li.closest("[data-partition]").dataset.partition,
            li.dataset.group, li.dataset.committed || "nothing", li.dataset.lag])"""
    )
    return {tuple(row) for row in rows}


def tabled(page: Page) -> set[tuple[str, ...]]:
    """The same, as the tables show it."""
    page.goto("/kafka/?as=table")
    rows: list[list[str]] = page.evaluate(
        """() => [...document.querySelectorAll("tr[data-key]")].map((tr) => [...tr.cells].map((td) => td.textContent))
            .filter((cells) => cells.length === 9 && cells[6]).map((c) => [c[0], c[1], c[5], c[6], c[7]])"""
    )
    return {tuple(row) for row in rows}


def test_only_what_has_changed_is_sent(window: KafkaPages, running_shop: Shop) -> None:
    """And to a page from before there were parts, all of it."""
    address = window.url.replace("http", "ws") + "/kafka/socket/"
    with (
        connect(f"{address}?parts=1", proxy=None, max_size=None) as socket,
        connect(address, proxy=None, max_size=None) as older,
    ):
        first = heard(socket, "parts")
        assert set(first["parts"]) == {str(number) for number in range(first["count"])}
        assert "".join(first["parts"].values()).startswith(heard(older, "html")["html"][:20])
        place_order(running_shop)
        changed = heard(socket, "parts")
        assert 0 < len(changed["parts"]) < changed["count"]


def heard(socket: ClientConnection, name: str) -> dict[str, Any]:
    """The next message that has this; each is answered."""
    while True:
        message: dict[str, Any] = json.loads(socket.recv(timeout=60))
        socket.send('{"type":"pong"}')
        if name in message:
            return message


def test_it_is_paused_and_stepped(page: Page, running_shop: Shop) -> None:
    page.goto("/kafka/")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    held = page.locator("[data-window]").inner_html()
    place_order(running_shop)
    expect(page.locator("[data-waiting]")).to_contain_text(re.compile("Paused; [1-9]"))
    assert page.locator("[data-window]").inner_html() == held
    page.get_by_role("button", name="Step").click()
    assert page.locator("[data-window]").inner_html() != held
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("[data-waiting]")).to_have_text("")


def test_the_last_state_is_there_without_javascript(window: KafkaPages, running_shop: Shop) -> None:
    order = place_order(running_shop)
    # Its way is told by the tables, and the drawing by the brokers, each when it was looked at last.
    waiting.until(
        lambda: (
            "order.confirmed" in (html := window.get(f"/kafka/?order={order}"))
            and f'data-story="{order}" data-mine' in html
        ),
        what="the story and its messages in the drawing",
        timeout_seconds=60,
    )
    assert 'data-topic="orders.events"' in window.get(f"/kafka/?order={order}")


def test_on_a_phone_nothing_is_cut_off(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    for path in ("/kafka/", "/kafka/?as=table", "/kafka/cards/"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, path


def test_elsewhere_it_is_for_staff(running_shop: Shop) -> None:
    """The shop's own live process is no demo."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError, match="403"):
        opener.open(f"http://127.0.0.1:{running_shop.port + 1}/kafka/", timeout=60)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_each_card_decides(page: Page, card: Any) -> None:
    """W1: guessed, done, and a verdict read from the broker; what was done is remembered."""
    page.goto(f"/kafka/cards/#{card.name}")
    shown = page.locator(f"[data-card='{card.name}']")
    shown.get_by_role("button", name="Do it").click()
    expect(shown.locator("[data-verdict]")).to_contain_text("Guess first")
    right = dict(card.choices)[RIGHT[card.name]]
    shown.get_by_label(right, exact=True).check()
    shown.get_by_role("button", name="Do it").click()
    expect(shown.locator("[data-verdict]")).to_contain_text("You were right.")
    page.reload()
    expect(shown).to_have_attribute("data-done", "right")


RIGHT = {
    "event": "all", "topic": "3", "key": "1", "offset": "3", "acks": "nothing", "group": "each", "rebalance": "other",
    "lag": "6", "once": "6-3", "retry": "aside", "replay": "3", "retention": "5", "cluster": "leader",
}  # fmt: skip


def test_nothing_of_a_card_is_left(page: Page, running_shop: Shop) -> None:
    page.goto("/kafka/cards/#lag")
    shown = page.locator("[data-card='lag']")
    shown.get_by_label(dict(LAG.choices)[RIGHT["lag"]], exact=True).check()
    shown.get_by_role("button", name="Do it").click()
    expect(shown.locator("[data-verdict]")).to_contain_text("You were right.")
    admin = AdminClient({"bootstrap.servers": running_shop.environment["KAFKA_BOOTSTRAP_SERVERS"]})
    prefix = running_shop.environment["KAFKA_TOPIC_PREFIX"] + "cards."

    def is_gone() -> bool:
        return not [name for name in admin.list_topics(timeout=20).topics if name.startswith(prefix)]

    waiting.until(is_gone, what="the end of the card's topic", timeout_seconds=60)


def test_ten_questions_are_answered_by_the_shop(page: Page) -> None:
    page.goto("/kafka/cards/")
    questions = page.locator(".kafka-questions details")
    expect(questions).to_have_count(10)
    questions.first.locator("summary").click()
    expect(questions.first).to_contain_text("Here, now: orders.events holds")
