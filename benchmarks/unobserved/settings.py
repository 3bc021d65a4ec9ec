"""The benchmark's settings for processes that nobody watches."""

import dataclasses

from benchmarks.settings import *  # noqa: F403 - that is how Django settings are extended
from benchmarks.settings import INSTALLED_APPS, KAFKA_BRIDGE, MIDDLEWARE

# First: it says what is not to be done before others do it.
INSTALLED_APPS = ["benchmarks.unobserved.apps.UnobservedConfig", *INSTALLED_APPS]
MIDDLEWARE = [each for each in MIDDLEWARE if not each.endswith(".RequestMetricsMiddleware")]
KAFKA_BRIDGE = dataclasses.replace(KAFKA_BRIDGE, heartbeat_stores=(), metrics_port=0, lag_sample_seconds=0.0)
