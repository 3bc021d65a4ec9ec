"""Django's own entry point. Behind any server; the one that slow clients cannot stop is `shop.rsgi`."""

import os

from django.core.wsgi import get_wsgi_application

from kafka_bridge.runtime.postgresql import database_bounds

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

application = get_wsgi_application()

database_bounds.bound_statements()
