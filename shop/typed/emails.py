"""The one rule for mail addresses: what the page takes, the JSON interface takes, and the other way round."""

from email_validator import EmailNotValidError, validate_email

LENGTH_MAX = 254
_GMAIL = frozenset({"gmail.com", "googlemail.com"})


class NotAnAddress(ValueError):
    """No mail server could take it; the message says what is wrong, for the person who typed it."""


def clean(text: str) -> str:
    """The address as it is stored and written to: its domain in lower case and, if it has other letters, as `xn--…`.

    What is in front of the @ must be ASCII: a server that takes anything else must say so (SMTPUTF8), and few do.
    Whether the domain exists is not looked up.

    Raises:
        NotAnAddress: see its message.
    """
    if len(text) > LENGTH_MAX:
        raise NotAnAddress(f"Enter an address of at most {LENGTH_MAX} characters.")
    try:
        valid = validate_email(text.strip(), check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError as error:
        # What it adds in brackets is for those who write mail servers.
        words = str(error).partition(" (")[0].rstrip(".")
        raise NotAnAddress(f"Enter an address that mail can be sent to. {words}.") from error
    return valid.ascii_email or valid.normalized


def canonical(address: str) -> str:
    """One spelling for the addresses that one mailbox has; only to count by, never to write to.

    # Note [One mailbox, one customer]
    Case and a dot at the end of the domain never make another mailbox in practice. What follows a `+` does not either,
    at all large providers. Dots count for nothing at Gmail alone, which has two domains. Who has two addresses
    that are different by these rules is two customers; and the few whose provider has another box for `a+b` than for
    `a` share a limit. Other providers' rules (subdomains, hyphens) are not followed: elsewhere they would join
    strangers.
    """
    local, _, domain = address.strip().casefold().rpartition("@")
    domain = domain.rstrip(".")
    local = local.partition("+")[0] or local
    if domain in _GMAIL:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"
