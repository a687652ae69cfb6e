"""The way in: what there is, and what there is not."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from tenants.errors import NotThere

_RESOURCES = (
    *("tenants", "groups", "skills", "mailboxes", "mailbox-counts", "gates"),
    *("incidents", "mentions", "suppressions", "task-templates", "views", "user-reports"),
    *("messages", "deliveries", "observations", "accesses", "held", "release-looks", "wishes"),
    *("legal-holds", "digests", "sent-mail", "queues", "queue-hops", "sender-stops"),
    *("actions", "jobs", "renewals", "pull-proposals", "standing-orders", "reports"),
    *("accounts/signs", "accounts/snapshots", "accounts/steps", "disagreements", "rehearsals"),
    *("gateway-rules", "policy", "policy-changes", "policy-templates", "policy-pushes"),
    *("ledger", "kpis", "sla", "sla/plans", "sla/forecast", "schema"),
)


class ApiRoot(APIView):
    """The addresses of all resources that can be read without naming one thing."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        here = request.build_absolute_uri(request.path)
        return Response({name: f"{here}{name}/" for name in _RESOURCES})


@extend_schema(exclude=True)
class NoSuchResource(APIView):
    """Any other address: the one 404, as a problem document."""

    @override
    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        raise NotThere("There is no such resource. See /api/v1/schema/.")
