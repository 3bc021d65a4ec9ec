"""A receipt: what it says, its signature, and whether it holds. Needs neither database nor broker.

# Note [Names on a receipt]
Customers and orders stand on it as the first half of SHA-256 over the receipt's salt and their own id. Who knows the id
of an order, which is in its buyer's mail, can find it; nobody can go through all ids, for they are random.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils.crypto import salted_hmac

from shop.flashsales.flash_sales import LAST_ORDERS

FORM = 1
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Name = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
MOST_BYTES = 200_000_000


class BadReceipt(ValueError):
    """It is no receipt, or not as it was written; the words say which."""


class SoldBook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A book of the sale; amounts in minor units of the receipt's currency."""

    sku: str
    title: str
    price_minor: Count
    units: Count
    """Set aside for the sale."""
    sold: Count
    left: Count


class WonLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many copies of a book, and what each was sold for."""

    sku: str
    quantity: Count
    price_minor: Count


class Winner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order that got copies of the sale. See Note [Names on a receipt]."""

    order: Name
    customer: Name
    placed_at: Moment
    confirmed_at: Moment
    lines: list[WonLine]


class Sums(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Over all books and orders of the sale."""

    units: Count
    sold: Count
    left: Count
    winners: Count
    revenue_minor: Count
    cancelled: dict[str, Count]
    """Orders that got none, by the reason's code."""


class LogPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one partition of the log held of the time of the sale: offsets from `first` up to `end`, excluded."""

    topic: str
    partition: Count
    first: Count
    end: Count
    sha256: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is signed."""

    form: int
    shop: str
    sale: int
    name: str
    starts_at: Moment
    ends_at: Moment
    customer_limit: int | None
    currency: str
    written_at: Moment
    salt: str
    books: list[SoldBook]
    winners: list[Winner]
    sums: Sums
    log: list[LogPart]
    key: str
    """The shop's public key (Ed25519), in base64."""


class SignedReceipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receipt with the signature over its bytes."""

    receipt: Receipt
    signature: str


# -- Names and keys ---------------------------------------------------------------------------------------
def name_of(salt: str, whom: object) -> str:
    """How an order or a customer stands on the receipt with this salt."""
    return hashlib.sha256(f"{salt}:{whom}".encode()).hexdigest()[:32]


def shop_key() -> Ed25519PrivateKey:
    """The key that this shop signs with; it follows from its secret key."""
    seed = salted_hmac("shop.receipts", "ed25519", algorithm="sha256").digest()
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_part(key: Ed25519PrivateKey) -> str:
    """As it stands on receipts, in base64."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


# -- Writing and reading ----------------------------------------------------------------------------------
def sign(receipt: Receipt, key: Ed25519PrivateKey) -> bytes:
    """The file's content: the one way in which this receipt is written."""
    return as_written(SignedReceipt(receipt=receipt, signature=signature_of(receipt, key)))


def read(content: bytes) -> Receipt:
    """A receipt that is as it was signed, to the byte.

    Raises:
        BadReceipt: it is not.
    """
    if len(content) > MOST_BYTES:
        raise BadReceipt("It is larger than any receipt")
    try:
        signed = msgspec.json.decode(content, type=SignedReceipt)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadReceipt(f"It is no receipt of a sale: {error}") from error
    if signed.receipt.form != FORM:
        raise BadReceipt(f"It is of the form {signed.receipt.form}, and this shop knows {FORM}")
    check_signature(signed.receipt, signature=signed.signature, key=signed.receipt.key)
    if as_written(signed) != content:
        raise BadReceipt("It is not written as it was signed: something was changed, if only a space")
    return signed.receipt


def signature_of(said: msgspec.Struct, key: Ed25519PrivateKey) -> str:
    """The signature over the bytes as they are written, in base64."""
    return base64.b64encode(key.sign(as_written(said))).decode()


def check_signature(said: msgspec.Struct, *, signature: str, key: str) -> None:
    """Whether it was signed with that key; both in base64.

    Raises:
        BadReceipt: it was not.
    """
    try:
        Ed25519PublicKey.from_public_bytes(_decoded(key)).verify(_decoded(signature), as_written(said))
    except ValueError as error:
        raise BadReceipt(f"Its key or its signature is none: {error}") from error
    except InvalidSignature:
        raise BadReceipt("Its signature is not right: something was changed after it was signed") from None


def _decoded(text: str) -> bytes:
    """What the base64 holds; the bits at its end that hold nothing must be 0, or a letter could be changed."""
    found = base64.b64decode(text, validate=True)
    if base64.b64encode(found).decode() != text:
        raise ValueError("its base64 is not as it was written")
    return found


def as_written(said: msgspec.Struct) -> bytes:
    """The one way in which it is written: JSON with sorted names, a value a line."""
    return msgspec.json.format(msgspec.json.encode(said, order="deterministic"), indent=1) + b"\n"


# -- Checking ---------------------------------------------------------------------------------------------
def contradictions(receipt: Receipt) -> Iterator[str]:
    """In words, whatever a signed receipt says that cannot be."""
    books = {book.sku: book for book in receipt.books}
    won: Counter[str] = Counter()
    per_customer: Counter[tuple[str, str]] = Counter()
    revenue = 0
    for winner in receipt.winners:
        if winner.placed_at < receipt.starts_at or winner.placed_at - receipt.ends_at >= LAST_ORDERS:
            yield f"order {winner.order} was not placed during the sale, but at {winner.placed_at.isoformat()}"
        if winner.confirmed_at < winner.placed_at:
            yield f"order {winner.order} was confirmed before it was placed"
        for line in winner.lines:
            won[line.sku] += line.quantity
            per_customer[winner.customer, line.sku] += line.quantity
            revenue += line.quantity * line.price_minor
    for sku, count in won.items():
        if sku not in books:
            yield f"{count} copies of {sku} were sold, which is no book of the sale"
    for book in receipt.books:
        if won[book.sku] != book.sold:
            yield f"{book.sku}: {book.sold} were sold, and the winners have {won[book.sku]}"
        if book.sold + book.left != book.units:
            yield f"{book.sku}: {book.sold} sold and {book.left} left are not the {book.units} set aside"
    if (limit := receipt.customer_limit) is not None:
        for (customer, sku), count in per_customer.items():
            if count > limit:
                yield f"customer {customer} has {count} copies of {sku}, and the limit is {limit}"
    if len({winner.order for winner in receipt.winners}) < len(receipt.winners):
        yield "an order stands on it twice"
    sums = receipt.sums
    for what, said, found in (
        ("units", sums.units, sum(book.units for book in receipt.books)),
        ("copies sold", sums.sold, sum(book.sold for book in receipt.books)),
        ("copies left", sums.left, sum(book.left for book in receipt.books)),
        ("winners", sums.winners, len(receipt.winners)),
        ("the revenue in minor units", sums.revenue_minor, revenue),
    ):
        if said != found:
            yield f"the sum of {what} is {found}, not {said}"
