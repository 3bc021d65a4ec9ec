"""Alerts and silences in the admin, and on its start page."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from devtools.testing.shop import overviews as seen
from shop.models import AlertRecord, AlertSilence, AuditEntry
from shop.operations.alerts import stamps
from shop.operations.alerts.board import Board

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.operations]


def raise_one() -> AlertRecord:
    Board().evaluate(seen.overview(at=timezone.now(), database=seen.database(dead_letters=101)))
    stamps.take()
    return AlertRecord.objects.get()


def tile(client: Client) -> tuple[str, str, bool]:
    figures = client.get("/admin/").context["shop"].figures
    return next((f.value, f.detail, f.is_alarming) for f in figures if f.title == "Alerts")


def test_the_start_page_turns_red_and_says_when_nobody_evaluates(admin_client: Client) -> None:
    assert tile(admin_client) == ("unknown", "evaluated not yet: is a timekeeper running?", False)
    Board().evaluate(seen.overview(at=timezone.now()))
    stamps.take()
    assert tile(admin_client) == ("0", "all is well", False)
    raise_one()
    assert tile(admin_client) == ("1", "101 dead letters waiting for a person.", True)
    stamps.AlertEvaluation.objects.update(at=timezone.now() - timedelta(minutes=3))
    assert tile(admin_client) == ("unknown", "evaluated not for 3 min: is a timekeeper running?", True)


def test_an_alert_is_shown_with_what_to_do_and_silenced_with_a_reason(admin_client: Client) -> None:
    alert = raise_one()
    listed = admin_client.get("/admin/shop/alertrecord/", {"state": "now"})
    assert list(listed.context["cl"].result_list) == [alert]
    assert not admin_client.get("/admin/shop/alertrecord/", {"state": "over"}).context["cl"].result_list
    page = admin_client.get(f"/admin/shop/alertrecord/{alert.pk}/change/").content.decode()
    assert "manage.py dead_letters list" in page
    assert "/admin/shop/alertsilence/new/?name=dead_letters&amp;subject=" in page
    form = admin_client.get("/admin/shop/alertsilence/new/", {"name": "dead_letters"})
    assert form.context["form"]["name"].value() == "dead_letters"
    wrong = {"name": "dead_letters", "subject": "", "hours": "4", "reason": " "}
    assert admin_client.post("/admin/shop/alertsilence/new/", wrong).status_code == 200
    assert not AlertSilence.objects.exists()
    done = admin_client.post("/admin/shop/alertsilence/new/", wrong | {"reason": "On it."}, follow=True)
    assert "Nobody is told of dead_letters for 4 hours." in done.content.decode()
    silence = AlertSilence.objects.get()
    assert (silence.reason, silence.who) == ("On it.", "admin")
    page = admin_client.get(f"/admin/shop/alertsilence/{silence.pk}/change/").content.decode()
    assert "End it now" in page
    assert admin_client.get(f"/admin/shop/alertsilence/{silence.pk}/end/").status_code == 405
    admin_client.post(f"/admin/shop/alertsilence/{silence.pk}/end/")
    silence.refresh_from_db()
    assert silence.until <= timezone.now()
    assert set(AuditEntry.objects.values_list("what", flat=True)) == {"alert silenced", "silence ended"}
    assert "End it now" not in admin_client.get(f"/admin/shop/alertsilence/{silence.pk}/change/").content.decode()


def test_who_may_only_look_silences_nothing(client: Client, django_user_model: type[User]) -> None:
    viewer = django_user_model.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__in=["view_alertrecord", "view_alertsilence"]))
    client.force_login(viewer)
    alert = raise_one()
    assert "Silence…" not in client.get(f"/admin/shop/alertrecord/{alert.pk}/change/").content.decode()
    assert "Silence an alert" not in client.get("/admin/shop/alertsilence/").content.decode()
    assert client.get("/admin/shop/alertsilence/new/").status_code == 403
    assert client.post("/admin/shop/alertsilence/1/end/").status_code == 403
