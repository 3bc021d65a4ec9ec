"""Permissions mean what they say, XB7: nobody gives themselves rights; what moves money takes the right to refund."""

from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.test import Client

from devtools.testing.bridge.dead_letters import a_letter
from devtools.testing.shop.admin_desk import told
from events import catalogue
from kafka_bridge.dead_letters import rights
from kafka_bridge.models import DeadLetter, DeadLetterAct
from orders.models import new_id
from shop import admin as shop_admin

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security, pytest.mark.money]
USERS, GROUPS, LETTERS = "/admin/auth/user/", "/admin/auth/group/", "/admin/kafka_bridge/deadletter/"
State = DeadLetter.State


def staff(*permissions: str) -> Client:
    """Signed in, with these permissions."""
    user = User.objects.create_user("clerk", is_staff=True, password="old")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def form_of(user: User, **changes: Any) -> dict[str, Any]:
    """What the page of an account would send."""
    return {
        "username": user.username,
        "email": "",
        "is_active": "on",
        "date_joined_0": "2026-01-02",
        "date_joined_1": "03:04:05",
        **changes,
    }


# -- Accounts -------------------------------------------------------------------------------------------------------
EVERYTHING = {"is_staff": "on", "is_superuser": "on", "user_permissions": ["1", "2"], "groups": []}


def test_the_permission_to_change_accounts_gives_no_rights() -> None:
    clerk, buyer = staff("change_user", "view_user", "add_user"), User.objects.create_user("buyer")
    page = f"{USERS}{buyer.pk}/change/"
    assert clerk.post(page, form_of(buyer, email="new@example.com", **EVERYTHING)).status_code == 302
    buyer.refresh_from_db()
    assert (buyer.email, buyer.is_staff, buyer.is_superuser) == ("new@example.com", False, False)
    assert not buyer.user_permissions.exists()
    new = {"username": "puppet", "password1": "x9!kkqpA2", "password2": "x9!kkqpA2", "usable_password": "true"}
    clerk.post(f"{USERS}add/", {**new, **EVERYTHING})
    assert not User.objects.filter(username="puppet").filter(is_staff=True).exists()


@pytest.mark.parametrize("of", ["self", "boss", "colleague", "member"])
def test_accounts_with_rights_are_changed_by_superusers_only(of: str) -> None:
    clerk = staff("change_user", "view_user", "delete_user")
    boss, colleague = User.objects.create_superuser("boss"), User.objects.create_user("colleague", is_staff=True)
    member = User.objects.create_user("member")
    member.groups.add(Group.objects.create(name="desk"))
    target = {"self": User.objects.get(username="clerk"), "boss": boss, "colleague": colleague, "member": member}[of]
    before = User.objects.filter(pk=target.pk).values().get()
    for page, data in (
        (f"{USERS}{target.pk}/change/", form_of(target, email="mine@example.com", **EVERYTHING)),
        (f"{USERS}{target.pk}/password/", {"password1": "x9!kkqpA2", "password2": "x9!kkqpA2"}),
        (f"{USERS}{target.pk}/delete/", {"post": "yes"}),
    ):
        assert clerk.post(page, data).status_code == 403, page
    clerk.post(USERS, {"action": "delete_selected", "_selected_action": [str(target.pk)], "post": "yes"})
    assert User.objects.filter(pk=target.pk).values().get() == before
    assert not target.user_permissions.filter(pk__in=[1, 2]).exists()


def test_groups_are_written_by_superusers_only(admin_client: Client) -> None:
    clerk, group = staff("change_group", "add_group", "delete_group"), Group.objects.create(name="desk")
    permissions = [str(Permission.objects.get(codename="add_refund").pk)]
    for page in (f"{GROUPS}{group.pk}/change/", f"{GROUPS}add/", f"{GROUPS}{group.pk}/delete/"):
        assert clerk.post(page, {"name": "desk", "permissions": permissions, "post": "yes"}).status_code == 403, page
    assert clerk.get(GROUPS).status_code == 200
    answer = admin_client.post(f"{GROUPS}{group.pk}/change/", {"name": "desk", "permissions": permissions})
    assert answer.status_code == 302
    assert group.permissions.count() == 1


def test_a_superuser_gives_rights(admin_client: Client) -> None:
    buyer = User.objects.create_user("buyer")
    assert admin_client.post(f"{USERS}{buyer.pk}/change/", form_of(buyer, is_staff="on")).status_code == 302
    buyer.refresh_from_db()
    assert buyer.is_staff


# -- Dead letters ------------------------------------------------------------------------------------------------------
ALL_BUT_MONEY = ("view_deadletter", "change_deadletter", "redrive_deadletter", "edit_deadletter")


def returned() -> catalogue.OrderReturned:
    """A fact that has payments refund."""
    return catalogue.OrderReturned(
        order_id=new_id(), flow=catalogue.RESERVE_FIRST, lines=(), amount_minor=100, number=1, currency="USD", reason=""
    )


def attempts(letter: DeadLetter) -> dict[str, tuple[str, dict[str, Any]]]:
    """Each way to a letter, by the permission that it takes."""
    body, bulk = bytes(letter.value).decode(), {"cap": "9", "per_second": "50"}
    return {
        "redrive": (f"{LETTERS}act/redrive/", {"letter": letter.pk, "reason": "x"}),
        "redrive kind": (f"{LETTERS}act/redrive/", {"kind": letter.fingerprint, "reason": "x", **bulk}),
        "discard": (f"{LETTERS}act/discard/", {"letter": letter.pk, "reason": "x"}),
        "discard kind": (f"{LETTERS}act/discard/", {"kind": letter.fingerprint, "reason": "x", "cap": "9"}),
        "edit": (f"{LETTERS}{letter.pk}/edit/", {"body": body, "reason": "x"}),
    }  # fmt: skip


def nothing_happened() -> bool:
    """Whether all letters are as they were."""
    return not DeadLetterAct.objects.exists() and not DeadLetter.objects.exclude(state=State.PARKED).exists()


def test_to_change_letters_is_not_to_send_or_edit_them() -> None:
    clerk, letter = staff("view_deadletter", "change_deadletter"), a_letter()
    for name, (page, data) in attempts(letter).items():
        if "discard" not in name:
            assert clerk.post(page, data).status_code == 403, name
    assert "redrive_selected" not in clerk.get(LETTERS).content.decode()
    assert nothing_happened()


def test_to_send_again_is_not_to_edit_or_to_discard() -> None:
    clerk, letter = staff("redrive_deadletter"), a_letter()
    for name, (page, data) in attempts(letter).items():
        if "redrive" not in name:
            assert clerk.post(page, data).status_code == 403, name
    assert nothing_happened()
    page, data = attempts(letter)["redrive"]
    assert told(clerk.post(page, data, follow=True)) == ["1 letter sent again."]


@pytest.mark.parametrize("way", ["redrive", "redrive kind", "discard", "discard kind", "edit"])
@pytest.mark.parametrize("moves", ["group", "type"])
def test_what_moves_money_takes_the_right_to_refund(way: str, moves: str) -> None:
    clerk = staff(*ALL_BUT_MONEY)
    letter = a_letter(group="payments") if moves == "group" else a_letter(returned(), group="notifications")
    page, data = attempts(letter)[way]
    answer = clerk.post(page, data, follow=True)
    assert nothing_happened()
    if way == "edit":
        assert answer.status_code == 403
    else:
        assert "payments.add_refund" in told(answer)[0]
    shown = clerk.get(f"{LETTERS}{letter.pk}/change/").content.decode()
    assert "Send again…" not in shown
    assert "Discard" not in shown.replace("Discarded", "")

    User.objects.get().user_permissions.add(Permission.objects.get(codename="add_refund"))
    clerk.post(page, data)
    assert not nothing_happened()


def test_which_letters_move_money() -> None:
    money = {kind for kind, permission in rights.by_type.items() if permission == shop_admin.MONEY}
    assert {event.TYPE for event in catalogue.EVENTS if event.TYPE.startswith("payment.")} <= money
    assert {"order.returned", "order.reduced", "order.cancelled"} <= money
    assert rights.by_group["payments"] == shop_admin.MONEY


def test_the_command_says_in_whose_name(capsys: pytest.CaptureFixture[str]) -> None:
    letter = a_letter(group="payments")
    call_command("dead_letters", "discard", str(letter.pk), "--reason", "a test", "--by", "ada", "--json")
    assert msgspec.json.decode(capsys.readouterr().out)["by"] == "ada"
    call_command("dead_letters", "discard", str(a_letter().pk), "--reason", "a test", "--by", "ada")
    assert "1 discarded, by ada." in capsys.readouterr().out
    assert set(DeadLetterAct.objects.values_list("who", flat=True)) == {"ada"}
    with pytest.raises(CommandError, match="reason"):
        call_command("dead_letters", "discard", str(a_letter().pk), "--by", "ada")
