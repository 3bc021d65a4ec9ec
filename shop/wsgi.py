"""Django's own entry point. Behind any server; the one that slow clients cannot stop is `shop.rsgi`."""

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from kafka_bridge.runtime.postgresql import database_bounds

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
gc.disable()  # manage.py, Note [No garbage while loading]

application = get_wsgi_application()
gc.enable()  # also where Django was set up before
# All pages, before the first visitor asks for one.
import_module(settings.ROOT_URLCONF)

database_bounds.bound_statements()
