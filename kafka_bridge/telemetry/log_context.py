"""What the work under way is about, for log lines: noted by who begins it, looked at only when a line is written."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

Subject = Callable[[], Mapping[str, str]]
"""Ids by name: `key`, `event`, `trace`; called by who writes a log line."""


def _nothing() -> Mapping[str, str]:
    return {}


_subject: ContextVar[Subject] = ContextVar("subject", default=_nothing)


@contextmanager
def about(subject: Subject) -> Iterator[None]:
    """What is logged in the block is about this; costs as much as two assignments."""
    token = _subject.set(subject)
    try:
        yield
    finally:
        _subject.reset(token)


def fields() -> Mapping[str, str]:
    """The ids of what is under way in this thread, or task."""
    return _subject.get()()
