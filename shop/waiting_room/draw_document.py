"""The draw of a waiting room as a signed file: what it says, its signature, and whether it holds.

Needs neither database nor Redis to be checked. The key is the one under the receipts of sales.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
from django.conf import settings

from shop.flashsales.receipts import document
from shop.flashsales.receipts.document import Moment
from shop.waiting_room import draw
from shop.waiting_room.rooms import Room

FORM = 1
Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
PlaceId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class Draw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is signed."""

    form: int
    shop: str
    sale: int
    name: str
    starts_at: Moment
    seed_sha256: Hash
    """As it was shown before the start."""
    seed: Hash
    places: list[PlaceId]
    """Those that were given before the start, in the sequence in which they are served."""
    key: str
    """The shop's public key (Ed25519), in base64."""


class SignedDraw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draw with the signature over its bytes."""

    draw: Draw
    signature: str


def draw_up(room: Room, places: Iterable[str]) -> Draw:
    """The draw of a sale that has started, with these places."""
    return Draw(
        form=FORM,
        shop=settings.SHOP_URL,
        sale=room.sale_id,
        name=room.name,
        starts_at=room.starts_at,
        seed_sha256=room.commitment,
        seed=room.seed,
        places=draw.in_sequence(room.seed, set(places)),
        key=document.public_part(document.shop_key()),
    )


def sign(drawn: Draw) -> bytes:
    """The file's content: the one way in which this draw is written."""
    return document.as_written(SignedDraw(draw=drawn, signature=document.signature_of(drawn, document.shop_key())))


def read(content: bytes) -> Draw:
    """A draw that is as it was signed, to the byte.

    Raises:
        shop.flashsales.receipts.document.BadReceipt: it is not.
    """
    if len(content) > document.MOST_BYTES:
        raise document.BadReceipt("It is larger than any draw")
    try:
        signed = msgspec.json.decode(content, type=SignedDraw)
    except (msgspec.MsgspecError, ValueError) as error:
        raise document.BadReceipt(f"It is no draw of a waiting room: {error}") from error
    if signed.draw.form != FORM:
        raise document.BadReceipt(f"It is of the form {signed.draw.form}, and this shop knows {FORM}")
    document.check_signature(signed.draw, signature=signed.signature, key=signed.draw.key)
    if document.as_written(signed) != content:
        raise document.BadReceipt("It is not written as it was signed: something was changed, if only a space")
    return signed.draw


def contradictions(drawn: Draw) -> Iterator[str]:
    """In words, whatever a signed draw says that cannot be."""
    if draw.commitment(drawn.seed) != drawn.seed_sha256:
        yield "the seed is not the one whose SHA-256 was shown before the start"
    if len(set(drawn.places)) < len(drawn.places):
        yield "a place stands on it twice"
    elif drawn.places != draw.in_sequence(drawn.seed, drawn.places):
        yield "the places are not in the sequence that the seed gives"
