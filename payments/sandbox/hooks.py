"""Sends the webhooks that wait in the bank's ledger, and keeps at each until it is accepted.

They are written in the transaction of what they tell, so none is lost with the process; one that was accepted just
before a crash is sent again.
"""

import json
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from payments.gateways import http_pool, signatures
from payments.sandbox.bank import Bank
from payments.sandbox.books import Hook

HEADER = "Bookrush-Signature"
LOOK_SECONDS = 0.1
ANSWER_SECONDS = 5.0
AT_A_TIME = 4
BATCH = 100
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 300.0
GIVE_UP_AFTER_SECONDS = 3 * 24 * 3600

log = logging.getLogger(__name__)


class Sender:
    """Sends one bank's webhooks to one address, in a thread of its own."""

    def __init__(
        self,
        bank: Bank,
        *,
        url: str,
        secrets: Sequence[str],
        transport: http_pool.Transport | None = None,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        """Webhooks are signed with the first of the secrets; without any, none is sent."""
        self._bank = bank
        self._secret = next((secret for secret in secrets if secret), "")
        self._first_pause_seconds = first_pause_seconds
        self._transport = transport or http_pool.HttpPool(url, timeout_seconds=ANSWER_SECONDS, keep=AT_A_TIME)
        self._pool = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="webhook")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Send from now on; without a secret, say once that nothing will be sent."""
        if self._secret:
            self._thread.start()
        else:
            log.warning("PAYMENT_WEBHOOK_SECRETS is empty: the sandbox gateway sends no webhooks")

    def stop(self) -> None:
        """Send no more; what waits is sent after the next start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown()

    def send_due(self) -> int:
        """Send what is due, each once; returns how many were accepted."""
        return sum(self._pool.map(self._deliver, self._bank.due_hooks(limit=BATCH)))

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.send_due()
            except Exception:
                log.exception("The webhooks that are due could not be sent; trying again")
                self._stop.wait(FIRST_PAUSE_SECONDS)

    def _deliver(self, hook: Hook) -> bool:
        problem = self._send(hook)
        if not problem:
            self._bank.hook_sent(hook.seq)
            return True
        if time.time() > hook.created + GIVE_UP_AFTER_SECONDS:
            log.error("Webhook %s (%s) is given up: %s", hook.event_id, hook.type, problem)
            self._bank.hook_sent(hook.seq)
            return False
        pause = min(LONGEST_PAUSE_SECONDS, self._first_pause_seconds * 2 ** min(hook.attempts, 20))
        log.info("Webhook %s (%s) was not accepted: %s; again in %.1f s", hook.event_id, hook.type, problem, pause)
        self._bank.hook_failed(hook.seq, again_in_seconds=pause)
        return False

    def _send(self, hook: Hook) -> str:
        """Send one webhook; returns what went wrong, or nothing."""
        body = body_of(hook)
        signature = signatures.sign(body, secret=self._secret, at=int(time.time()))
        headers = {"Content-Type": "application/json", HEADER: signature}
        try:
            answer = self._transport.call("POST", "", body=body, headers=headers)
        except (OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        return "" if 200 <= answer.status < 300 else f"answered {answer.status}"


def body_of(hook: Hook) -> bytes:
    """What is sent, as JSON; the same bytes at each attempt."""
    told = {
        "id": hook.event_id,
        "type": hook.type,
        "created": hook.created,
        "data": {"transaction_id": hook.transaction_id, "key": hook.key},
    }
    return json.dumps(told, separators=(",", ":")).encode()
