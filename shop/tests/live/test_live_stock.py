"""Units left on open pages: what a page is told, how often, and what its socket refuses."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connections, transaction
from django.utils import timezone

from devtools.local.postgres import Postgres
from devtools.local.redis import Redis
from devtools.testing.shop.live_pages import Page, until
from devtools.testing.shop.storefront import a_book
from inventory import stock_adjustments
from inventory.reservations import holds
from shop.flashsales import flash_sales
from shop.live import conversation, live_stock
from shop.models import Book, FlashSale

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock]


def tell(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story in a loop of its own; afterwards nobody watches any more."""

    async def with_end() -> None:
        await story()
        await until(lambda: not live_stock.board.is_watching)

    asyncio.run(with_end())


async def hold(book: Book, orders: int) -> None:
    """So many orders of one copy each, in one batch."""

    def work() -> None:
        with transaction.atomic():
            holds.hold(
                requests=[holds.ReservationRequest(order_id=uuid.uuid4(), units={book.isbn: 1}) for _ in range(orders)]
            )
        connections.close_all()

    await asyncio.to_thread(work)


async def receive(book: Book, units: int) -> None:
    """Units arrive."""

    def work() -> None:
        with transaction.atomic():
            stock_adjustments.receive(quantities={book.isbn: units}, reason="test")
        connections.close_all()

    await asyncio.to_thread(work)


def a_sale(book: Book, *, starts_in: float, lasts: float = 3600, units: int = 5) -> FlashSale:
    """A sale of one book at 8.00."""
    starts_at = timezone.now() + timedelta(seconds=starts_in)
    with transaction.atomic():
        sale = FlashSale.objects.create(name="Sale", starts_at=starts_at, ends_at=starts_at + timedelta(seconds=lasts))
        sale.books.create(book=book, price_minor=800, units=units)
        flash_sales.set_aside(sale, by="test")
    return sale


def test_a_page_hears_the_state_of_its_books_first_and_then_only_what_changed() -> None:
    few, many, never = a_book(stock=3), a_book(stock=100), a_book(stock=0)

    async def story() -> None:
        page = await Page(few.isbn, many.isbn, never.isbn, "9790000000000").open()
        await page.until(lambda: page.messages)
        [first] = page.messages
        usual = {"phase": "none", "price": "$12.50"}
        assert first["type"] == "stock"
        assert first["books"] == {
            few.isbn: {"left": 3, "words": "Only 3 left", "level": "few", "most": 3, **usual},
            many.isbn: {"left": 100, "words": "In stock", "level": "enough", "most": 20, **usual},
            never.isbn: {"left": None, "words": "Not in stock yet", "level": "none", **usual},
        }
        await hold(few, 3)
        await page.shows(few, 0)
        await receive(few, 1)
        await page.shows(few, 1)
        assert [list(message["books"]) for message in page.messages[1:]] == [[few.isbn], [few.isbn]]
        assert page.books[few.isbn]["words"] == "Last copy"
        await page.leave()

    tell(story)


def test_hundreds_of_orders_are_a_few_messages_to_each_of_many_pages() -> None:
    book = a_book(stock=600)

    async def story() -> None:
        pages = await asyncio.gather(*(Page(book.isbn).open() for _ in range(100)))
        started = time.monotonic()
        for _ in range(60):
            await hold(book, 10)
            await asyncio.sleep(0.03)  # so that it takes a while
        await until(lambda: all(page.left(book) == 0 for page in pages))
        seconds = time.monotonic() - started
        for page in pages:
            # The first message came before the clock was started, or just after.
            assert 2 < len(page.messages) <= 3 * seconds + 2
            gaps = [later - earlier for earlier, later in zip(page.came_at, page.came_at[3:], strict=False)]
            assert all(gap > 0.9 for gap in gaps), "never more than three in a second"
        await asyncio.gather(*(page.leave() for page in pages))

    tell(story)


def test_who_comes_late_hears_everything() -> None:
    book, other = a_book(stock=5), a_book(stock=2)

    async def story() -> None:
        early = await Page(book.isbn).open()
        await early.shows(book, 5)
        await hold(book, 4)
        await early.shows(book, 1)
        late = await Page(book.isbn, other.isbn).open()
        await late.until(lambda: late.messages)
        assert {sku: shown["left"] for sku, shown in late.messages[0]["books"].items()} == {book.isbn: 1, other.isbn: 2}
        assert len(early.messages) == 2
        await early.leave()
        await late.leave()

    tell(story)


def test_a_page_that_does_not_read_is_sent_nothing_more_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "PING_SECONDS", 0.2)
    book = a_book(stock=50)

    async def story() -> None:
        deaf, awake = await Page(book.isbn, answers=False).open(), await Page(book.isbn).open()
        await deaf.shows(book, 50)
        for left in range(49, 43, -1):
            await hold(book, 1)
            await awake.shows(book, left)
        assert len(deaf.messages) <= 2
        assert deaf.closed_with is None
        await deaf.say('{"type": "pong"}')
        await deaf.shows(book, 44)
        assert len(deaf.messages) <= 3, "only the latest state"
        await deaf.leave()
        await awake.leave()

    tell(story)


def test_a_page_that_never_answers_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "PING_SECONDS", 0.1)
    monkeypatch.setattr(conversation, "ANSWER_SECONDS", 0.1)
    book = a_book()

    async def story() -> None:
        deaf = await Page(book.isbn, answers=False).open()
        await deaf.until(lambda: deaf.closed_with == 4408)

    tell(story)


def test_a_sale_starts_and_ends_without_being_asked() -> None:
    book = a_book(stock=10)
    sale = a_sale(book, starts_in=3, lasts=2, units=4)

    async def story() -> None:
        page = await Page(book.isbn).open()
        await page.until(lambda: page.books.get(book.isbn, {}).get("phase") == "over")
        seen = [message["books"][book.isbn] for message in page.messages]
        assert [(shown["phase"], shown["left"], shown["words"], shown["price"]) for shown in seen] == [
            ("upcoming", 6, "In stock", "$12.50"),
            ("running", 4, "4 of 4 left", "$8.00"),
            ("over", 6, "In stock", "$12.50"),
        ]
        times = {(shown["starts"], shown["ends"], shown["units"]) for shown in seen}
        assert times == {(iso(sale.starts_at), iso(sale.ends_at), 4)}
        await page.leave()

    tell(story)


def iso(moment: Any) -> str:
    """As it is written in JSON."""
    return str(moment.isoformat().replace("+00:00", "Z"))


def test_a_book_that_is_not_for_sale_any_more_is_null() -> None:
    book, other = a_book(), a_book()

    async def story() -> None:
        page = await Page(book.isbn, other.isbn).open()
        await page.shows(book, 10)
        await Book.objects.filter(pk=book.pk).aupdate(is_listed=False)
        await page.until(lambda: page.books[book.isbn] is None)
        assert page.messages[-1]["books"] == {book.isbn: None}
        await page.leave()

    tell(story)


def test_without_redis_pages_are_told_what_postgresql_says(redis_server: Redis) -> None:
    book = a_book(stock=5)

    async def story() -> None:
        page = await Page(book.isbn).open()
        await page.shows(book, 5)
        redis_server.kill()
        await hold(book, 1)
        await page.shows(book, 4)
        late = await Page(book.isbn).open()
        await late.shows(book, 4)
        redis_server.start()
        await hold(book, 1)
        await page.shows(book, 3)
        assert {message["type"] for message in page.messages} == {"stock"}
        await page.leave()
        await late.leave()

    tell(story)


def test_without_postgresql_pages_are_told_once_that_they_are_out_of_date(postgres_server: Postgres) -> None:
    book, other = a_book(stock=5), a_book(stock=7)

    async def story() -> None:
        page = await Page(book.isbn, other.isbn).open()
        await page.shows(book, 5)
        postgres_server.kill()
        await page.until(lambda: page.messages[-1] == {"type": "stale"})
        late = await Page(book.isbn).open()
        await late.until(lambda: late.messages == [{"type": "stale"}])
        await asyncio.sleep(4 * live_stock.POLL_SECONDS)  # a few more looks, of which nobody hears
        postgres_server.start()
        await page.until(lambda: page.messages[-1]["type"] == "stock", 30)
        assert [message["type"] for message in page.messages] == ["stock", "stale", "stock"]
        assert page.messages[-1]["books"].keys() == {book.isbn, other.isbn}, "all of it, whatever changed meanwhile"
        await late.shows(book, 5)
        await page.leave()
        await late.leave()

    tell(story)
    connections.close_all()  # this thread's own died with the server


def test_a_look_that_takes_too_long_is_told_as_well(monkeypatch: pytest.MonkeyPatch, postgres_server: Postgres) -> None:
    monkeypatch.setattr(live_stock, "STALE_AFTER_SECONDS", 0.5)
    address = postgres_server.url(connections["default"].settings_dict["NAME"])
    book = a_book(stock=5)

    async def story() -> None:
        page = await Page(book.isbn).open()
        await page.shows(book, 5)
        with psycopg.connect(address) as blocker:
            blocker.execute("LOCK TABLE shop_book IN ACCESS EXCLUSIVE MODE")
            await page.until(lambda: page.messages[-1] == {"type": "stale"})
        await page.until(lambda: page.messages[-1]["type"] == "stock")
        assert [message["type"] for message in page.messages] == ["stock", "stale", "stock"]
        await page.leave()

    tell(story)


def test_another_sites_page_is_refused() -> None:
    book = a_book()

    async def story() -> None:
        page = await Page(book.isbn).open(origin="http://evil.example")
        await page.until(lambda: page.is_denied)
        assert (page.messages, live_stock.board.is_watching) == ([], False)

    tell(story)


def test_sixty_books_and_no_more() -> None:
    book = a_book()
    others = [f"979000000{number:04}" for number in range(60)]

    async def story() -> None:
        full = await Page(book.isbn, *others[:59]).open()
        await full.shows(book, 10)
        await full.leave()
        await is_refused(Page(book.isbn, *others), 4400)

    tell(story)


@pytest.mark.parametrize(
    ("query", "code"), [("x=1", 4400), ("sku", 4400), ("sku=%ff", 4404), ("sku=9790000000000", 4404)]
)
def test_what_is_no_question_about_a_book_of_ours_is_refused(query: str, code: int) -> None:
    a_book()

    async def story() -> None:
        await is_refused(Page(query=query), code)

    tell(story)


async def is_refused(page: Page, code: int) -> None:
    """Its connection is closed with this code, and it is told nothing."""
    await page.open()
    await page.until(lambda: page.closed_with is not None)
    assert (page.closed_with, page.messages) == (code, [])


@pytest.mark.parametrize(
    "frame",
    ["hello?", "[]", '"pong"', '{"type":"resync"}', '{"type":"pong","x":"' + "x" * 4096 + '"}', "[" * 4000, b"\x00"],
    ids=["no JSON", "a list", "a word", "another type", "too long", "deep", "binary"],
)
def test_a_frame_that_is_no_answer_ends_the_connection(frame: str | bytes) -> None:
    book = a_book()

    async def story() -> None:
        page = await Page(book.isbn).open()
        await page.shows(book, 10)
        await page.say(*((frame,) if isinstance(frame, str) else (None, frame)))
        await page.until(lambda: page.closed_with == 4400)

    tell(story)
