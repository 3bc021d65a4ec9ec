"""A message's headers, whatever bytes a stranger has put into their names.

# Note [A name that is no UTF-8]
Kafka takes any bytes as a header's name. confluent-kafka (2.16) makes a `str` of each name and does not look whether
that worked: its list then holds a pair without a first item, and whoever unpacks that pair reads through a null
pointer, which ends the process (SIGSEGV). The message stays in its topic, so the next process ends as well.

`headers` also leaves the decoding error behind, and Python tells of such a slip with a SystemError, unless the call has
been made often enough at its place in the code to be specialised: then it is not checked. So the call is made from C,
where it always is. After it, `gc.get_referents` says what a broken pair does hold without touching what it does not.
"""

import gc
from operator import methodcaller
from typing import Any

Pairs = list[tuple[str, bytes | None]]
UNREADABLE = "\N{REPLACEMENT CHARACTER}"
"""Stands for a name that is no UTF-8; the client does not say which bytes it has."""
_ask = methodcaller("headers")


def read(message: Any) -> Pairs:
    """The headers of a message (`confluent_kafka.Message` or alike), in their sequence; none where it has none.

    See Note [A name that is no UTF-8].
    """
    try:
        return _ask(message) or []
    except SystemError:
        # The client keeps what it made, and gives it out the next time without an error: so it must not keep that.
        message.set_headers([_mended(pair) for pair in message.headers() or ()])
    return _ask(message) or []


def _mended(pair: tuple[str, bytes | None]) -> tuple[str, bytes | None]:
    held = gc.get_referents(pair)
    return pair if len(held) == 2 else (UNREADABLE, held[0])
