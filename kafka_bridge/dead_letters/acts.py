"""What people do to dead letters is noted with the letter, and told to whoever keeps a log of what it is about."""

from dataclasses import dataclass

from django.dispatch import Signal

from kafka_bridge.models import DeadLetter, DeadLetterAct


@dataclass(frozen=True, kw_only=True)
class LetterAct:
    """Something that a person did to a letter."""

    letter: DeadLetter
    """As it was before."""
    who: str
    what: str
    """"redriven", "edited" or "discarded"."""
    reason: str
    edited: bytes | None = None
    """Of an edited one: the body that is sent from now on."""


noted = Signal()
"""Sent with `act`, a LetterAct, in the transaction of the act: what a receiver writes is committed with it or not at
all. The site, which knows what events are about, connects its own log."""


def note(act: LetterAct) -> None:
    """Note an act in the caller's transaction."""
    DeadLetterAct.objects.create(letter=act.letter, who=act.who[:150], what=act.what, reason=act.reason.strip()[:500])
    noted.send(LetterAct, act=act)
