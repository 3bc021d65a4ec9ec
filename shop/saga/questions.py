"""What the apps ask one another: the calls that are no events, because an answer is needed in the same transaction.

No app may import another, so a setting names the function that answers. Each is listed here, and `manage.py saga`
shows them beside the events; a test finds any that is not.
"""

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, kw_only=True)
class Question:
    """One app asks another one something, and waits for the answer."""

    setting: str
    """The setting that names the function."""
    asker: str
    asked: str
    what: str
    when: str
    why: str

    @property
    def answered_by(self) -> str:
        """The function, as a dotted path."""
        return str(getattr(settings, self.setting))


QUESTIONS = (
    Question(
        setting="ORDERS_PAYMENT_CHECK",
        asker="orders",
        asked="payments",
        what="which charge of these orders is captured, and how much?",
        when="payment.confirmed is heard, before an order becomes PAID",
        why="a topic is no proof that money came in",
    ),
    Question(
        setting="INVENTORY_PAYMENT_CHECK",
        asker="inventory",
        asked="payments",
        what="which of these orders are paid?",
        when="payment.confirmed is heard, before stock is sold",
        why="a topic is no proof that money came in",
    ),
    Question(
        setting="INVENTORY_PAYMENT_STOP",
        asker="inventory",
        asked="payments",
        what="never charge these orders; of which of them is that certain?",
        when="a hold has run out, before it is given up",
        why="nobody shall pay for books that were given up a moment before",
    ),
)
