"""What starting a process does, and must not do."""

import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import msgspec
import pytest
from django.conf import settings
from django.core.cache import caches
from django_redis import get_redis_connection

PACKAGES = ("shop", "orders", "inventory", "payments", "events", "money", "kafka_bridge", "devtools")
SCRIPT = """
import confluent_kafka, confluent_kafka.admin, threading

def refuse(*_, **__):
    raise SystemExit("a Kafka client was made at import")

for module, names in ((confluent_kafka, ("Consumer", "Producer")), (confluent_kafka.admin, ("AdminClient",))):
    for name in names:
        setattr(module, name, type(name, (getattr(module, name),), {"__init__": refuse, "__new__": refuse}))

import django
django.setup()
from devtools.tests.test_imports import import_everything
print(import_everything(), [thread.name for thread in threading.enumerate()])
"""


def import_everything() -> int:
    """Import every module of ours but tests and migrations; how many there were."""
    count = 0
    for package in PACKAGES:
        found = pkgutil.walk_packages(import_module(package).__path__, f"{package}.")
        for name in (module.name for module in found):
            if not {"tests", "migrations", "asgi", "wsgi"} & set(name.split(".")):
                import_module(name)
                count += 1
    return count


def test_drills_need_no_package_that_only_tests_need() -> None:
    """After `make demo` alone: what is listed in requirements-dev.txt is not there."""
    lists = Path(settings.BASE_DIR, "requirements-dev.txt").read_text()
    wanted = {name.lower() for name in re.findall(r"^([\w-]+)==", lists, re.MULTILINE)}
    missing = [module for module, of in packages_distributions().items() if {name.lower() for name in of} <= wanted]
    assert {"pytest", "yaml", "httpx"} <= set(missing)
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({missing!r})); import manage; "
        "sys.argv[1:] = ['run_drill', '--list']; manage.main()"
    )
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", script], cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "random-kills" in done.stdout


def test_importing_everything_makes_no_kafka_client() -> None:
    """FAILURES 39: clients and threads that are made before a fork are broken after it."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", SCRIPT], cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    count, threads = done.stdout.split(maxsplit=1)
    assert int(count) > 200
    assert threads.strip() == "['MainThread']"


@pytest.mark.parametrize("alias", sorted(settings.CACHES))
def test_nothing_in_redis_is_unpickled(alias: str) -> None:
    """Unpickling runs code that the author of the pickle chose."""
    caches[alias].set("kept", {"units": [1, 2]})
    with get_redis_connection(alias) as connection:
        [stored] = [connection.get(key) for key in connection.keys("*kept*")]
    assert msgspec.json.decode(stored) == {"units": [1, 2]}
    assert settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"
