"""Sending mails: one that fails is alone with it, several processes share them, what failed waits for a person."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.template import loader
from django.utils import timezone

from devtools.testing.shop import mail_server as smtp
from devtools.testing.shop.mail_server import MailServer
from devtools.testing.shop.mails_owed import owed, send_all
from kafka_bridge.runtime import error_classes
from orders.mailing import mail_sending
from orders.models import OrderMail

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security]


def test_xe9_two_processes_and_a_slow_mail_server_send_each_mail_once(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_sending, "ROUND_SECONDS", 0.2)
    monkeypatch.setattr(mail_sending, "LEASE_SECONDS", 2.0)
    mail_server.seconds_a_mail = 0.1
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
    assert Counter(mail_server.taken) == Counter({f"reader{number}@example.org": 1 for number in range(30)})
    assert set(OrderMail.objects.values_list("attempts", flat=True)) == {1}, "what was given back was not tried"


def test_a_round_has_an_end_so_that_sigterm_is_heard(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_sending, "ROUND_SECONDS", 0.2)
    mail_server.seconds_a_mail = 0.15
    owed(*(f"reader{number}@example.org" for number in range(5)))
    assert mail_sending.send_due() is True
    taken = len(mail_server.taken)
    assert 0 < taken < 5
    assert OrderMail.objects.filter(sent_at=None, attempts=0, next_attempt_at__lte=timezone.now()).count() == 5 - taken


def test_xa2_an_address_that_cannot_be_written_fails_alone(mail_server: MailServer) -> None:
    healthy, impossible, last = owed("a@example.org", "a@xn--\u00e9.com", "z@example.org")
    send_all()
    assert sorted(mail_server.taken) == [healthy.order.email, last.order.email]
    impossible.refresh_from_db()
    assert impossible.has_failed
    assert impossible.last_error.startswith("UnicodeError: ")


def test_xe9_refused_for_good_is_tried_once_and_refused_for_now_again(mail_server: MailServer) -> None:
    gone, full = owed("gone@example.org", "full@example.org")
    mail_server.refused = {"gone": "550 no such user", "full": "452 try later"}
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


def test_a_template_that_breaks_is_the_matter_of_its_mail(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, healthy = owed("a@example.org", "z@example.org")

    def break_for_one(template: str, context: dict[str, Any]) -> str:
        if context["order"].pk == broken.order_id:
            raise KeyError("price")
        return loader.render_to_string(template, context)

    monkeypatch.setattr(mail_sending, "render_to_string", break_for_one)
    send_all()
    assert mail_server.taken == [healthy.order.email]
    broken.refresh_from_db()
    assert (broken.has_failed, broken.attempts, broken.last_error) == (False, 1, "KeyError: 'price'")


def test_xe5_a_silent_mail_server_holds_nobody_and_nothing_is_counted_or_lost(
    mail_server: MailServer, settings: Any
) -> None:
    settings.EMAIL_TIMEOUT = 0.3
    [mail] = owed("a@example.org")
    mail_server.is_silent = True
    with pytest.raises(error_classes.Unavailable, match=r"no mail server .*timed out"):
        mail_sending.send_due()
    mail.refresh_from_db()
    assert (mail.attempts, mail.last_error) == (0, "")
    mail_server.is_silent = False
    send_all()
    assert mail_server.taken == ["a@example.org"]


@pytest.mark.rush
def test_mails_that_were_sent_before_an_outage_are_noted_together_and_not_sent_again(
    mail_server: MailServer, settings: Any
) -> None:
    class SilentAfterTwo(list[str]):
        def append(self, recipient: str) -> None:
            super().append(recipient)
            mail_server.is_silent = len(self) == 2

    settings.EMAIL_TIMEOUT = 0.3
    mail_server.taken = SilentAfterTwo()
    owed(*(f"reader{number}@example.org" for number in range(4)))
    with pytest.raises(error_classes.Unavailable, match="timed out"):
        mail_sending.send_due()
    assert OrderMail.objects.exclude(sent_at=None).count() == 2
    assert set(OrderMail.objects.filter(sent_at=None).values_list("attempts", flat=True)) == {0}
    mail_server.is_silent = False
    send_all()
    assert Counter(mail_server.taken) == Counter({f"reader{number}@example.org": 1 for number in range(4)})


def test_no_mail_server_at_all_is_waited_out(settings: Any) -> None:
    with smtp.serving(settings):
        pass
    [mail] = owed("a@example.org")
    with pytest.raises(error_classes.Unavailable, match="Connection refused"):
        mail_sending.send_due()
    mail.refresh_from_db()
    assert (mail.attempts, mail.sent_at) == (0, None)


def test_one_who_lost_a_claim_writes_no_failure_over_the_others_success(mail_server: MailServer) -> None:
    [mail] = owed("a@example.org")
    [claimed] = mail_sending._claim()
    OrderMail.objects.update(next_attempt_at=mail.created_at)  # the lease has ended: it was frozen
    send_all()
    mail_sending._note_failure(claimed, ValueError("late"))
    mail_sending._give_back([claimed])
    mail.refresh_from_db()
    assert (mail.sent_at is not None, mail.failed_at, mail.attempts) == (True, None, 2)


# -- What a person sees and does ------------------------------------------------------------------


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
