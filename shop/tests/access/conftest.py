"""A whole shop with least rights, the same for the tests of this folder."""

from collections.abc import Iterator

import pytest

from devtools.testing.shop import secured_shop
from devtools.testing.shop.secured_shop import SecuredShop


@pytest.fixture(scope="module")
def _secured_shop(_kafka_possible: None) -> Iterator[SecuredShop]:
    with secured_shop.open_shop() as shop:
        yield shop


@pytest.fixture
def shop(_secured_shop: SecuredShop) -> SecuredShop:
    """Every role running, each as itself."""
    _secured_shop.ensure_running()
    return _secured_shop
