"""Which account has which mail address.

# Note [Whose an address is]
An address belongs to the account that has confirmed it, and to no other. Until somebody has, accounts of before that
were made with it share it; they are told apart by their user names. An account that has confirmed an address is found
by none but that one.
"""

from allauth.account.models import EmailAddress
from django.contrib.auth.models import User

from shop.typed import emails


def clean(address: str) -> str:
    """The address as accounts keep it: in lower case.

    Raises:
        emails.NotAnAddress: no mail server could take it.
    """
    return emails.clean(address).lower()


def accounts_with(address: str) -> list[User]:
    """The active accounts of this address; see Note [Whose an address is]. Empty for what is no address."""
    try:
        address = clean(address)
    except emails.NotAnAddress:
        return []
    rows = list(EmailAddress.objects.filter(email=address).select_related("user"))
    if confirmed := [row.user for row in rows if row.verified]:
        return [user for user in confirmed if user.is_active]
    found = {row.user for row in rows} | set(User.objects.filter(email__iexact=address))
    others = set(EmailAddress.objects.filter(user__in=found, verified=True).values_list("user_id", flat=True))
    return [user for user in found if user.is_active and user.pk not in others]


def confirmed_address(user_id: int) -> str:
    """The address that the account has confirmed; empty if it has none."""
    return EmailAddress.objects.filter(user_id=user_id, verified=True).values_list("email", flat=True).first() or ""


def awaits_confirmation(user: User) -> bool:
    """Whether the account was just made by signing up, and nobody has shown yet that the address is theirs.

    Signing up alone makes an unconfirmed address the primary one: accounts of before, and those that staff make, sign
    in as they always did.
    """
    if user.last_login is not None:
        return False
    rows = EmailAddress.objects.filter(user=user)
    return rows.filter(primary=True, verified=False).exists() and not rows.filter(verified=True).exists()
