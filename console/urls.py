"""The console (analysts) and the API."""

from django.urls import include, path

from console.views.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("api/v1/", include("console.api.urls")),
]
