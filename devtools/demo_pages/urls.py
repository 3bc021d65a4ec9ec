"""Addresses below /kafka/ that only a running demo has."""

from django.urls import path

from devtools.demo_pages import break_views, experiment_views

urlpatterns = [
    path("experiments/", experiment_views.experiments_page, name="kafka_experiments"),
    path("break/", break_views.break_page, name="kafka_break"),
]
