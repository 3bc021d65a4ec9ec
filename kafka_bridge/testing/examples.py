"""Events with made-up contents, for tests that need one and do not care what is in it."""

from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import inspect

from kafka_bridge.wire.events import Event

E = TypeVar("E", bound=Event)
_PLAIN: dict[type[inspect.Type], object] = {
    inspect.BoolType: False,
    inspect.IntType: 1,
    inspect.FloatType: 1.0,
    inspect.StrType: "x",
    inspect.NoneType: None,
    inspect.UUIDType: UUID(int=1),
    inspect.DateTimeType: datetime(2026, 1, 1, tzinfo=UTC),
}


def example_of(event_type: type[E], **fields: object) -> E:
    """An event of this type: these fields, and for each other one without a default the simplest value of its type.

    Raises:
        TypeError: there is no simplest value of a field's type: give one.
    """
    needed = {
        field.name: _simplest(inspect.type_info(field.type), f"{event_type.__name__}.{field.name}")
        for field in msgspec.structs.fields(event_type)
        if field.required and field.name not in fields
    }
    return msgspec.convert(needed | fields, event_type)


def _simplest(kind: inspect.Type, where: str) -> Any:
    if isinstance(kind, inspect.StructType):
        return {f.name: _simplest(f.type, f"{where}.{f.name}") for f in kind.fields if f.required}
    if isinstance(kind, inspect.UnionType):
        return _simplest(kind.types[0], where)
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        return [_simplest(kind.item_type, where)]
    if isinstance(kind, inspect.DictType):
        return {}
    if isinstance(kind, inspect.EnumType):
        return next(iter(kind.cls))
    if isinstance(kind, inspect.LiteralType):
        return kind.values[0]
    try:
        return _PLAIN[type(kind)]
    except KeyError:
        raise TypeError(f"there is no simplest value of {where}, a {type(kind).__name__}: give one") from None
