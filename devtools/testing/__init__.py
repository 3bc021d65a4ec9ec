"""What the tests run against, and what they share: services, brokers, a browser, a whole shop, builders of rows."""

import pkgutil

import pytest

# Helpers assert too, and a failure shall show what was compared. Before any of them is imported.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
