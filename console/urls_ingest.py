"""What machines send: the gate's shipper and the mail hosts' webhooks."""

from django.urls import path

from api_bridge.webhooks import google, graph
from console.views.health import healthz
from seg_bridge import ingest

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("graph", graph, name="graph-notifications"),
    path("google/<str:token>", google, name="google-push"),
    path("ship", ingest.ship, name="ship"),
    path("ship/evidence/<int:tenant_id>/<str:digest>", ingest.evidence, name="ship-evidence"),
    path("gate/commands", ingest.commands, name="gate-commands"),
    path("gate/queue", ingest.queue, name="gate-queue"),
]
