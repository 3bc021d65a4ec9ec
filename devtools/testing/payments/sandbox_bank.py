"""The sandbox without a process of its own, for tests: the same client and server, joined in memory."""

from collections.abc import Mapping

from django.conf import settings
from werkzeug.test import Client

from payments import gateways
from payments.gateways import http_pool
from payments.gateways.sandbox import SandboxGateway
from payments.sandbox.bank import Bank
from payments.sandbox.server import Manners, Server


class InMemory:
    """A transport to a server in the same process."""

    def __init__(self, server: Server) -> None:
        self._client = Client(server, use_cookies=False)

    def call(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str]) -> http_pool.HttpReply:
        """See `Transport.call`."""
        response = self._client.open(path, method=method, data=body, headers=dict(headers))
        return http_pool.HttpReply(response.status_code, response.get_data())


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
        super().__init__(InMemory(self.server))


def authorize(
    gateway: gateways.Gateway, card: str = "pm_success", *, key: str = "k1", amount_minor: int = 1999
) -> gateways.Answer:
    """Have this much set aside on a test card."""
    return gateway.authorize(
        key=key, amount_minor=amount_minor, currency="USD", payment_method=card, return_url="http://127.0.0.1:8000/o/"
    )


def entered(gateway: InProcessGateway) -> list[tuple[str, int]]:
    """What its bank has carried out, oldest first: kinds and amounts."""
    return [(entry.kind, entry.amount_minor) for entry in gateway.bank.entries() if not entry.declined]
