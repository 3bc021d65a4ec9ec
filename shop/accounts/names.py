"""User names that look alike are one name: `reader` is `Reader`, and `admin` with a Cyrillic letter is `admin`."""

import unicodedata
from collections.abc import Collection
from functools import cache
from typing import Any

from django.contrib.auth.models import User

from shop.models import AccountName

# What the Unicode tables leave apart and a screen does not.
_DIGITS = str.maketrans("01", "ol")


def folded(name: str) -> str:
    """The name as it is compared at sign-in: case and the forms of Unicode make no difference."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def canonical(name: str) -> str:
    """One spelling for all names that look alike: letters of other scripts become the Latin ones they look like."""
    decomposed = unicodedata.normalize("NFKD", folded(name))
    return "".join(_latin(char) for char in decomposed).casefold().translate(_DIGITS)[:300]


@cache
def _latin(char: str) -> str:
    """The ASCII letters that the character looks like, by Unicode's table of confusables; else itself."""
    if char.isascii():
        return char
    # Half a megabyte of tables, for names that most processes never see.
    from confusable_homoglyphs.confusables import confusables_data  # noqa: PLC0415

    alike = [entry["c"] for entry in confusables_data.get(char, ()) if entry["c"].isascii() and entry["c"].isalnum()]
    return str(min(alike, key=lambda letters: (len(letters), letters.casefold()))) if alike else char


def note_on_save(*, instance: User, raw: bool = False, update_fields: Collection[str] | None = None, **_: Any) -> None:
    """Receiver of `post_save`: an account that staff or a command made gets its name too, where that is free."""
    if raw or (update_fields is not None and "username" not in update_fields):
        return
    AccountName.objects.filter(user=instance).exclude(canonical=canonical(instance.username)).delete()
    AccountName.objects.bulk_create(
        [AccountName(user=instance, canonical=canonical(instance.username))], ignore_conflicts=True
    )


def user_named(name: str) -> User | None:
    """The account with exactly this name, or else the one whose name is the same but for its case."""
    found = User.objects.filter(username=name).first()
    if found is not None:
        return found
    known = AccountName.objects.select_related("user").filter(canonical=canonical(name)).first()
    return known.user if known is not None and folded(known.user.username) == folded(name) else None
