"""The test cards: each always behaves the same."""

import enum
from dataclasses import KW_ONLY, dataclass


class Trouble(enum.Enum):
    """What goes wrong with a card beyond a plain no."""

    NONE = enum.auto()
    SLOW = enum.auto()
    """Answered after `SANDBOX_SLOW_SECONDS`."""
    ANSWER_LOST = enum.auto()
    """The first call with each key is carried out, and its answer never comes."""
    CALL_LOST = enum.auto()
    """The first call with each key is not carried out, and no answer comes."""


class Hooks(enum.Enum):
    """Which webhooks there are of a card's payments."""

    UNTOLD = enum.auto()
    """What nobody was told in an answer."""
    TWICE = enum.auto()
    """Everything that happens, each two times."""
    SHUFFLED = enum.auto()
    """Everything that happens, late, and the last first."""


@dataclass(frozen=True)
class TestCard:
    """A card that always behaves the same."""

    __test__ = False  # for pytest, which takes the name for a test

    token: str
    label: str
    description: str
    _: KW_ONLY
    is_common: bool = False
    """Shown first; the others are for those who look for trouble."""
    declines_with: str = ""
    asks_buyer: bool = False
    """The buyer confirms on the bank's page (3-D Secure)."""
    trouble: Trouble = Trouble.NONE
    hooks: Hooks = Hooks.UNTOLD


TEST_CARDS = (
    TestCard(
        "pm_success", "Card that works", "The payment goes through.", is_common=True
    ),
    TestCard(
        "pm_declined", "Card that is declined", "The bank says no.", is_common=True,
        declines_with="card declined",
    ),
    TestCard(
        "pm_insufficient_funds", "Card without funds", "There is not enough money.",
        is_common=True, declines_with="insufficient funds",
    ),
    TestCard(
        "pm_3ds", "Card that asks you", "The bank wants you to confirm the payment on its page.",
        is_common=True, asks_buyer=True,
    ),
    TestCard(
        "pm_fraud", "Stolen card", "The bank takes it for fraud and says no.",
        declines_with="suspected fraud",
    ),
    TestCard(
        "pm_slow", "Slow card", "The payment goes through, after some seconds.",
        trouble=Trouble.SLOW,
    ),
    TestCard(
        "pm_charges_then_times_out", "Card whose answers get lost",
        "The bank does what it is asked, but its first answer never arrives.", trouble=Trouble.ANSWER_LOST,
    ),
    TestCard(
        "pm_times_out_before", "Card whose first call gets lost",
        "The bank never hears the first call; the second one works.", trouble=Trouble.CALL_LOST,
    ),
    TestCard(
        "pm_hooks_twice", "Card with doubled messages",
        "The payment goes through, and the bank reports everything twice.", hooks=Hooks.TWICE,
    ),
    TestCard(
        "pm_hooks_shuffled", "Card with late messages",
        "The payment goes through; the bank reports late and in the wrong order.", hooks=Hooks.SHUFFLED,
    ),
)  # fmt: skip
BY_TOKEN = {card.token: card for card in TEST_CARDS}
UNKNOWN_CARD = TestCard("", "Unknown card", "", declines_with="unknown card")


def card_of(token: str) -> TestCard:
    """The card with this token; one that is always declined if there is none."""
    return BY_TOKEN.get(token, UNKNOWN_CARD)
