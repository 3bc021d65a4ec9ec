"""Amounts of money in words. Everywhere else they are whole numbers of a currency's smallest unit."""

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
_WITHOUT_DECIMALS = frozenset({"JPY", "KRW"})


def in_words(amount_minor: int, currency: str) -> str:
    """ "$1,234.50" for 123450 of USD; currencies without a symbol here are shown by their code."""
    symbol = _SYMBOLS.get(currency, f"{currency} ")
    sign = "-" if amount_minor < 0 else ""
    if currency in _WITHOUT_DECIMALS:
        return f"{sign}{symbol}{abs(amount_minor):,}"
    units, cents = divmod(abs(amount_minor), 100)
    return f"{sign}{symbol}{units:,}.{cents:02d}"
