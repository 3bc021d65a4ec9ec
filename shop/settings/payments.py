"""The gateway: which one, how it is called, where it sends buyers and webhooks; and the sandbox."""

from pathlib import Path
from urllib.parse import urlsplit

from shop.settings.environment import STATE_DIR, env
from shop.settings.site import SHOP_URL

PAYMENT_GATEWAY = env.str("PAYMENT_GATEWAY", default="payments.gateways.sandbox.SandboxGateway")
PAYMENT_CONCURRENT_CALLS = env.int("PAYMENT_CONCURRENT_CALLS", default=32)
PAYMENT_TIMEOUT_SECONDS = env.float("PAYMENT_TIMEOUT_SECONDS", default=10.0)
# So many calls in a row without an answer, and the gateway is left alone for a while before one call tries it.
PAYMENT_BREAKER_FAILURES = env.int("PAYMENT_BREAKER_FAILURES", default=20)
PAYMENT_BREAKER_SECONDS = env.float("PAYMENT_BREAKER_SECONDS", default=5.0)
# How long a buyer has to confirm a payment (3-D Secure); shorter than HOLD_SECONDS, so that the books are still there.
PAYMENT_ACTION_SECONDS = env.int("PAYMENT_ACTION_SECONDS", default=480)
# An outcome that is unknown for longer needs a person.
PAYMENT_UNKNOWN_SECONDS = env.int("PAYMENT_UNKNOWN_SECONDS", default=900)
# What webhooks are signed with; two while one takes the place of the other. The first is the sandbox's own.
PAYMENT_WEBHOOK_SECRETS = env.list("PAYMENT_WEBHOOK_SECRETS", default=[])
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_PUBLISHABLE_KEY = env.str("STRIPE_PUBLISHABLE_KEY", default="")
# Another server than Stripe's own, for tests against a double.
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="")
# The sandbox gateway: where the shop reaches it, and where a browser does.
SANDBOX_URL = env.str("SANDBOX_URL", default="http://127.0.0.1:8002").rstrip("/")
SANDBOX_PUBLIC_URL = env.str("SANDBOX_PUBLIC_URL", default=SANDBOX_URL).rstrip("/")
# Where buyers may be sent to confirm a payment: scheme, host and port of the gateway's own pages.
PAYMENT_CONFIRM_ORIGINS = env.list(
    "PAYMENT_CONFIRM_ORIGINS",
    default=["https://hooks.stripe.com", "https://pm-redirects.stripe.com"]
    if PAYMENT_GATEWAY == "payments.gateways.stripe.StripeGateway"
    else ["{0.scheme}://{0.netloc}".format(urlsplit(SANDBOX_PUBLIC_URL))],
)
SANDBOX_WEBHOOK_URL = env.str("SANDBOX_WEBHOOK_URL", default=f"{SHOP_URL}/webhooks/payments/")
SANDBOX_LEDGER_PATH = env.str("SANDBOX_LEDGER_PATH", default=str(Path(STATE_DIR) / "sandbox-gateway.sqlite3"))
SANDBOX_LATENCY_SECONDS = env.float("SANDBOX_LATENCY_SECONDS", default=0.05)
SANDBOX_SLOW_SECONDS = env.float("SANDBOX_SLOW_SECONDS", default=5.0)
# How long the cards that time out keep a caller waiting: longer than any call waits.
SANDBOX_STALL_SECONDS = env.float("SANDBOX_STALL_SECONDS", default=15.0)
