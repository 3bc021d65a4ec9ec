"""The sandbox without a process of its own, for tests: the same client and server, joined in memory."""

import httpx
from django.conf import settings

from payments.gateways.sandbox import SandboxGateway
from payments.sandbox.bank import Bank
from payments.sandbox.server import Manners, Server


class InProcessGateway(SandboxGateway):
    """Its bank can be looked at, and its server told to have an outage."""

    def __init__(self) -> None:
        self.bank = Bank(settings.SANDBOX_LEDGER_PATH, sends_hooks=bool(settings.PAYMENT_WEBHOOK_SECRETS))
        self.server = Server(
            self.bank,
            Manners(
                public_url=settings.SANDBOX_PUBLIC_URL,
                latency_seconds=settings.SANDBOX_LATENCY_SECONDS,
                slow_seconds=settings.SANDBOX_SLOW_SECONDS,
                stall_seconds=settings.SANDBOX_STALL_SECONDS,
            ),
        )
        super().__init__(httpx.WSGITransport(app=self.server))
