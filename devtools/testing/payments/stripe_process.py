"""Stripe's double (`stripe_double.py`), run as a process and played with."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

SECRET = "whsec_of_the_test"


class Double:
    """The double's process, and what only Stripe itself (or time) would do there."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "devtools.testing.payments.stripe_double"],
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if self._process.stdout is None:
            raise OSError("it has no output")
        self.url = self._process.stdout.readline().strip()
        self._client = httpx.Client(base_url=self.url, auth=("sk_test_double", ""), trust_env=False)

    def close(self) -> None:
        """End it."""
        self._client.close()
        self._process.kill()
        self._process.wait()

    def trouble(self, *troubles: dict[str, Any]) -> None:
        """What happens to the next calls."""
        self._client.post("/_config/trouble", json=troubles).raise_for_status()

    def forget_keys(self) -> None:
        """As after a day."""
        self._client.post("/_config/forget-keys").raise_for_status()

    def payments(self, key: str) -> list[dict[str, Any]]:
        """All that were made with this key."""
        found = self._client.get("/v1/payment_intents", params={"limit": 10_000}).raise_for_status().json()["data"]
        return [payment for payment in found if payment["metadata"].get("charge_id") == key]

    def confirm(self, transaction_id: str, *, success: bool) -> None:
        """What the buyer says on the bank's page."""
        payment = self._client.get(f"/v1/payment_intents/{transaction_id}").raise_for_status().json()
        self._client.post(
            f"/v1/payment_intents/{transaction_id}/_authenticate",
            json={"client_secret": payment["client_secret"], "success": success},
        ).raise_for_status()

    def send_webhooks_to(self, url: str) -> None:
        """Sign them with SECRET."""
        self._client.post("/_config/webhooks/w", json={"url": url, "secret": SECRET}).raise_for_status()
