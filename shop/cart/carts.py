"""Carts. A guest's cart is in the session, a user's in the database; signing in merges the two."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.http import HttpRequest

from orders.placing.placement import LINES_MAX
from shop import models

SESSION_KEY = "cart"


class CartFull(Exception):
    """The cart has as many different books as one order may have: order these first, or remove some."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CartEntry:
    """A book in a cart, and its price (in minor units) when it was added."""

    sku: str
    quantity: int
    seen_price_minor: int


class Cart(Protocol):
    """The interface of both kinds of cart."""

    def entries(self) -> list[CartEntry]:
        """All books, in the order in which they were added."""

    def put(self, entry: CartEntry) -> None:
        """Set the quantity and the seen price of a book."""

    def take_out(self, skus: Iterable[str]) -> None:
        """Remove these books, if they are in the cart."""


class SessionCart:
    """A guest's cart."""

    def __init__(self, session: SessionBase) -> None:
        self._session = session

    def entries(self) -> list[CartEntry]:
        """All books, in the order in which they were added."""
        return [
            CartEntry(sku=sku, quantity=quantity, seen_price_minor=seen_price_minor)
            for sku, (quantity, seen_price_minor) in self._session.get(SESSION_KEY, {}).items()
        ]

    def put(self, entry: CartEntry) -> None:
        """Set the quantity and the seen price of a book."""
        lines = self._session.get(SESSION_KEY, {})
        self._session[SESSION_KEY] = {**lines, entry.sku: [entry.quantity, entry.seen_price_minor]}

    def take_out(self, skus: Iterable[str]) -> None:
        """Remove these books, if they are in the cart."""
        gone = set(skus)
        lines = self._session.get(SESSION_KEY, {})
        if gone & lines.keys():
            self._session[SESSION_KEY] = {sku: line for sku, line in lines.items() if sku not in gone}


class UserCart:
    """The cart of a signed-in user, the same on all devices."""

    def __init__(self, user_id: int) -> None:
        self._user_id = user_id

    def entries(self) -> list[CartEntry]:
        """All books, in the order in which they were added."""
        rows = models.CartLine.objects.filter(user_id=self._user_id)
        return [
            CartEntry(sku=row.sku, quantity=row.quantity, seen_price_minor=row.seen_price_minor)
            for row in rows.only("sku", "quantity", "seen_price_minor")
        ]

    def put(self, entry: CartEntry) -> None:
        """Set the quantity and the seen price of a book."""
        models.CartLine.objects.update_or_create(
            user_id=self._user_id,
            sku=entry.sku,
            defaults={"quantity": entry.quantity, "seen_price_minor": entry.seen_price_minor},
        )

    def take_out(self, skus: Iterable[str]) -> None:
        """Remove these books, if they are in the cart."""
        models.CartLine.objects.filter(user_id=self._user_id, sku__in=list(skus)).delete()


def cart_of(request: HttpRequest) -> Cart:
    """The cart of the request's user or guest."""
    user = request.user
    return UserCart(user.pk) if user.is_authenticated else SessionCart(request.session)


def put_in(cart: Cart, entry: CartEntry) -> None:
    """Set the quantity of a book, if the cart has room for it.

    Raises:
        CartFull: it would have more different books than an order may have.
    """
    present = {other.sku for other in cart.entries()}
    if entry.sku not in present and len(present) >= LINES_MAX:
        raise CartFull
    cart.put(entry)


def count(cart: Cart) -> int:
    """The number of copies in the cart."""
    return sum(entry.quantity for entry in cart.entries())


def merge(guest: Sequence[CartEntry], cart: Cart) -> None:
    """Merge a guest's books into a user's cart.

    Of a book in both, the larger quantity counts: the sum would double the cart of a buyer who signs out and in again.
    """
    present = {entry.sku: entry for entry in cart.entries()}
    room = LINES_MAX - len(present)
    for entry in guest:
        if entry.sku in present:
            if entry.quantity > present[entry.sku].quantity:
                cart.put(entry)
        elif room > 0:
            cart.put(entry)
            room -= 1


def merge_on_sign_in(*, request: HttpRequest | None, user: AbstractBaseUser, **_: Any) -> None:
    """Receiver of `user_logged_in`: merge the guest's cart into the user's."""
    if request is None or not hasattr(request, "session"):
        return
    guest = SessionCart(request.session)
    entries = guest.entries()
    if entries:
        with transaction.atomic():
            merge(entries, UserCart(user.pk))
        guest.take_out([entry.sku for entry in entries])
