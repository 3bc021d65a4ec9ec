"""Mails that failed: what operators are told, and what staff can do about them."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from devtools.testing.shop.mail_server import MailServer
from devtools.testing.shop.mails_owed import failed, owed, send_all
from orders import jobs
from orders.actions import failed_mails
from orders.mailing import mails
from orders.models import OrderMail
from shop import audit
from shop.models import AuditEntry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security]


def decide_page(mail: OrderMail) -> str:
    return f"/admin/orders/ordermail/{mail.pk}/decide/"


def test_xa2_a_failed_mail_is_shown_with_its_reason_and_sent_to_the_corrected_address(
    mail_server: MailServer, admin_client: Client
) -> None:
    mail = failed(mail_server)
    start = admin_client.get("/admin/").content.decode()
    assert "Mails that failed" in start
    listed = admin_client.get("/admin/orders/ordermail/", {"sending": "failed"})
    assert list(listed.context["cl"].result_list) == [mail]
    for page in (f"/admin/orders/ordermail/{mail.pk}/change/", f"/admin/orders/order/{mail.order_id}/change/"):
        assert "550 no such user" in admin_client.get(page).content.decode()
    page = admin_client.get(decide_page(mail)).content.decode()
    assert all(button in page for button in ('value="again"', 'value="correct"', 'value="give-up"'))
    wrong = admin_client.post(decide_page(mail), {"do": "correct", "email": "no address"})
    assert "no address" in wrong.content.decode()
    nowhere = admin_client.post(decide_page(mail), {"do": "correct", "email": "a@localhost"})
    assert nowhere.status_code == 200, "judged as at the checkout"
    mail.refresh_from_db()
    assert mail.has_failed
    admin_client.post(decide_page(mail), {"do": "correct", "email": "here@example.org"})
    send_all()
    assert mail_server.taken == ["here@example.org"]
    entry = AuditEntry.objects.get(what="mail address corrected")
    assert (entry.before, entry.after) == ({"email": "gone@example.org"}, {"email": "here@example.org"})


def test_a_failed_mail_is_tried_again_once_however_often_the_button_is_pressed(
    mail_server: MailServer, admin_client: Client
) -> None:
    mail = failed(mail_server)
    mail_server.refused = {}
    answers = [admin_client.post(decide_page(mail), {"do": "again"}, follow=True) for _ in range(2)]
    assert "The mail is tried again." in answers[0].content.decode()
    assert "is being tried again already; nothing was changed." in answers[1].content.decode()
    send_all()
    assert mail_server.taken == ["gone@example.org"]
    assert AuditEntry.objects.filter(what="mail tried again").count() == 1


def test_a_failed_mail_is_given_up_and_nobody_is_reminded(mail_server: MailServer, admin_client: Client) -> None:
    mail = failed(mail_server)
    assert findings() == {"no mail failed for good": 1}
    admin_client.post(decide_page(mail), {"do": "give-up"})
    send_all()
    assert (mail_server.taken, mails.count_failed(), findings()) == ([], 0, {})
    with pytest.raises(failed_mails.NotFailed, match="given up already"), transaction.atomic():
        failed_mails.try_again(mail_id=mail.pk)


def test_only_who_may_act_on_orders_decides(mail_server: MailServer, client: Client, admin_client: Client) -> None:
    mail = failed(mail_server)
    assert client.get(decide_page(mail)).status_code == 302
    assert admin_client.post(decide_page(mail), {"do": "delete"}).status_code == 404
    assert mails.count_failed() == 1


def test_xe9_mails_that_do_not_leave_raise_an_alarm_once_and_break_an_invariant(
    mail_server: MailServer, caplog: pytest.LogCaptureFixture, client: Client, settings: Any
) -> None:
    settings.READYZ_TOKEN = "open-sesame"
    owed("a@example.org")
    long_ago = timezone.now() - timedelta(hours=2)
    OrderMail.objects.update(created_at=long_ago, next_attempt_at=long_ago)
    assert findings() == {"mails that are due are sent": 1}
    assert (
        client.get("/readyz", headers={"Authorization": "Bearer open-sesame"}).json()["checks"]["mail"]["error"]
        == "MailsLate"
    )
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
