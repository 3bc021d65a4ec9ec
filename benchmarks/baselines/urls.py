"""Every address of the shop, and the two that its checkout is measured against."""

from django.urls import path

from benchmarks.baselines import views
from shop import urls

urlpatterns = [
    path("api/bench/parse/", views.parse),
    path("api/bench/orm/", views.orm),
    *urls.urlpatterns,
]
handler400 = urls.handler400
handler403 = urls.handler403
handler404 = urls.handler404
handler500 = urls.handler500
