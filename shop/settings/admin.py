"""How the admin looks, and what it leads to."""

from django.templatetags.static import static

UNFOLD = {
    "SITE_TITLE": "Bookrush",
    "SITE_HEADER": "Bookrush",
    "SITE_SUBHEADER": "Shop administration",
    "SITE_URL": "/",
    "SITE_ICON": "shop.admin.site.navigation.icon",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "shop.admin.site.navigation.icon"}],
    "STYLES": [  # one file a component; the theme calls each with the request
        lambda _, name=name: static(f"shop/css/admin/{name}.css")
        for name in (
            "tokens", "words", "card", "table", "facts", "banner", "buttons", "forms", "drill", "order", "trail",
            "chips", "stock", "start", "lists", "changes", "dead_letters", "funnel",
        )
    ],
    "DASHBOARD_CALLBACK": "shop.admin.site.dashboard.context",
    "SIDEBAR": {"navigation": "shop.admin.site.navigation.navigation"},
    "BORDER_RADIUS": "6px",
    "COLORS": {  # the storefront's paper and its red
        "base": {
            "50": "#faf8f4", "100": "#f3efe8", "200": "#e5ded2", "300": "#d0c7b8", "400": "#a89d8d", "500": "#776c5e",
            "600": "#5d5348", "700": "#473f37", "800": "#2f2924", "900": "#1d1916", "950": "#12100e",
        },
        "primary": {
            "50": "#fdf4f1", "100": "#fae5de", "200": "#f5cabd", "300": "#eda592", "400": "#e27f67", "500": "#c65541",
            "600": "#9c2f23", "700": "#85271d", "800": "#6b211a", "900": "#561e19", "950": "#300d09",
        },
    },
}  # fmt: skip
