"""An account's saved addresses."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from shop.models import SavedAddress

ADDRESSES_MAX = 20
FIELDS = ("name", "address_line1", "address_line2", "city", "postcode", "country")


class BookFull(Exception):
    """The account has as many addresses as it may have: remove one first."""


def of_account(user_id: int) -> list[SavedAddress]:
    """The default one first."""
    return list(SavedAddress.objects.filter(user_id=user_id))


def save(*, user_id: int, contact: dict[str, Any]) -> SavedAddress:
    """Keep an address; one that is there already is not kept twice. The first one is the default.

    Raises:
        BookFull: there is no room for another one.
    """
    with transaction.atomic():
        _lock(user_id)
        saved = of_account(user_id)
        wanted = {name: contact[name] for name in FIELDS}
        for address in saved:
            if {name: getattr(address, name) for name in FIELDS} == wanted:
                return address
        if len(saved) >= ADDRESSES_MAX:
            raise BookFull
        return SavedAddress.objects.create(user_id=user_id, is_default=not saved, **wanted)


def remove(*, user_id: int, address_id: int) -> None:
    """Forget it; if it was the default, the oldest of the others is that now."""
    with transaction.atomic():
        _lock(user_id)
        SavedAddress.objects.filter(user_id=user_id, pk=address_id).delete()
        if (rest := of_account(user_id)) and not rest[0].is_default:
            SavedAddress.objects.filter(pk=rest[0].pk).update(is_default=True)


def make_default(*, user_id: int, address_id: int) -> None:
    """Have the checkout fill in this one."""
    with transaction.atomic():
        _lock(user_id)
        if SavedAddress.objects.filter(user_id=user_id, pk=address_id).exists():
            SavedAddress.objects.filter(user_id=user_id, is_default=True).update(is_default=False)
            SavedAddress.objects.filter(pk=address_id).update(is_default=True)


def as_initial(address: SavedAddress) -> dict[str, Any]:
    """What a form of the checkout begins with."""
    return {name: getattr(address, name) for name in FIELDS}


def _lock(user_id: int) -> None:
    User.objects.select_for_update().get(pk=user_id)
