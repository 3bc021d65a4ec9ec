"""What browsers and proxies are told and believed: TLS, origins, frames, where scripts and styles come from."""

from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE

from shop.settings.environment import env
from shop.settings.site import LIVE_PORT

# -- TLS: on by one switch, behind a proxy that ends it ------------------------------------------
BEHIND_TLS = env.bool("BEHIND_TLS", default=False)
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    # Health checks reach the process directly, without TLS; so do the sandbox's webhooks.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^webhooks/payments/$"]
# Networks of the proxies in front of the web role, whose X-Forwarded-For is believed; without any, the peer counts.
PROXY_NETWORKS = env.list("PROXY_NETWORKS", default=[])
# Networks from which load tests come: the limit of orders by network does not count them. See shop/limits/limits.py.
LOAD_TEST_NETWORKS = env.list("LOAD_TEST_NETWORKS", default=["127.0.0.0/8", "::1/128"])
# -- Pages --------------------------------------------------------------------------------------
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "shop.site.errors.csrf_failure"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF, *([f"ws://*:{LIVE_PORT}", f"wss://*:{LIVE_PORT}"] if LIVE_PORT else [])],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
# The admin's theme needs more: Alpine.js evaluates attributes of its templates, which have styles in attributes too.
# Still no script runs that is in the page or from elsewhere.
ADMIN_CONTENT_SECURITY_POLICY = {
    **CONTENT_SECURITY_POLICY["DIRECTIVES"],
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
}
