"""docs/learn.md against the code: each step has a test that exists, and its cards are those that the page has."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from devtools.tests.test_failures_doc import names_in
from shop.kafka_window.cards import acts, questions
from shop.kafka_window.cards.concepts import CARDS
from shop.kafka_window.state import Window

pytestmark = pytest.mark.window
ROOT = Path(settings.BASE_DIR)
TEXT = (ROOT / "docs" / "learn.md").read_text()
PARTS = dict(re.findall(r"^## (\w+).*?\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def rows(text: str) -> list[tuple[str, str]]:
    """The cells of a table of two columns, without its head."""
    found = re.findall(r"^\| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    return found[1:]


def proofs() -> dict[str, str]:
    """By what it proves, each test."""
    return dict(rows(PARTS["What"]))


def test_each_test_exists() -> None:
    assert len(proofs()) >= 12
    for what, cell in proofs().items():
        named = re.fullmatch(r"`([\w/]+\.py)::(\w+)`", cell)
        assert named, f"{what}: {cell} names no test"
        assert named[2] in names_in(ROOT / named[1]), what


def test_each_step_has_one() -> None:
    steps = re.findall(r"^(\d+)\. ", PARTS["Look"], re.MULTILINE)
    assert steps == [str(number) for number in range(1, len(steps) + 1)] != []
    assert [f"Look {number}" for number in steps] == [what for what in proofs() if what.startswith("Look ")]
    assert {what.partition(":")[0] for what in proofs() if ":" in what} == {"Do", "Answer"}


def test_the_cards_are_those_of_the_page() -> None:
    """In the same sequence; the browser's test does each of them."""
    assert [title for title, _ in rows(PARTS["Do"])] == [card.title for card in CARDS]
    assert set(acts.ACTS) == {card.name for card in CARDS}


def test_there_are_ten_questions() -> None:
    assert "ten questions" in PARTS["Answer"]
    assert len(questions.questions(Window(version=0))) == 10


def test_it_takes_twenty_minutes() -> None:
    """A card takes less than a minute, so those of the second part fit in."""
    minutes = [int(number) for number in re.findall(r"^## \w+ \((\d+) minutes\)$", TEXT, re.MULTILINE)]
    assert (sum(minutes), "twenty minutes" in TEXT.splitlines()[0]) == (20, True)


def test_what_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\((\w[\w.-]*\.md)\)", TEXT):
        assert (ROOT / "docs" / target).is_file(), target
