"""Amounts of money: whole numbers of a currency's smallest unit everywhere, and written out for people here alone.

The site, the apps and the sandbox bank all show amounts, and none of them may import another, so this package lies
below them. It knows nothing of Django: which language a reader has is for the caller to say.

# Note [Two sources]
How many decimals an amount has is a matter between us and the gateway, so ISO 4217 decides (`EXPONENTS`). The CLDR's
figure, which is Babel's, is how many decimals people write: none in forints, of which gateways count hundredths. How
an amount looks (symbol, separators, sides) is Babel's.
"""

from decimal import Decimal
from functools import cache, lru_cache

from babel.core import Locale
from babel.numbers import NumberPattern, get_currency_symbol, parse_pattern

LOCALE = "en_US"
EXPONENTS = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
         "XOF", "XPF"),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}  # fmt: skip
"""Currencies whose smallest unit is no hundredth, by ISO 4217 (list one, column "minor unit")."""
_WITH_CODE = "#,##0.00 ¤¤"
# A page shows the same prices again and again, and Babel takes 35 µs for one, this 0.2 µs.
_REMEMBERED = 8192


def digits(currency: str) -> int:
    """How many decimals amounts of this currency have: 2 for USD, 0 for VND."""
    return EXPONENTS.get(currency, 2)


def to_major(amount_minor: int, currency: str) -> Decimal:
    """Exactly the same amount in the currency's main unit: 12.50 for 1250 of USD, 1250 for 1250 of VND."""
    return Decimal(amount_minor).scaleb(-digits(currency))


def to_minor(amount: Decimal, currency: str) -> int:
    """The other way round.

    Raises:
        ValueError: the amount has more decimals than the currency.
    """
    scaled = amount.scaleb(digits(currency))
    if scaled != (whole := int(scaled)):
        raise ValueError(f"{amount} is no whole number of the smallest unit of {currency}")
    return whole


@lru_cache(_REMEMBERED)
def format_amount(amount_minor: int, currency: str, locale: str = LOCALE) -> str:
    """As buyers read it: "$1,234.50" for 123450 of USD, "₫1,500" for 1500 of VND."""
    return _apply(_pattern(None, currency, locale), amount_minor, currency, locale)


@lru_cache(_REMEMBERED)
def format_with_code(amount_minor: int, currency: str, locale: str = LOCALE) -> str:
    """As staff and bookkeepers read it: "1,234.50 USD"."""
    return _apply(_pattern(_WITH_CODE, currency, locale), amount_minor, currency, locale)


def format_plain(amount_minor: int, currency: str) -> str:
    """As records keep it: "1234.50 USD", the same in every language and release, so that texts can be compared."""
    return f"{to_major(amount_minor, currency):f} {currency}"


def _apply(pattern: NumberPattern, amount_minor: int, currency: str, locale: str) -> str:
    major = to_major(amount_minor, currency)
    return str(pattern.apply(major, locale, currency=currency, currency_digits=False))


@cache
def _pattern(pattern: str | None, currency: str, locale: str) -> NumberPattern:
    """How amounts look there (without a pattern: as the language's own), with as many decimals as they have."""
    if pattern is None:
        pattern = Locale.parse(locale).currency_formats["standard"].pattern
        # CLDR's "currency spacing": letters keep off the digits, which Babel does not see to.
        if get_currency_symbol(currency, locale)[-1:].isalpha():
            pattern = pattern.replace("¤#", "¤\N{NO-BREAK SPACE}#")
    found = parse_pattern(pattern)
    found.frac_prec = (digits(currency), digits(currency))
    return found
