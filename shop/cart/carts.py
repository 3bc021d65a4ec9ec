"""The cart: what somebody means to buy. A guest's lies in the session, that of a user in the database."""

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
    """The cart has as many different books as one order may have: order these first, or take some out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CartEntry:
    """One book of a cart, and what it cost (minor units) when it was put in."""

    sku: str
    quantity: int
    seen_price_minor: int


class Cart(Protocol):
    """What both kinds of cart can do."""

    def entries(self) -> list[CartEntry]:
        """All books, in the order in which they were put in."""

    def put(self, entry: CartEntry) -> None:
        """Have exactly this quantity at this seen price, whatever was there before."""

    def take_out(self, skus: Iterable[str]) -> None:
        """Remove these books; the ones that are not there do not matter."""


class SessionCart:
    """A guest's cart."""

    def __init__(self, session: SessionBase) -> None:
        self._session = session

    def entries(self) -> list[CartEntry]:
        """All books, in the order in which they were put in."""
        return [
            CartEntry(sku=sku, quantity=quantity, seen_price_minor=seen_price_minor)
            for sku, (quantity, seen_price_minor) in self._session.get(SESSION_KEY, {}).items()
        ]

    def put(self, entry: CartEntry) -> None:
        """Have exactly this quantity at this seen price, whatever was there before."""
        lines = self._session.get(SESSION_KEY, {})
        self._session[SESSION_KEY] = {**lines, entry.sku: [entry.quantity, entry.seen_price_minor]}

    def take_out(self, skus: Iterable[str]) -> None:
        """Remove these books; the ones that are not there do not matter."""
        gone = set(skus)
        lines = self._session.get(SESSION_KEY, {})
        if gone & lines.keys():
            self._session[SESSION_KEY] = {sku: line for sku, line in lines.items() if sku not in gone}


class UserCart:
    """The cart of somebody with an account: the same on each of their devices."""

    def __init__(self, user_id: int) -> None:
        self._user_id = user_id

    def entries(self) -> list[CartEntry]:
        """All books, in the order in which they were put in."""
        rows = models.CartLine.objects.filter(user_id=self._user_id)
        return [
            CartEntry(sku=row.sku, quantity=row.quantity, seen_price_minor=row.seen_price_minor)
            for row in rows.only("sku", "quantity", "seen_price_minor")
        ]

    def put(self, entry: CartEntry) -> None:
        """Have exactly this quantity at this seen price, whatever was there before."""
        models.CartLine.objects.update_or_create(
            user_id=self._user_id,
            sku=entry.sku,
            defaults={"quantity": entry.quantity, "seen_price_minor": entry.seen_price_minor},
        )

    def take_out(self, skus: Iterable[str]) -> None:
        """Remove these books; the ones that are not there do not matter."""
        models.CartLine.objects.filter(user_id=self._user_id, sku__in=list(skus)).delete()


def of(request: HttpRequest) -> Cart:
    """The cart of whoever asks."""
    user = request.user
    return UserCart(user.pk) if user.is_authenticated else SessionCart(request.session)


def put_in(cart: Cart, entry: CartEntry) -> None:
    """Have this quantity of a book, if there is room for one more.

    Raises:
        CartFull: it would be more different books than an order may have.
    """
    there = {other.sku for other in cart.entries()}
    if entry.sku not in there and len(there) >= LINES_MAX:
        raise CartFull
    cart.put(entry)


def count(cart: Cart) -> int:
    """Copies in the cart, all books together."""
    return sum(entry.quantity for entry in cart.entries())


def merge(guest: Sequence[CartEntry], cart: Cart) -> None:
    """Bring a guest's books into another cart; of a book in both the larger quantity counts, so nothing doubles."""
    there = {entry.sku: entry for entry in cart.entries()}
    room = LINES_MAX - len(there)
    for entry in guest:
        if entry.sku in there:
            if entry.quantity > there[entry.sku].quantity:
                cart.put(entry)
        elif room > 0:
            cart.put(entry)
            room -= 1


def merge_on_sign_in(*, request: HttpRequest | None, user: AbstractBaseUser, **_: Any) -> None:
    """Receiver of `user_logged_in`: the guest's cart becomes part of the user's."""
    if request is None or not hasattr(request, "session"):
        return
    guest = SessionCart(request.session)
    entries = guest.entries()
    if entries:
        with transaction.atomic():
            merge(entries, UserCart(user.pk))
        guest.take_out([entry.sku for entry in entries])
