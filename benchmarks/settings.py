"""The shop's settings with the benchmark's views and command added; every process that is measured runs with them."""

from shop.settings import *  # noqa: F403 - that is how Django settings are extended
from shop.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks"]
ROOT_URLCONF = "benchmarks.baselines.urls"
