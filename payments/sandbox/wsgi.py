"""The bank as `manage.py run_sandbox_gateway` serves it.

In one process only: it sends the webhooks too.
"""

import os

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django.setup()  # for the logs' sake

from payments.sandbox.bank import Bank  # noqa: E402 - after the settings are known
from payments.sandbox.hooks import Sender  # noqa: E402
from payments.sandbox.server import Manners, Server  # noqa: E402

_bank = Bank(settings.SANDBOX_LEDGER_PATH, sends_hooks=any(settings.PAYMENT_WEBHOOK_SECRETS))
application = Server(
    _bank,
    Manners(
        public_url=settings.SANDBOX_PUBLIC_URL,
        latency_seconds=settings.SANDBOX_LATENCY_SECONDS,
        slow_seconds=settings.SANDBOX_SLOW_SECONDS,
        stall_seconds=settings.SANDBOX_STALL_SECONDS,
    ),
)
Sender(_bank, url=settings.SANDBOX_WEBHOOK_URL, secrets=settings.PAYMENT_WEBHOOK_SECRETS).start()
