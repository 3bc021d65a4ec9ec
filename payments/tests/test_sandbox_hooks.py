"""The bank's webhooks: what is told, how often, in which order, and until it is accepted."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from devtools.testing.payments.sandbox_bank import InProcessGateway
from kafka_bridge.runtime import waiting
from payments.gateways import WebhookEvent, http_pool, signatures
from payments.sandbox.bank import Bank
from payments.sandbox.hooks import GIVE_UP_AFTER_SECONDS, HEADER, Sender

pytestmark = pytest.mark.money
SECRET = "hook-secret"


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class Listener:
    """A shop that takes webhooks; at first, it may not accept some."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, str]] = []
        self.refuses = 0
        self.is_away = False
        self._lock = threading.Lock()

    def call(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str]) -> http_pool.HttpReply:
        """See `http_pool.Transport.call`."""
        with self._lock:
            if self.is_away:
                raise ConnectionRefusedError("nobody there")
            self.received.append((body, headers[HEADER]))
            self.refuses -= 1
            return http_pool.HttpReply(500 if self.refuses >= 0 else 200, b"")

    @property
    def types(self) -> list[str]:
        """What was received, oldest first."""
        return [json.loads(body)["type"] for body, _ in self.received]


@pytest.fixture
def clock() -> Clock:
    """The bank's time."""
    return Clock()


@pytest.fixture
def bank(tmp_path: Path, clock: Clock) -> Iterator[Bank]:
    """An empty one."""
    bank = Bank(tmp_path / "ledger.sqlite3", now=clock)
    yield bank
    bank.close()


@pytest.fixture
def listener() -> Listener:
    """One that accepts everything."""
    return Listener()


@pytest.fixture
def sender(bank: Bank, listener: Listener) -> Iterator[Sender]:
    """Not started: `send_due` is called by the test."""
    sender = Sender(bank, url="http://shop.example/", secrets=[SECRET, "older"], transport=listener)
    yield sender
    sender.stop()


def play(bank: Bank, card: str) -> str:
    """Authorize, capture, refund; the name of the payment."""
    found = bank.authorize(key="k", amount_minor=1000, currency="USD", card=card).payment.transaction_id
    bank.capture(key="c", transaction_id=found, amount_minor=1000)
    bank.refund(key="r", transaction_id=found, amount_minor=300)
    return found


def test_what_was_told_in_an_answer_is_not_told_again(bank: Bank, sender: Sender) -> None:
    play(bank, "pm_success")
    bank.authorize(key="no", amount_minor=1, currency="USD", card="pm_declined")
    assert sender.send_due() == 0


def test_what_was_told_in_a_lost_answer_is_told_once(bank: Bank, sender: Sender, listener: Listener) -> None:
    play(bank, "pm_charges_then_times_out")
    play(bank, "pm_charges_then_times_out")
    assert sender.send_due() == 3
    assert sorted(listener.types) == ["payment.authorized", "payment.captured", "payment.refunded"]
    assert sender.send_due() == 0


@pytest.mark.parametrize(("answer", "told"), [("confirm", "payment.authorized"), ("refuse", "payment.declined")])
def test_the_buyers_answer_is_told(bank: Bank, sender: Sender, listener: Listener, answer: str, told: str) -> None:
    payment = bank.authorize(key="k", amount_minor=1, currency="USD", card="pm_3ds").payment.transaction_id
    assert sender.send_due() == 0
    getattr(bank, answer)(payment)
    assert sender.send_due() == 1
    [(body, _)] = listener.received
    event = json.loads(body)
    assert event["id"].startswith("evt_")
    assert (event["type"], event["data"]) == (told, {"transaction_id": payment, "key": "k"})
    assert abs(event["created"] - time.time()) < 60


def test_doubled_messages_are_the_same_message_twice(bank: Bank, sender: Sender, listener: Listener) -> None:
    play(bank, "pm_hooks_twice")
    assert sender.send_due() == 6
    bodies = [body for body, _ in listener.received]
    assert len(set(bodies)) == 3
    assert all(bodies.count(body) == 2 for body in bodies)


def test_late_messages_come_in_the_wrong_order(bank: Bank, clock: Clock, sender: Sender, listener: Listener) -> None:
    play(bank, "pm_hooks_shuffled")
    for _ in range(4):
        sender.send_due()
        clock.now += 1
    assert listener.types == ["payment.refunded", "payment.captured", "payment.authorized"]


def test_what_is_declined_later_changes_nothing_and_is_not_told(bank: Bank, sender: Sender) -> None:
    payment = play(bank, "pm_hooks_twice")
    sender.send_due()
    bank.refund(key="too much", transaction_id=payment, amount_minor=1000)
    bank.void(key="too late", transaction_id=payment)
    assert sender.send_due() == 0


def test_a_webhook_is_sent_until_it_is_accepted(bank: Bank, clock: Clock, sender: Sender, listener: Listener) -> None:
    bank.authorize(key="k", amount_minor=1, currency="USD", card="pm_charges_then_times_out")
    listener.refuses = 2
    waits: list[int] = []
    for _ in range(3):
        waited = 0
        while not (received := len(listener.received)) or received == len(waits):
            sender.send_due()
            clock.now += 0.5
            waited += 1
            assert waited < 100
        waits.append(waited)
    assert waits == [1, 2, 4], "after a second, then after two"
    assert len({body for body, _ in listener.received}) == 1
    clock.now += 1000
    assert sender.send_due() == 0


def test_a_webhook_is_kept_while_the_shop_is_away_and_over_a_restart(
    bank: Bank, clock: Clock, sender: Sender, listener: Listener, tmp_path: Path
) -> None:
    bank.authorize(key="k", amount_minor=1, currency="USD", card="pm_charges_then_times_out")
    listener.is_away = True
    assert sender.send_due() == 0
    bank.close()
    reopened = Bank(tmp_path / "ledger.sqlite3", now=clock)
    listener.is_away = False
    later = Sender(reopened, url="http://shop.example/", secrets=[SECRET], transport=listener)
    assert later.send_due() == 0, "not due yet"
    clock.now += 2
    assert later.send_due() == 1
    later.stop()
    reopened.close()


def test_a_webhook_that_nobody_takes_for_days_is_given_up(
    bank: Bank, clock: Clock, sender: Sender, listener: Listener
) -> None:
    clock.now -= GIVE_UP_AFTER_SECONDS + 60
    bank.authorize(key="k", amount_minor=1, currency="USD", card="pm_charges_then_times_out")
    listener.is_away = True
    assert sender.send_due() == 0
    clock.now += GIVE_UP_AFTER_SECONDS
    assert bank.due_hooks(limit=1) == []


def test_a_webhook_is_signed_with_the_first_secret(bank: Bank, sender: Sender, listener: Listener) -> None:
    bank.authorize(key="k", amount_minor=1, currency="USD", card="pm_charges_then_times_out")
    sender.send_due()
    [(body, header)] = listener.received
    signatures.verify(body, header, secrets=[SECRET])


def test_the_thread_sends_by_itself(bank: Bank, listener: Listener) -> None:
    sender = Sender(bank, url="http://shop.example/", secrets=[SECRET], transport=listener)
    sender.start()
    bank.authorize(key="k", amount_minor=1, currency="USD", card="pm_charges_then_times_out")
    waiting.until(lambda: listener.received, what="a webhook", timeout_seconds=60)
    sender.stop()


def test_without_a_secret_nothing_is_kept_nor_sent(
    tmp_path: Path, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    bank = Bank(tmp_path / "ledger.sqlite3", sends_hooks=False)
    sender = Sender(bank, url="http://shop.example/", secrets=[""], transport=listener)
    sender.start()
    play(bank, "pm_hooks_twice")
    assert bank.due_hooks(limit=1) == []
    assert [record.message for record in caplog.records] == [
        "PAYMENT_WEBHOOK_SECRETS is empty: the sandbox gateway sends no webhooks"
    ]
    sender.stop()
    bank.close()


def test_the_client_reads_what_the_bank_sends(
    settings: object, sandbox_gateway: InProcessGateway, bank: Bank, sender: Sender, listener: Listener
) -> None:
    settings.PAYMENT_WEBHOOK_SECRETS = ["newer", SECRET]  # type: ignore[attr-defined]
    payment = bank.authorize(key="k", amount_minor=1, currency="USD", card="pm_charges_then_times_out").payment
    sender.send_due()
    [(body, header)] = listener.received
    event = sandbox_gateway.read_webhook(body=body, headers={HEADER.upper(): header})
    assert isinstance(event, WebhookEvent)
    assert (event.kind, event.transaction_id, event.key) == ("payment.authorized", payment.transaction_id, "k")
    assert abs(event.at.timestamp() - time.time()) < 60
