"""What the role live serves: the websockets, health checks and the operations page.

All other pages are the role web's (`shop.rsgi`).
"""

import gc
import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
gc.disable()  # manage.py, Note [No garbage while loading]
django_application = get_asgi_application()
gc.enable()  # also where Django was set up before

from kafka_bridge.runtime.postgresql import database_bounds  # noqa: E402 - Django must be set up first
from shop.live import http, sockets  # noqa: E402 - Django must be set up first

database_bounds.bound_statements()

application = ProtocolTypeRouter({"http": http.FewPages(django_application), "websocket": sockets.application})
