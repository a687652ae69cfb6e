"""What machines send: the gate's shipper and the mail hosts' webhooks."""

from django.urls import path

from console.views.health import healthz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
]
