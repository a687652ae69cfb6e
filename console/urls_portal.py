"""The portal: one client, read-only."""

from django.urls import path

from console.views.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
]
