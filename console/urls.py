"""The console (analysts) and the API."""

from django.urls import path

from console.views.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
]
