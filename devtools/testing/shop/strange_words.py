"""Words as an attacker types them into addresses, forms and messages: the same ones for the same seed."""

import random

PIECES = (
    "", " ", "a", "0", "-1", "1e9", "99999", "١٢", "2" * 19, "9" * 400, "\x00", "\r\n", "\t", "\ufffe", "\u202eabc",
    "\u200b", "🫢" * 100, "𫒚" * 100, "﷽" * 30, "İ", "ß", "đ", "ﬁ", "\uff21", "e\u0301" * 40,
    "<script>alert(1)</script>", "\"onerror='x'", "{{7*7}}", "{% load x %}", "${7*7}", "%00", "%ff%fe", "%", "%25",
    "..", "../../etc/passwd", "/", "//x", "\\", "'", "''--", "1' OR '1'='1", "); DROP TABLE shop_book;--", "*:*",
    ":*", "a:*A & !b", "& | ! ( )", "<->", "a b c d e f g h i j k l m n", "the of and", "isbn 9790000000000",
    "979-0-00-000000-0", "null", "None", "true", "[]", "{}", "undefined", "NaN", "Infinity", "price", "-price",
    "title", "relevance", "series", "newest", "fiction", "paperback", "en", "x" * 121, "y" * 5000, "q=q&q=q",
    "00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-000000000000}", "orders.events/0/0",
    "orders.events/999999/0", "orders.events.inventory.dlq/0/999999999999999999", "__consumer_offsets/0/0",
    "orders.events/٣/0", "br-x", "http://evil.example/",
)  # fmt: skip


def word(chance: random.Random) -> str:
    """One or two of the pieces, or random letters of all of Unicode."""
    if chance.random() < 0.1:
        return "".join(chr(_code(chance)) for _ in range(chance.randint(1, 60)))
    return "".join(chance.choice(PIECES) for _ in range(chance.choice((1, 1, 1, 2))))


def pairs(chance: random.Random, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Some parameters, now and then twice, or one that nobody knows."""
    return [(chance.choice((*names, "x[]")), word(chance)) for _ in range(chance.randint(0, 4))]


def _code(chance: random.Random) -> int:
    code = chance.randrange(0x110000)
    return code if not 0xD800 <= code < 0xE000 else code - 0x800
