"""What the address for webhooks answers, and what it keeps."""

import json
import threading
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from uuid_utils.compat import uuid7

from events import catalogue
from kafka_bridge import testing
from kafka_bridge.models import OutboxRow
from payments.gateways import sandbox, signatures
from payments.gateways.sandbox import SandboxGateway
from payments.models import Charge, GatewayNotice, Review

pytestmark = [pytest.mark.money, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sandbox_gateway")]
ADDRESS = "/webhooks/payments/"
OLD, NEW = "whsec_the_old_one", "whsec_the_new_one"  # made for the test
HEADER = sandbox.SIGNATURE_HEADER


@pytest.fixture(autouse=True)
def _secret(settings: Any, sandbox_gateway: SandboxGateway) -> None:
    settings.PAYMENT_WEBHOOK_SECRETS = [NEW]


@pytest.fixture
def charge() -> Charge:
    """One that waits for the buyer."""
    return Charge.objects.create(
        order_id=uuid4(), flow="reserve_first", amount_minor=1999, currency="USD", payment_method="pm_3ds",
        state=Charge.State.ACTION_REQUIRED, transaction_id=f"sbx_{uuid4().hex}",
    )  # fmt: skip


def told_of(charge: Charge | None = None, **changes: Any) -> bytes:
    """A webhook's body."""
    about = {"transaction_id": charge.transaction_id, "key": str(charge.pk)} if charge else {}
    data = {"transaction_id": "sbx_1", "key": str(uuid7()), **about, **changes.pop("data", {})}
    return json.dumps({
        "id": f"evt_{uuid4().hex}", "type": "payment.authorized", "created": int(time.time()), "data": data, **changes
    }).encode()  # fmt: skip


def post_webhook(
    client: Client, body: bytes, *, secret: str = NEW, at: int | None = None, header: str | None = None
) -> Any:
    """Send it as the gateway does."""
    signed = signatures.sign(body, secret=secret, at=int(time.time()) if at is None else at)
    headers = {HEADER: signed if header is None else header}
    return client.post(ADDRESS, body, content_type="application/json", headers=headers)


def nothing_was_kept() -> bool:
    return not (GatewayNotice.objects.exists() or OutboxRow.objects.exists() or Review.objects.exists())


def test_it_is_stored_and_stated(client: Client, charge: Charge) -> None:
    body = told_of(charge)
    response = post_webhook(client, body)
    assert (response.status_code, response.content) == (200, b"Stored.\n")
    notice = GatewayNotice.objects.get()
    assert (notice.event_id, notice.kind, notice.transaction_id, notice.charge, notice.body) == (
        json.loads(body)["id"], "payment.authorized", charge.transaction_id, charge, body.decode()
    )  # fmt: skip
    assert testing.stated() == [
        catalogue.PaymentNotified(
            order_id=charge.order_id, flow=charge.flow, charge_id=charge.pk, notice_id=notice.event_id
        )
    ]
    charge.refresh_from_db()
    assert charge.state == Charge.State.ACTION_REQUIRED, "nothing is believed of it"
    assert not Review.objects.exists()


def test_a_program_asks_so_there_is_no_session(charge: Charge) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies["sessionid"] = "of-somebody"
    response = post_webhook(client, told_of(charge))
    assert response.status_code == 200
    assert not response.cookies
    assert "Cookie" not in response.headers.get("Vary", "")
    assert "no-store" in response["Cache-Control"]


def test_the_same_event_again_is_nothing(client: Client, charge: Charge) -> None:
    body = told_of(charge)
    assert [post_webhook(client, body).content for _ in range(3)] == [
        b"Stored.\n",
        b"Known already.\n",
        b"Known already.\n",
    ]
    assert (GatewayNotice.objects.count(), len(testing.stated())) == (1, 1)


def test_the_same_event_at_the_same_time_is_stored_once(charge: Charge) -> None:
    body, together, answers = told_of(charge), threading.Barrier(6), []

    def send() -> None:
        together.wait(10)
        answers.append(post_webhook(Client(), body).content)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == [b"Known already.\n"] * 5 + [b"Stored.\n"]
    assert (GatewayNotice.objects.count(), len(testing.stated())) == (1, 1)


def test_a_webhook_may_overtake_the_answer(client: Client, charge: Charge) -> None:
    """We do not know the gateway's name for the payment yet; our own key finds the charge."""
    Charge.objects.update(transaction_id="", state=Charge.State.REQUESTED)
    assert post_webhook(client, told_of(charge)).status_code == 200
    assert GatewayNotice.objects.get().charge == charge
    assert [type(event) for event in testing.stated()] == [catalogue.PaymentNotified]
    assert not Review.objects.exists()


@pytest.mark.parametrize("key", ["", "not-a-uuid"])
def test_without_our_key_the_gateways_name_finds_it(client: Client, charge: Charge, key: str) -> None:
    assert post_webhook(client, told_of(charge, data={"key": key})).status_code == 200
    assert GatewayNotice.objects.get().charge == charge


def test_a_payment_of_which_we_know_nothing_needs_a_person(client: Client) -> None:
    for _ in range(2):
        assert post_webhook(client, told_of()).content == b"Stored.\n"
    assert [notice.charge for notice in GatewayNotice.objects.all()] == [None, None]
    review = Review.objects.get()
    assert (review.kind, review.subject, review.charge) == (Review.Kind.ORPHAN_PAYMENT, "sbx_1", None)
    assert review.detail == "The gateway told of sbx_1 (payment.authorized). No charge of ours is behind it."
    assert testing.stated() == []


def test_a_second_payment_under_one_key_needs_a_person(client: Client, charge: Charge) -> None:
    assert post_webhook(client, told_of(charge, data={"transaction_id": "sbx_second"})).status_code == 200
    review = Review.objects.get()
    assert (review.kind, review.subject, review.charge, review.order_id) == (
        Review.Kind.ORPHAN_PAYMENT, "sbx_second", charge, charge.order_id
    )  # fmt: skip


@pytest.mark.parametrize("state", [Charge.State.SUCCEEDED, Charge.State.FAILED, Charge.State.CANCELLED])
def test_a_charge_that_is_over_is_not_moved(client: Client, charge: Charge, state: Charge.State) -> None:
    """GatewayAnswer and kept; what contradicts our books is found where they are compared with the gateway's."""
    Charge.objects.update(state=state, settled_at="2026-01-01T00:00:00Z", next_attempt_at="2026-01-01T00:00:00Z")
    before = Charge.objects.values().get()
    assert post_webhook(client, told_of(charge, type="payment.captured")).status_code == 200
    [event] = testing.stated()
    testing.give("payments", event)
    assert Charge.objects.values().get() == before


# -- what is refused ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "case", ["wrong secret", "written again", "truncated", "stale", "early", "unsigned", "garbage"]
)
def test_a_forged_webhook_is_refused(client: Client, charge: Charge, case: str) -> None:
    body, now = told_of(charge), int(time.time())
    again = json.dumps(json.loads(body), separators=(",", ":")).encode()
    genuine = signatures.sign(body, secret=NEW, at=now)
    response = {
        "wrong secret": lambda: post_webhook(client, body, secret="whsec_of_somebody_else"),
        "written again": lambda: post_webhook(client, again, header=genuine),
        "truncated": lambda: post_webhook(client, body[:-1], header=genuine),
        "stale": lambda: post_webhook(client, body, at=now - 301),
        "early": lambda: post_webhook(client, body, at=now + 310),
        "unsigned": lambda: post_webhook(client, body, header=""),
        "garbage": lambda: post_webhook(client, body, header="t=1,v1=\u00e9,,=;"),
    }[case]()
    assert response.status_code == 400
    assert response.content.startswith(b"Refused: ")
    assert response["Content-Type"].startswith("text/plain")
    assert nothing_was_kept()


def test_a_replay_is_refused_though_it_was_genuine(client: Client, charge: Charge, settings: Any) -> None:
    body = told_of(charge)
    header = signatures.sign(body, secret=NEW, at=int(time.time()) - 400)
    assert post_webhook(client, body, header=header).content == b"Refused: signed too long ago, or in the future.\n"
    assert nothing_was_kept()


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b"null", b"\xff\xfe", '{"id": "ü'.encode("latin-1"), b'{"id": 1}',
        told_of(id="e" * 121), told_of(type="payment." + "k" * 80), told_of(data={"transaction_id": "t" * 121}),
        told_of(id="evt_\0"), told_of(id=""), told_of(created="soon"),
    ],
)  # fmt: skip
def test_a_signed_body_that_makes_no_sense(client: Client, body: bytes) -> None:
    assert post_webhook(client, body).status_code == 400
    assert nothing_was_kept()


def test_a_huge_body_is_not_even_read(client: Client, charge: Charge) -> None:
    fits = told_of(charge, padding="x" * 60_000)
    assert post_webhook(client, fits).status_code == 200
    assert post_webhook(client, told_of(charge, padding="x" * 65_536)).status_code == 413
    pretended = client.generic("POST", ADDRESS, b"{}", CONTENT_LENGTH="9" * 40)
    assert pretended.status_code == 413
    assert GatewayNotice.objects.count() == 1


@pytest.mark.parametrize("length", ["", "many", "-1", "٣"])
def test_a_body_of_unknown_length_is_refused(client: Client, length: str) -> None:
    """As chunked ones are: their length is known only when all of it was read."""
    assert client.generic("POST", ADDRESS, b"{}", CONTENT_LENGTH=length).status_code == 411


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_post(client: Client, method: str) -> None:
    response = client.generic(method, ADDRESS)
    assert (response.status_code, response["Allow"]) == (405, "POST")


def test_while_the_secret_is_changed(client: Client, charge: Charge, settings: Any) -> None:
    statuses = {}
    for secrets in ([OLD], [OLD, NEW], [NEW]):
        settings.PAYMENT_WEBHOOK_SECRETS = secrets
        statuses[len(secrets), secrets[-1]] = [
            post_webhook(client, told_of(charge), secret=secret).status_code for secret in (OLD, NEW)
        ]
    assert statuses == {(1, OLD): [200, 400], (2, NEW): [200, 200], (1, NEW): [400, 200]}


def test_without_a_secret_all_are_refused(client: Client, charge: Charge, settings: Any) -> None:
    settings.PAYMENT_WEBHOOK_SECRETS = []
    for secret in (OLD, NEW, ""):
        assert post_webhook(client, told_of(charge), secret=secret).status_code == 400
    assert nothing_was_kept()


# -- when it cannot be stored -----------------------------------------------------------------------------------------
def test_without_the_database_the_gateway_shall_send_it_again(
    client: Client, charge: Charge, request: pytest.FixtureRequest
) -> None:
    body = told_of(charge)
    request.getfixturevalue("database_away")
    response = post_webhook(client, body)
    assert (response.status_code, response["Retry-After"]) == (503, "30")
    forged = post_webhook(client, body, header="t=1,v1=2")
    assert forged.status_code == 400, "that needs no database"


def test_half_of_it_is_nothing(client: Client, charge: Charge) -> None:
    """The notice and the event are stored together: without the one the other is not there either."""
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE kafka_bridge_outboxrow ADD CONSTRAINT no CHECK (type <> 'payment.notified') NOT VALID"
        )
    client.raise_request_exception = False
    body = told_of(charge)
    try:
        assert post_webhook(client, body).status_code == 500
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE kafka_bridge_outboxrow DROP CONSTRAINT no")
    assert nothing_was_kept()
    assert post_webhook(client, body).content == b"Stored.\n"
    assert UUID(str(GatewayNotice.objects.get().charge_id)) == charge.pk


@pytest.mark.security
@pytest.mark.parametrize("body", [b"[" * 50_000, b'{"a":' * 10_000, told_of(id="\ud800"), b'{"id":' + b"9" * 50_000])
def test_a_genuine_body_that_makes_no_sense_is_refused(client: Client, body: bytes) -> None:
    assert post_webhook(client, body).status_code == 400
    assert nothing_was_kept()
