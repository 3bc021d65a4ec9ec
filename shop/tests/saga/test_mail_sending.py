"""Sending mails: one that fails is alone with it, several processes share them, what failed waits for a person."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.template import loader
from django.test import Client
from django.utils import timezone

from devtools.testing.shop import mail_server
from devtools.testing.shop.mail_server import MailServer
from devtools.testing.shop.orders import draft
from kafka_bridge.runtime import error_classes
from orders import jobs, mail_sending, mails
from orders.actions import failed_mails
from orders.models import Order, OrderMail
from orders.placing import placement
from shop import audit
from shop.models import AuditEntry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security]


@pytest.fixture
def server(settings: Any) -> Iterator[MailServer]:
    with mail_server.serving(settings) as running:
        yield running


def owed(*addresses: str) -> list[OrderMail]:
    """A mail to each of these."""
    ids = [placement.place(draft()).order_id for _ in addresses]
    for order_id, address in zip(ids, addresses, strict=True):
        Order.objects.filter(pk=order_id).update(email=address)
    mails.queue(order_ids=ids, kind=OrderMail.Kind.CONFIRMED)
    return [OrderMail.objects.get(order=order_id) for order_id in ids]


def send_all() -> None:
    while mail_sending.send_due():
        pass


def test_xe9_two_processes_and_a_slow_mail_server_send_each_mail_once(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_sending, "ROUND_SECONDS", 0.2)
    monkeypatch.setattr(mail_sending, "LEASE_SECONDS", 2.0)
    server.seconds_a_mail = 0.1
    owed(*(f"reader{number}@example.org" for number in range(30)))

    def process() -> None:
        try:
            # Whoever finds nothing due looks again: the rest may be in the hands of the other one.
            while OrderMail.objects.filter(sent_at=None).exists():
                mail_sending.send_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(process), pool.submit(process)]:
            future.result(30)
    assert Counter(server.taken) == Counter({f"reader{number}@example.org": 1 for number in range(30)})
    assert set(OrderMail.objects.values_list("attempts", flat=True)) == {1}, "what was given back was not tried"


def test_a_round_has_an_end_so_that_sigterm_is_heard(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_sending, "ROUND_SECONDS", 0.2)
    server.seconds_a_mail = 0.15
    owed(*(f"reader{number}@example.org" for number in range(5)))
    assert mail_sending.send_due() is True
    assert len(server.taken) == 2
    assert OrderMail.objects.filter(sent_at=None, attempts=0, next_attempt_at__lte=timezone.now()).count() == 3


def test_xa2_an_address_that_cannot_be_written_fails_alone(server: MailServer) -> None:
    healthy, impossible, last = owed("a@example.org", "a@xn--\u00e9.com", "z@example.org")
    send_all()
    assert sorted(server.taken) == [healthy.order.email, last.order.email]
    impossible.refresh_from_db()
    assert impossible.has_failed
    assert impossible.last_error.startswith("UnicodeError: ")


def test_xe9_refused_for_good_is_tried_once_and_refused_for_now_again(server: MailServer) -> None:
    gone, full = owed("gone@example.org", "full@example.org")
    server.refused = {"gone": "550 no such user", "full": "452 try later"}
    send_all()
    gone.refresh_from_db()
    full.refresh_from_db()
    assert (gone.has_failed, gone.attempts, gone.last_error) == (True, 1, "gone@example.org: 550 no such user")
    assert (full.has_failed, full.attempts) == (False, 1)
    assert full.next_attempt_at > timezone.now()
    OrderMail.objects.filter(pk=full.pk).update(attempts=mail_sending.ATTEMPTS - 1, next_attempt_at=full.created_at)
    send_all()
    full.refresh_from_db()
    assert (full.has_failed, full.last_error) == (True, "full@example.org: 452 try later"), "attempts have a bound"


def test_a_template_that_breaks_is_the_matter_of_its_mail(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, healthy = owed("a@example.org", "z@example.org")
    render = loader.render_to_string

    def break_for_one(template: str, context: dict[str, Any]) -> str:
        if context["order"].pk == broken.order_id:
            raise KeyError("price")
        return render(template, context)

    monkeypatch.setattr(mail_sending, "render_to_string", break_for_one)
    send_all()
    assert server.taken == [healthy.order.email]
    broken.refresh_from_db()
    assert (broken.has_failed, broken.attempts, broken.last_error) == (False, 1, "KeyError: 'price'")


def test_xe5_a_silent_mail_server_holds_nobody_and_nothing_is_counted_or_lost(
    server: MailServer, settings: Any
) -> None:
    settings.EMAIL_TIMEOUT = 0.3
    [mail] = owed("a@example.org")
    server.is_silent = True
    with pytest.raises(error_classes.Unavailable, match=r"no mail server .*timed out"):
        mail_sending.send_due()
    mail.refresh_from_db()
    assert (mail.attempts, mail.last_error) == (0, "")
    server.is_silent = False
    send_all()
    assert server.taken == ["a@example.org"]


def test_no_mail_server_at_all_is_waited_out(settings: Any) -> None:
    with mail_server.serving(settings):
        pass
    [mail] = owed("a@example.org")
    with pytest.raises(error_classes.Unavailable, match="Connection refused"):
        mail_sending.send_due()
    mail.refresh_from_db()
    assert (mail.attempts, mail.sent_at) == (0, None)


def test_one_who_lost_a_claim_writes_no_failure_over_the_others_success(server: MailServer) -> None:
    [mail] = owed("a@example.org")
    [claimed] = mail_sending._claim()
    OrderMail.objects.update(next_attempt_at=mail.created_at)  # the lease has ended: it was frozen
    send_all()
    mail_sending._note_failure(claimed, ValueError("late"))
    mail_sending._give_back([claimed])
    mail.refresh_from_db()
    assert (mail.sent_at is not None, mail.failed_at, mail.attempts) == (True, None, 2)


# -- What a person sees and does ------------------------------------------------------------------
def failed(server: MailServer) -> OrderMail:
    [mail] = owed("gone@example.org")
    server.refused = {"gone": "550 no such user"}
    send_all()
    return OrderMail.objects.select_related("order").get(pk=mail.pk)


def decide_page(mail: OrderMail) -> str:
    return f"/admin/orders/ordermail/{mail.pk}/decide/"


def test_xa2_a_failed_mail_is_shown_with_its_reason_and_sent_to_the_corrected_address(
    server: MailServer, admin_client: Client
) -> None:
    mail = failed(server)
    start = admin_client.get("/admin/").content.decode()
    assert "Mails that failed" in start
    listed = admin_client.get("/admin/orders/ordermail/", {"sending": "failed"})
    assert list(listed.context["cl"].result_list) == [mail]
    for page in (f"/admin/orders/ordermail/{mail.pk}/change/", f"/admin/orders/order/{mail.order_id}/change/"):
        assert "550 no such user" in admin_client.get(page).content.decode()
    page = admin_client.get(decide_page(mail)).content.decode()
    assert all(button in page for button in ('value="again"', 'value="correct"', 'value="give-up"'))
    wrong = admin_client.post(decide_page(mail), {"do": "correct", "email": "no address"})
    assert "valid email address" in wrong.content.decode()
    admin_client.post(decide_page(mail), {"do": "correct", "email": "here@example.org"})
    send_all()
    assert server.taken == ["here@example.org"]
    entry = AuditEntry.objects.get(what="mail address corrected")
    assert (entry.before, entry.after) == ({"email": "gone@example.org"}, {"email": "here@example.org"})


def test_a_failed_mail_is_tried_again_once_however_often_the_button_is_pressed(
    server: MailServer, admin_client: Client
) -> None:
    mail = failed(server)
    server.refused = {}
    answers = [admin_client.post(decide_page(mail), {"do": "again"}, follow=True) for _ in range(2)]
    assert "The mail is tried again." in answers[0].content.decode()
    assert "is being tried again already; nothing was changed." in answers[1].content.decode()
    send_all()
    assert server.taken == ["gone@example.org"]
    assert AuditEntry.objects.filter(what="mail tried again").count() == 1


def test_a_failed_mail_is_given_up_and_nobody_is_reminded(server: MailServer, admin_client: Client) -> None:
    mail = failed(server)
    assert findings() == {"no mail failed for good": 1}
    admin_client.post(decide_page(mail), {"do": "give-up"})
    send_all()
    assert (server.taken, mails.count_failed(), findings()) == ([], 0, {})
    with pytest.raises(failed_mails.NotFailed, match="given up already"), transaction.atomic():
        failed_mails.try_again(mail_id=mail.pk)


def test_only_who_may_act_on_orders_decides(server: MailServer, client: Client, admin_client: Client) -> None:
    mail = failed(server)
    assert client.get(decide_page(mail)).status_code == 302
    assert admin_client.post(decide_page(mail), {"do": "delete"}).status_code == 404
    assert mails.count_failed() == 1


def test_xe9_mails_that_do_not_leave_raise_an_alarm_once_and_break_an_invariant(
    server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    owed("a@example.org")
    long_ago = timezone.now() - timedelta(hours=2)
    OrderMail.objects.update(created_at=long_ago, next_attempt_at=long_ago)
    assert findings() == {"mails that are due are sent": 1}
    assert Client().get("/readyz").json()["checks"]["mail"]["error"] == "MailsLate"
    with caplog.at_level(logging.INFO, logger="kafka_bridge.monitoring.alarms"):
        for _ in range(2):
            jobs.watch_mails()
        send_all()
        jobs.watch_mails()
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert "is notifications running" in caplog.messages[0]
    assert findings() == {}


def findings() -> dict[str, int]:
    """The broken invariants about mails."""
    report = audit.run(grace_seconds=0, by="test")
    return {finding.name: finding.count for finding in report.broken if "mail" in finding.name}


def test_claims_of_two_at_once_never_share_a_mail() -> None:
    owed(*(f"reader{number}@example.org" for number in range(20)))
    barrier, claims = threading.Barrier(2), []

    def claim() -> None:
        try:
            barrier.wait(10)
            claims.append({mail.pk for mail in mail_sending._claim()})
        finally:
            connection.close()

    threads = [threading.Thread(target=claim) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert claims[0].isdisjoint(claims[1])
