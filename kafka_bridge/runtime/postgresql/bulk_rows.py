"""Many rows as one parameter.

Statements take whole batches. psycopg would turn lists into arrays value by value, in Python; one JSON text, which
`json_to_recordset` turns back into rows, takes a third of the time on both sides together.

# Note [The ids once more]
PostgreSQL takes it that there are a hundred rows in such a text. Joined with a table that is not large yet, it would
rather read all of the table than look up a hundred rows, even if there is one. So an UPDATE also says which ids it is
about, as an array: their number is known when the statement is planned.
"""

from collections.abc import Iterable
from uuid import UUID

import msgspec

_encode = msgspec.json.Encoder().encode


def as_json(rows: object) -> str:
    """A list of structs, dataclasses or dicts as the parameter of a `json_to_recordset(%s)`."""
    return _encode(rows).decode()


def storable(text: str) -> str:
    """Without what PostgreSQL cannot hold in a text: NUL, and halves of surrogate pairs."""
    if not text.isascii():
        text = text.encode(errors="replace").decode()
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def uuids(ids: Iterable[UUID]) -> str:
    """Ids as the parameter of a `%s::uuid[]`."""
    return f"{{{','.join(map(str, ids))}}}"
