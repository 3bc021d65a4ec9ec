"""E12, O1: every process says that it lives, one that does not is missed, and each shows what it has counted."""

import json
import subprocess
import sys
import uuid
from typing import Any

import httpx
import pytest

from devtools.testing.processes import Shop
from devtools.testing.shop.buyers import CONTACT, most_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.operations, pytest.mark.together]


def show(shop: Shop, **environment: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of `manage.py show_processes --json`."""
    done = subprocess.run(
        [sys.executable, "manage.py", "show_processes", "--json"],
        env=shop.environment_of_commands(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {"error": done.stderr}


@pytest.fixture
def order(running_shop: Shop) -> str:
    """An order that is on its way."""
    body = {
        **CONTACT,
        "idempotency_key": str(uuid.uuid4()),
        "lines": [{"sku": most_of(running_shop), "quantity": 1}],
        "payment_method": "pm_success",
    }
    answer = httpx.post(f"{running_shop.url}/api/orders/", json=body, timeout=30, trust_env=False)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_every_process_says_that_it_lives(running_shop: Shop) -> None:
    code, said = show(running_shop)
    print(json.dumps(said, indent=1)[:6000])
    assert (code, said["missing"]) == (0, [])
    assert said["read_from"] == "Redis"
