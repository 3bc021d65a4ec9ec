"""What the tests of waiting rooms share."""

from collections.abc import Iterator

import pytest

from shop.waiting_room import admission, rooms


@pytest.fixture(autouse=True)
def no_rooms_of_before() -> Iterator[None]:
    """No test sees the rooms that another one left in the process."""
    rooms.forget()
    admission.forget()
    yield
    rooms.forget()
    admission.forget()
