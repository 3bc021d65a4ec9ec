"""Who buys, and where the parcel goes: one rule for what the page and the JSON interface take."""

from types import MappingProxyType

import msgspec

from shop.typed import emails, texts

LENGTHS = MappingProxyType({"name": 120, "address_line1": 200, "address_line2": 200, "city": 100, "postcode": 20})
"""The most characters of each text; those of the columns of an order."""
_OPTIONAL = "address_line2"


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """Who buys, and where the parcel goes."""

    name: str
    email: str
    address_line1: str
    address_line2: str = ""
    city: str
    postcode: str
    country: str


class WrongContact(ValueError):
    """A field holds what it must not; `field` says which, the message what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def clean(contact: Contact) -> Contact:
    """The contact as an order stores it; the country is left alone.

    Raises:
        WrongContact: a text is empty or breaks the rule for typed texts, or no mail server could take the address.
    """
    found = {name: _text(contact, name) for name in LENGTHS}
    try:
        return Contact(**found, email=emails.clean(contact.email), country=contact.country)
    except emails.NotAnAddress as error:
        raise WrongContact("email", str(error)) from error


def _text(contact: Contact, name: str) -> str:
    try:
        text = texts.clean(getattr(contact, name), max_length=LENGTHS[name])
    except texts.NotAllowed as error:
        raise WrongContact(name, str(error)) from error
    if not text and name != _OPTIONAL:
        raise WrongContact(name, "This field must not be empty.")
    return text
