"""Pages and commands about dead letters show any bytes, and none of them is obeyed."""

import json
from base64 import b64encode
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.dead_letters import a_letter, headers_of
from kafka_bridge.admin import pages
from kafka_bridge.models import DeadLetter
from kafka_bridge.wire import envelope

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults, pytest.mark.security]
LIST = "/admin/kafka_bridge/deadletter/"
GOOD = envelope.encode_body(created())
BODIES = {
    "no UTF-8": GOOD.replace(b"USD", b"\xff\xfe\xc3"),
    "deep": GOOD[:-1] + b',"junk":' + b"[" * 1500 + b"]" * 1500 + b"}",
    "very deep": b"[" * 400_000,
    "deep and wide": b"[" * 900 + b"0," * 7_000 + b"0" + b"]" * 900,
    "NUL": b'{"a":"\x00"}\x00',
    "huge": b'{"a":"' + b"x" * 1_000_000 + b'"}',
    "zeros": bytes(3_000_000),
    "markup": b'"<script>alert(1)</script></pre>"',
    "bidi and controls": "\u202e\u0007\x1b[31m".encode(),
    "half a surrogate pair": b'{"a":"\\ud800"}',
    "a number of many digits": b"[" + b"9" * 10_000 + b"]",
    "nothing": b"",
}
HEADERS: dict[str, dict[str, bytes]] = {
    "version of many digits": {"ce_dataversion": b"9" * 6000},
    "version in other digits": {"ce_dataversion": "²".encode()},
    "no UTF-8": {"ce_type": b"\xff\x00", "\N{REPLACEMENT CHARACTER}": b"\xff"},
    "huge": {"x" * 5000: b"y" * 400_000},
    "many": {f"h{number}": b"\x00" for number in range(3000)},
}


def pages_of(letter: DeadLetter) -> list[str]:
    """All that show it."""
    act = f"{LIST}act/%s/?letter={letter.pk}"
    return [LIST, f"{LIST}kinds/", f"{LIST}{letter.pk}/change/", f"{LIST}{letter.pk}/edit/", act % "redrive",
            act % "discard"]  # fmt: skip


def all_pages_show(client: Client, letter: DeadLetter) -> None:
    """Each of them, in no more than a page can be; so do the commands."""
    for page in pages_of(letter):
        response = client.get(page)
        assert response.status_code == 200, page
        assert len(response.content) < 16_000_000, page
        assert b"<script>alert(1)" not in response.content
    told = StringIO()
    call_command("dead_letters", "show", str(letter.pk), stdout=told)
    call_command("dead_letters", "list", stdout=told)
    call_command("dead_letters", "list", "--kinds", stdout=told)
    assert not {"\x00", "\x07", "\x1b"} & set(told.getvalue())
    told = StringIO()
    call_command("dead_letters", "show", str(letter.pk), "--json", stdout=told)
    assert json.loads(told.getvalue())["id"] == letter.pk


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_any_body_is_shown(admin_client: Client, body: bytes) -> None:
    """XE14, FAILURES 51."""
    all_pages_show(admin_client, a_letter(value=body))


@pytest.mark.parametrize("changes", HEADERS.values(), ids=HEADERS)
def test_any_headers_are_shown(admin_client: Client, changes: dict[str, bytes]) -> None:
    """XE14, FAILURES 51."""
    all_pages_show(admin_client, a_letter(headers=headers_of(created()) | changes))


@pytest.mark.parametrize("key", ["\x00", "²", "٣", "x" * 500, "../..", "<b>", "0" * 32])
def test_any_key_and_error_is_shown(admin_client: Client, key: str) -> None:
    """XE14, FAILURES 51."""
    letter = a_letter(error=f"ValueError: {key}")
    DeadLetter.objects.filter(pk=letter.pk).update(key=key.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:120])
    letter.refresh_from_db()
    all_pages_show(admin_client, letter)


@pytest.mark.parametrize("body", ["[" * 1500 + "]" * 1500, "\x00", '{"a":NaN}', "9" * 5000, '"\\ud800"'])
def test_a_body_that_a_person_types_is_held_against_the_schema_and_nothing_worse(
    admin_client: Client, body: str
) -> None:
    """XE14, FAILURES 51."""
    letter = a_letter()
    response = admin_client.post(f"{LIST}{letter.pk}/edit/", {"body": body, "reason": "try"})
    assert response.status_code == 200
    letter.refresh_from_db()
    assert (letter.state, letter.edited_value) == (DeadLetter.State.PARKED, None)


def test_a_letter_that_was_cut_says_so_and_is_sent_again_only_when_it_is_edited(admin_client: Client) -> None:
    """XB2, FAILURES 48: people see what there is, what is missing, and what can be done."""
    event = created()
    letter = a_letter(event, value=b"{" + b"x" * 100)
    said = {"dlq_body_bytes": b"5000000", "dlq_body_sha256": b"abc123", "dlq_headers_left_out": b"7"}
    pairs = [[name, b64encode(value).decode()] for name, value in said.items()]
    DeadLetter.objects.update(headers=[*letter.headers, *pairs])
    page = admin_client.get(f"{LIST}{letter.pk}/change/").content.decode()
    for words in ("too large to be kept whole", "5,000,000 bytes, SHA-256 abc123", "7 headers were left out",
                  "It cannot be sent again: its body has 5,000,000 bytes", "orders.events[1]@"):  # fmt: skip
        assert words in page, words
    assert "Send again…" not in page
    form = {"body": envelope.encode_body(event).decode(), "reason": "the original is in the log"}
    assert admin_client.post(f"{LIST}{letter.pk}/edit/", form).status_code == 302
    letter.refresh_from_db()
    assert letter.state == DeadLetter.State.REDRIVEN


@pytest.mark.parametrize("given", ["²", "9" * 30, "٣", "-1"])
def test_ids_that_are_none_find_nothing(admin_client: Client, given: Any) -> None:
    a_letter()
    assert admin_client.get(f"{LIST}{given}/change/").status_code in (302, 404)
    assert admin_client.get(f"{LIST}act/discard/?letter={given}").status_code == 404


def test_json_is_indented_for_people_and_what_would_grow_is_left_as_it_is() -> None:
    assert pages.as_json(b'{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    wide = b"[" * 900 + b"0," * 50_000 + b"0" + b"]" * 900
    assert pages.as_json(wide) == wide.decode()
    assert pages.excerpt("x" * 60_000).endswith(
        "… (60,000 characters in all; `manage.py dead_letters show` prints them)"
    )
