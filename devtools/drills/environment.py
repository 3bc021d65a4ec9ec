"""A separate shop for a drill, with its own folder, ports and services; nothing else on the machine is touched."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools.drills.plans import DrilledShop
from devtools.testing.processes import Shop
from devtools.testing.services import Services


@contextmanager
def opened(brokers: int, *, state: Path, say: Callable[[str], None], keep: bool = False) -> Iterator[DrilledShop]:
    """Start a shop with so many brokers and all of its roles; stop it afterwards, and delete its folder unless `keep`
    is set.

    Raises:
        LocalError: it cannot run on this machine; the message says why.
    """
    services = Services(state=state, purpose="drills", brokers=brokers)
    folder = services.state.path
    try:
        say(f"Starting a shop in {folder}")
        services.start()
        shop = Shop(services, settings=_settings(folder))
        shop.open()
        try:
            yield DrilledShop(shop=shop, postgres=services.postgres, kafka=services.kafka())
        finally:
            shop.close()
    finally:
        services.stop()
        if keep:
            say(f"Its logs and data are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _settings(folder: Path) -> dict[str, str]:
    """Settings that the environment of a running demo must not change."""
    return {
        "ALLOWED_HOSTS": "127.0.0.1",
        "EMAIL_FILE_PATH": str(folder / "mail"),
        "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "SHOW_DEMO_HINTS": "false",
    }
