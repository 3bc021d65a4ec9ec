"""What the tests run against, and what they share: services, brokers, a browser, a whole shop, builders of rows."""

import pkgutil
import sys

# Helpers assert too, and a failure shall show what was compared. Before any of them is imported; but drills use some of
# them where only the demo's packages are installed.
if pytest := sys.modules.get("pytest"):
    pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
