"""Texts of rows and events, new ones and those of long ago, are read as reasons and written back as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.cancel_reasons import LENGTH, OUT_OF_STOCK, CancelCode, CancelReason


@pytest.mark.parametrize(
    ("text", "code", "detail"),
    [
        ("out of stock", CancelCode.OUT_OF_STOCK, ""),
        ("limit per customer reached", CancelCode.OVER_LIMIT, ""),
        ("not paid in time", CancelCode.NOT_PAID, ""),
        ("not completed in time", CancelCode.TIMED_OUT, ""),
        ("cancelled by the buyer", CancelCode.BY_BUYER, ""),
        ("payment failed: card declined", CancelCode.PAYMENT_FAILED, "card declined"),
        ("payment failed: bank: try later", CancelCode.PAYMENT_FAILED, "bank: try later"),
        ("the buyer moved: wrong address", CancelCode.OTHER, "the buyer moved: wrong address"),
        ("other", CancelCode.OTHER, "other"),
    ],
)
def test_each_text_has_its_code(text: str, code: CancelCode, detail: str) -> None:
    assert CancelReason.parse(text) == CancelReason(code, detail)


def test_no_text_is_no_reason() -> None:
    assert CancelReason.parse("") is None


@given(st.one_of(st.text(min_size=1, max_size=LENGTH), st.sampled_from(CancelCode.values)))
def test_every_text_is_written_back_as_it_was(text: str) -> None:
    assert str(CancelReason.parse(text)) == text


def test_a_text_fits_its_column_and_equals_the_text_of_before() -> None:
    assert len(str(CancelReason(CancelCode.PAYMENT_FAILED, "x" * 300))) == LENGTH
    assert str(OUT_OF_STOCK) == "out of stock"
