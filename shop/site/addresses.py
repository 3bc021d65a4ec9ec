"""Every address that the shop answers: who may call it, with which methods, and within which limits.

The table in docs/security.md is made from it (`manage.py show_addresses --markdown`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from shop.limits import limits


class Server(StrEnum):
    """Which process answers."""

    WEB = "web"
    LIVE = "live"
    BANK = "sandbox bank"
    DEMO = "web of a demo"


class Who(StrEnum):
    """Who may call an address; the note of an address says more where there is more to say."""

    EVERYBODY = "everybody"
    ACCOUNT = "who is signed in; others are sent to sign in"
    VIEWER = "the order's owner, holders of its link, staff who may view orders; 404 for others"
    BUYER = "the order's owner and holders of its link; 404 for others, staff too"
    INVITED = "who holds the link of the mail; 404 for others"
    STAFF = "staff; others are sent to sign in. What they may do there is by permission"
    OPERATOR = "who holds the pass that /admin/operations/ gives; 403 for others"
    WATCHER = "everybody in a demo, else who holds the pass that /admin/operations/kafka/ gives; 403 for others"
    SCRAPER = "who sends METRICS_TOKEN; 404 for others"
    GATEWAY = "who can sign as the gateway; 400 for others"
    NEIGHBOUR = "browsers on the demo's own machine, not through a proxy; 403 for others"
    PROGRAM = "programs that reach its port (loopback, or the inner network); POST from a page in a browser: 403"


GET = ("GET", "HEAD")
POST = ("POST",)
FORM = ("GET", "HEAD", "POST")


@dataclass(frozen=True, kw_only=True)
class Address:
    """One address; `path` is as its server's router has it."""

    path: str
    name: str = ""
    server: Server = Server.WEB
    methods: tuple[str, ...] = GET
    who: Who = Who.EVERYBODY
    rate_limits: tuple[limits.Limit, ...] = ()
    """How often; see `shop.limits.limits`."""
    bounds: str = ""
    """What else bounds a call, for people."""

    def cells(self) -> list[str]:
        """Its row in a table."""
        rates = [f"{limit.name} ({limit.rate})" for limit in self.rate_limits]
        said = "; ".join([*rates, self.bounds] if self.bounds else rates)
        return [self.server.value, self.path, ", ".join(self.methods), self.who.value, said]


HEADINGS = ("server", "address", "methods", "who may call it", "limits")
_ORDERS = (limits.ORDERS_VISITOR, limits.ORDERS_NETWORK, limits.COUPONS)
_API_ORDERS = (limits.ORDERS_NETWORK, limits.COUPONS)
_SIGN_IN = (limits.SIGN_IN_NAME, limits.SIGN_IN_NETWORK)
_MAILS = (limits.ACCOUNT_MAILS, limits.ADDRESS_MAILS)
_CAPS = "so many sockets of the process, and of an address"
_SHARE = "a share of the process's sockets, and of those of an address"
_PANELS = "twenty at once ask for what is opened"
_OPS = "one hundred sockets of the process, and a page at a time"

ADDRESSES = (
    Address(path="/", name="catalogue", rate_limits=(limits.SEARCH,), bounds="counted where something is searched for"),
    Address(path="/pages/<slug:slug>/", name="page"),
    Address(path="/<slug:language>/pages/<slug:slug>/", name="page_in"),
    Address(path="/authors/<slug:slug>/", name="author"),
    Address(path="/series/<slug:slug>/", name="series"),
    Address(path="/robots.txt", name="robots"),
    Address(path="/sitemap.xml", name="sitemap", bounds="may be kept for an hour"),
    Address(
        path="/sitemap-<slug:section>.xml",
        name="sitemap_part",
        bounds="five thousand addresses; may be kept for an hour",
    ),
    Address(path="/suggest/", name="suggest", rate_limits=(limits.SEARCH,)),
    Address(path="/books/<isbn:isbn>-<slug:slug>/", name="book"),
    Address(path="/books/<isbn:isbn>/panel/", name="book_panel"),
    Address(path="/covers/<isbn:isbn>.svg", name="cover"),
    Address(path="/cart/", name="cart", bounds="the visitor's own cart"),
    Address(path="/cart/add/", name="cart_add", methods=POST, bounds="the visitor's own cart; from our own pages"),
    Address(path="/cart/change/", name="cart_change", methods=POST, bounds="the visitor's own cart"),
    Address(path="/checkout/", name="checkout", methods=FORM, rate_limits=_ORDERS),
    Address(path="/api/orders/", name="api_orders", methods=POST, rate_limits=_API_ORDERS),
    Address(path="/api/orders", name="api_orders_bare", methods=POST, rate_limits=_API_ORDERS),
    Address(path="/api/orders/<uuid:order_id>/", name="api_order", who=Who.VIEWER),
    Address(path="/api/orders/<uuid:order_id>", name="api_order_bare", who=Who.VIEWER),
    Address(
        path="/api/sales/<int:sale_id>/place/",
        name="api_place",
        methods=FORM,
        rate_limits=(limits.WAITING_PLACES,),
        bounds="the visitor's own place; from our own pages, or no browser; only new places count",
    ),
    Address(
        path="/sales/<int:sale_id>/queue/",
        name="waiting_room",
        methods=FORM,
        rate_limits=(limits.WAITING_PLACES,),
        bounds="the visitor's own place; from our own pages; only new places count",
    ),
    Address(path="/orders/", name="my_orders", who=Who.ACCOUNT),
    Address(path="/orders/<uuid:order_id>/", name="order", who=Who.VIEWER),
    Address(path="/orders/<uuid:order_id>/fragment/", name="order_fragment", who=Who.VIEWER),
    Address(path="/orders/<uuid:order_id>/again/", name="order_again", methods=POST, who=Who.VIEWER),
    Address(path="/orders/<uuid:order_id>/pay/", name="order_pay", who=Who.BUYER),
    Address(path="/orders/<uuid:order_id>/cancel/", name="order_cancel", methods=FORM, who=Who.BUYER),
    Address(path="/orders/<uuid:order_id>/return/", name="order_return", methods=FORM, who=Who.BUYER),
    Address(
        path="/orders/<uuid:order_id>/withdraw/",
        name="order_withdraw",
        methods=FORM,
        who=Who.BUYER,
        bounds="also who has just named its reference and mail address at /withdraw/",
    ),
    Address(
        path="/waitlist/",
        name="waitlist_join",
        methods=POST,
        rate_limits=(limits.WAITLIST,),
        bounds="one mail to an address for each book; from our own pages",
    ),
    Address(path="/waitlist/<int:entry_id>/<str:key>/", name="waitlist_entry", methods=FORM, who=Who.INVITED),
    Address(path="/withdraw/", name="withdraw", methods=FORM, rate_limits=(limits.WITHDRAWAL,)),
    Address(path="/sign-in/", name="sign_in", methods=(*FORM, "PUT"), rate_limits=_SIGN_IN),
    Address(path="/sign-out/", name="sign_out", methods=POST),
    Address(path="/sign-up/", name="sign_up", methods=FORM, rate_limits=(limits.SIGN_UP,)),
    Address(path="/sign-up/sent/", name="account_email_verification_sent"),
    Address(
        path="/confirm-address/<str:key>/",
        name="account_confirm_email",
        methods=FORM,
        rate_limits=_SIGN_IN,
        bounds="who has a mail's link, and signed up in this browser or knows the password",
    ),
    Address(path="/reset-password/", name="account_reset_password", methods=FORM, rate_limits=_MAILS),
    Address(path="/reset-password/sent/", name="account_reset_password_done"),
    Address(
        path="/reset-password/<alnum:uidb36>-<str:key>/",
        name="account_reset_password_from_key",
        methods=FORM,
        bounds="who has a mail's link, once",
    ),
    Address(path="/reset-password/done/", name="account_reset_password_from_key_done"),
    Address(path="/account/", name="account", who=Who.ACCOUNT),
    Address(
        path="/account/email/",
        name="account_email",
        methods=FORM,
        who=Who.ACCOUNT,
        rate_limits=_MAILS,
        bounds="with the password",
    ),
    Address(
        path="/account/password/", name="account_change_password", methods=FORM, who=Who.ACCOUNT, rate_limits=_SIGN_IN
    ),
    Address(
        path="/account/addresses/", name="account_addresses", methods=FORM, who=Who.ACCOUNT, bounds="twenty addresses"
    ),
    Address(
        path="/account/data/", name="account_data", methods=POST, who=Who.ACCOUNT, rate_limits=(limits.ACCOUNT_DATA,)
    ),
    Address(path="/account/delete/", name="account_delete", methods=FORM, who=Who.ACCOUNT, rate_limits=_SIGN_IN),
    Address(
        path="/orders/claim/",
        name="claim_orders",
        methods=POST,
        who=Who.ACCOUNT,
        bounds="an order whose link is sent along, or all of the account's confirmed address",
    ),
    Address(path="/find-order/", name="find_order", methods=FORM, rate_limits=_MAILS),
    Address(path="/find-order/sent/", name="find_order_sent"),
    Address(
        path="/webhooks/payments/", name="payment_webhook", methods=POST, who=Who.GATEWAY, bounds="a body of 64 KiB"
    ),
    Address(path="/contracts/", name="contracts"),
    Address(path="/contracts/asyncapi.json", name="asyncapi"),
    Address(path="/contracts/openapi.json", name="openapi"),
    Address(path="/healthz", name="healthz"),
    Address(path="/readyz", name="readyz", bounds="what is wrong: only to staff and holders of READYZ_TOKEN"),
    Address(
        path="/metrics", name="metrics", who=Who.SCRAPER, bounds="each process also has a port for it, METRICS_PORT"
    ),
    Address(path="/admin/login/", name="admin:login", methods=(*FORM, "PUT"), rate_limits=_SIGN_IN),
    Address(path="/admin/", name="admin:", methods=FORM, who=Who.STAFF, bounds="every other page below it"),
    Address(
        path="/admin/operations/", name="admin:operations", who=Who.STAFF, bounds="with the permission view_operations"
    ),
    Address(
        path="/admin/operations/kafka/",
        name="admin:kafka_window",
        who=Who.STAFF,
        bounds="with the permission view_operations",
    ),
    *(
        Address(
            path=f"/admin/operations/{act}/",
            name=f"admin:operations_{act}",
            methods=FORM,
            who=Who.STAFF,
            bounds="with the permission control_groups",
        )
        for act in ("pause", "resume", "rejoin", "reset")
    ),
    Address(
        path="/live/orders/<uuid:order_id>/", server=Server.LIVE, methods=("websocket",), who=Who.VIEWER, bounds=_CAPS
    ),
    Address(path="/live/stock/", server=Server.LIVE, methods=("websocket",), bounds=_SHARE),
    Address(path="/live/room/<int:sale_id>/", server=Server.LIVE, methods=("websocket",), bounds=_SHARE),
    Address(path="/ops/", server=Server.LIVE, who=Who.OPERATOR),
    Address(path="/ops/<page>/", server=Server.LIVE, who=Who.OPERATOR),
    Address(path="/ops/static/<file>", server=Server.LIVE, bounds="style sheets, scripts and fonts of these pages"),
    Address(path="/ops/socket/", server=Server.LIVE, methods=("websocket",), who=Who.OPERATOR, bounds=_OPS),
    Address(path="/ops/socket/<slug:page>/", server=Server.LIVE, methods=("websocket",), who=Who.OPERATOR, bounds=_OPS),
    Address(path="/kafka/", server=Server.LIVE, who=Who.WATCHER, bounds=_PANELS),
    Address(path="/kafka/cards/", server=Server.LIVE, who=Who.WATCHER),
    Address(path="/kafka/panel/", server=Server.LIVE, who=Who.WATCHER, bounds=_PANELS),
    Address(path="/kafka/static/<file>", server=Server.LIVE, bounds="style sheets, scripts and fonts of these pages"),
    Address(
        path="/kafka/socket/",
        server=Server.LIVE,
        methods=("websocket",),
        who=Who.WATCHER,
        bounds="one hundred sockets of the process",
    ),
    Address(
        path="/kafka/cards/socket/",
        server=Server.LIVE,
        methods=("websocket",),
        who=Who.WATCHER,
        bounds="acts only where KAFKA_PRACTICE is on, one at a time",
    ),
    Address(path="/healthz", server=Server.LIVE),
    Address(path="/readyz", server=Server.LIVE, bounds="as on web"),
    Address(path="/metrics", server=Server.LIVE, who=Who.SCRAPER, bounds="as on web"),
    Address(
        path="/kafka/experiments/",
        name="kafka_experiments",
        server=Server.DEMO,
        methods=FORM,
        who=Who.NEIGHBOUR,
        bounds="one experiment at a time",
    ),
    Address(
        path="/kafka/break/",
        name="kafka_break",
        server=Server.DEMO,
        methods=FORM,
        who=Who.NEIGHBOUR,
        bounds="three things at once, for two minutes at most",
    ),
    Address(path="/", server=Server.BANK, methods=GET),
    Address(path="/healthz", server=Server.BANK, methods=GET),
    Address(path="/challenges/<transaction_id>", server=Server.BANK, methods=FORM, bounds="who knows the payment's id"),
    Address(path="/v1/payments", server=Server.BANK, methods=FORM, who=Who.PROGRAM),
    Address(path="/v1/payments/<transaction_id>", server=Server.BANK, methods=GET, who=Who.PROGRAM),
    Address(path="/v1/payments/<transaction_id>/capture", server=Server.BANK, methods=POST, who=Who.PROGRAM),
    Address(path="/v1/payments/<transaction_id>/void", server=Server.BANK, methods=POST, who=Who.PROGRAM),
    Address(path="/v1/refunds", server=Server.BANK, methods=FORM, who=Who.PROGRAM),
    Address(path="/v1/statement", server=Server.BANK, methods=GET, who=Who.PROGRAM),
    Address(path="/v1/control/outage", server=Server.BANK, methods=POST, who=Who.PROGRAM),
)


def as_markdown(addresses: Iterable[Address] = ADDRESSES) -> str:
    """The table for docs/security.md."""
    rows: list[Sequence[str]] = [HEADINGS, ["---"] * len(HEADINGS)]
    for address in addresses:
        server, path, *rest = address.cells()
        rows.append([server, f"`{path}`", *rest])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def as_objects(addresses: Iterable[Address] = ADDRESSES) -> list[dict[str, Any]]:
    """What `--json` prints: each field as it is, rate limits by their names."""
    return [asdict(address) | {"rate_limits": [limit.name for limit in address.rate_limits]} for address in addresses]
