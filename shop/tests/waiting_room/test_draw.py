"""R3: the draw is fair, anybody can repeat it from the signed file, and one changed byte fails."""

import json
import secrets
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from devtools.testing.shop.flash_sales import HOUR, a_sale, move
from devtools.testing.shop.storefront import a_book
from shop.flashsales.receipts import document
from shop.models import FlashSale
from shop.tests.waiting_room.test_scripts import a_room
from shop.waiting_room import draw, draw_document, rooms

pytestmark = [pytest.mark.rush]
database = pytest.mark.django_db(transaction=True)


def test_no_place_is_better_than_another() -> None:
    """Over many seeds each of four places comes first about as often."""
    places = [secrets.token_hex(16) for _ in range(4)]
    seeds = [f"{number:064x}" for number in range(4000)]
    firsts = [draw.in_sequence(seed, places)[0] for seed in seeds]
    for place in places:
        assert 850 < firsts.count(place) < 1150  # within five standard deviations for all but one place in a million


SIGNED = draw_document.sign(draw_document.draw_up(a_room(), [secrets.token_hex(16) for _ in range(5)]))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_one_changed_byte_fails(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(SIGNED) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda found: found != SIGNED[place]))
    with pytest.raises(document.BadReceipt):
        draw_document.read(SIGNED[:place] + bytes([byte]) + SIGNED[place + 1 :])
    with pytest.raises(document.BadReceipt):
        draw_document.read(SIGNED[:place])


def test_the_letters_at_the_end_of_the_signature_count_too() -> None:
    """The last letter before the padding holds bits that mean nothing."""
    place = SIGNED.rindex(b"==") - 1
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for letter in letters.replace(SIGNED[place : place + 1], b""):
        with pytest.raises(document.BadReceipt):
            draw_document.read(SIGNED[:place] + bytes([letter]) + SIGNED[place + 1 :])


def verdict(path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit code of `verify_draw`, and what it says."""
    out, code = StringIO(), 0
    try:
        call_command("verify_draw", str(path), "--json", *options, stdout=out)
    except SystemExit as ended:
        code = int(str(ended.code))
    said: dict[str, Any] = json.loads(out.getvalue())
    return code, said


def test_a_signed_draw_that_contradicts_itself_does_not_hold(tmp_path: Path) -> None:
    drawn = draw_document.draw_up(a_room(), [secrets.token_hex(16) for _ in range(5)])
    for change in (
        {"places": drawn.places[::-1]},
        {"places": [*drawn.places, drawn.places[0]]},
        {"seed": draw.new_seed()},
    ):
        path = tmp_path / "draw.json"
        path.write_bytes(draw_document.sign(msgspec.structs.replace(drawn, **change)))
        code, said = verdict(path)
        assert (code, said["holds"]) == (1, False), change


@database
def test_what_was_shown_before_is_what_is_drawn_and_exported(client: Client, tmp_path: Path) -> None:
    sale = FlashSale.objects.get(pk=a_sale(a_book(stock=9), starts_in=timedelta(minutes=5), waiting_room="on").pk)
    rooms.open_room(sale)
    shown = client.get(f"/api/sales/{sale.pk}/place/").json()
    assert (shown["phase"], shown["seed"]) == ("before", None)
    places = [Client().post(f"/api/sales/{sale.pk}/place/").json() for _ in range(8)]
    assert {place["ahead"] for place in places} == {None}, "before the draw nobody is told a number"
    path = tmp_path / "draw.json"
    with pytest.raises(CommandError, match="a secret until then"):
        call_command("export_draw", str(sale.pk))
    move(sale, starts_in=-HOUR)
    rooms.forget()
    assert client.get(f"/api/sales/{sale.pk}/place/").json()["seed"]
    call_command("export_draw", str(sale.pk), "--output", str(path), stdout=StringIO())
    mine = places[3]["place"]
    code, said = verdict(path, "--seed-sha256", shown["seed_sha256"], "--place", mine)
    assert (code, said["problems"], said["places"]) == (0, [], 8)
    drawn = draw_document.read(path.read_bytes())
    assert drawn.places[said["served_as"] - 1] == mine
    assert verdict(path, "--place", "0" * 32)[0] == 1
    assert verdict(path, "--seed-sha256", "0" * 64)[0] == 1
