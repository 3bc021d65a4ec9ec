"""Names that tell the same person again and do not tell who it is."""

from django.utils.crypto import salted_hmac


def pseudonym(salt: str, whom: str) -> str:
    """32 hex digits, the same for the same one; by the shop's secret key, so that nobody else can try names out.

    They are stored: another salt, or another key, makes everybody a stranger.
    """
    return salted_hmac(salt, whom, algorithm="sha256").hexdigest()[:32]
