"""The pages and the JSON interface; granian serves this, sockets live in `shop.asgi`."""

import os
import sys

from django.core.wsgi import get_wsgi_application

from kafka_bridge.runtime import database_bounds

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

# Sixteen threads serve requests while one commits their orders. Each time that one comes back from PostgreSQL it waits
# for the interpreter; by default a thread that computes keeps it for 5 ms, longer than a whole commit takes.
sys.setswitchinterval(0.0005)

application = get_wsgi_application()

database_bounds.bound_statements()
