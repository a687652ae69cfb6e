"""Looking back over a client's older mail: start, progress, stop, what was found, one pull."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api_bridge.models import ScanBack
from api_bridge.scanback import services
from api_bridge.scanback.document import ask_found
from api_bridge.scanback.figures import figures_of
from api_bridge.scanback.pulling import Found, pull_findings, rehearse_pull
from console.api.base import job_response, parse
from console.api.idempotency import idempotent
from console.api.serializers import JobSerializer
from console.api.sight import BlindLayerSerializer
from console.lib.http import check_known
from console.lib.people import person_of
from console.queries.scan_back import ALL, access_run, found_page
from incidents.access import access_client
from tenants.errors import NotThere


class NewScanBackSerializer(serializers.Serializer[Any]):
    days = serializers.ChoiceField(choices=services.DAYS, default=30)
    mailboxes = serializers.ListField(
        child=serializers.EmailField(), default=list, help_text="Addresses; empty: all"
    )
    most_mails = serializers.IntegerField(
        min_value=1, max_value=services.MOST_MAILS, default=50_000
    )
    mails_per_hour = serializers.IntegerField(
        min_value=services.LEAST_PER_HOUR, max_value=services.MOST_PER_HOUR, default=5_000
    )
    requests_per_hour = serializers.IntegerField(
        min_value=services.LEAST_PER_HOUR, max_value=services.MOST_PER_HOUR, default=10_000
    )


class ScanBackMailboxSerializer(serializers.Serializer[Any]):
    address = serializers.EmailField(source="mailbox.address")
    state = serializers.ChoiceField(choices=["waiting", "done", "failed"])
    reached_at = serializers.DateTimeField(help_text="Everything received since was looked at")
    mails = serializers.IntegerField()
    unread = serializers.IntegerField()
    skipped = serializers.IntegerField()
    last_error = serializers.CharField()
    due_at = serializers.DateTimeField()


class ScanBackSerializer(serializers.ModelSerializer[ScanBack]):
    class Meta:
        model = ScanBack
        fields = (
            *("id", "state", "since", "until", "days", "most_mails", "mails_per_hour"),
            *("requests_per_hour", "is_all", "asked_by", "asked_at", "stopped_at", "stopped_by"),
            *("ended_at", "ended_by", "due_at", "waits_for", "hour_mails", "hour_requests"),
            "requests",
        )


class ProgressSerializer(serializers.Serializer[Any]):
    run = ScanBackSerializer()
    mailboxes = ScanBackMailboxSerializer(source="rows", many=True)
    mailboxes_done = serializers.IntegerField(source="done")
    mails = serializers.IntegerField()
    estimated = serializers.IntegerField(allow_null=True, help_text="null: nothing is known")
    ends_at = serializers.DateTimeField(allow_null=True)
    found = serializers.DictField(
        child=serializers.IntegerField(), help_text="Condemned mails by verdict"
    )
    unread = serializers.IntegerField(help_text="Mails that could not be read")
    skipped = serializers.IntegerField(help_text="Entries that the mail host did not show")
    is_whole = serializers.BooleanField(help_text="Only then nothing found means nothing")
    blind = BlindLayerSerializer(many=True)


class FoundMailSerializer(serializers.Serializer[Any]):
    mailbox = serializers.EmailField(source="finding.mailbox.address")
    verdict = serializers.CharField(source="finding.verdict")
    received_at = serializers.DateTimeField(source="finding.received_at")
    found_at = serializers.DateTimeField(source="finding.found_at")
    state = serializers.ChoiceField(choices=["removed", "gone", "reach", "pending"])
    delivery = serializers.SerializerMethodField(help_text="null: being made sense of")
    incident = serializers.SerializerMethodField(help_text="null: in none")

    def get_delivery(self, row: Found) -> str | None:
        return str(row.copy.id) if row.copy else None

    def get_incident(self, row: Found) -> str | None:
        return str(row.incident.id) if row.incident else None


class FoundMailsSerializer(serializers.Serializer[Any]):
    found = FoundMailSerializer(many=True)
    more = serializers.BooleanField(help_text="There are more than these 500")


class RehearsedPullSerializer(serializers.Serializer[Any]):
    copies = serializers.IntegerField()
    mailboxes = serializers.IntegerField()
    incidents = serializers.IntegerField()
    by_kind = serializers.DictField(child=serializers.IntegerField())
    left_allowed = serializers.IntegerField()
    left_gone = serializers.IntegerField()
    left_busy = serializers.IntegerField()
    left_alone = serializers.IntegerField()
    refusal = serializers.CharField(help_text='Why nothing can be moved; "": it can')
    digest = serializers.CharField(help_text="To be sent with the pull")


class PullSerializer(serializers.Serializer[Any]):
    digest = serializers.CharField(max_length=64)
    reason = serializers.CharField(max_length=500, default="", allow_blank=True)


class FoundGroupSerializer(serializers.Serializer[Any]):
    group_id = serializers.UUIDField(help_text="Common to the jobs of this pull")


class AudienceSerializer(serializers.Serializer[Any]):
    audience = serializers.ChoiceField(choices=["internal", "client"], default="internal")


def _progress(run: ScanBack, status: int = 200) -> Response:
    return Response(ProgressSerializer(figures_of(run)).data, status=status)


class ClientScanBack(APIView):
    """The client's newest look back: how far it is, and what it found so far."""

    @extend_schema(responses=ProgressSerializer)
    def get(self, request: Request, slug: str) -> Response:
        run = services.newest_run(access_client(slug).id)
        if run is None:
            raise NotThere("Nobody has looked back at this client yet.")
        return _progress(run)

    @extend_schema(request=NewScanBackSerializer, responses={202: ProgressSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Starts one.  A lead's; 409 while one is open, or where nothing is left to look at."""
        client = access_client(slug)
        asked = parse(NewScanBackSerializer, request)
        addresses = asked.pop("mailboxes")
        run = services.start_scan_back(
            tenant=client, actor=person_of(request), addresses=addresses, **asked
        )
        return _progress(run, 202)


class StopScanBack(APIView):
    """After the page that is being read; what was found stays.  A lead's."""

    @extend_schema(request=None, responses=ProgressSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        run = access_run(object_id)
        services.stop_scan_back(run=run, actor=person_of(request))
        return _progress(access_run(object_id))


class GoOnScanBack(APIView):
    """Where it was stopped, or with the mailboxes that could not be read.  A lead's."""

    @extend_schema(request=None, responses=ProgressSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        run = access_run(object_id)
        services.go_on(run=run, actor=person_of(request))
        return _progress(access_run(object_id))


class ScanBackFindings(APIView):
    """What was found, the newest mail first; at most 500."""

    @extend_schema(
        parameters=[OpenApiParameter("verdict", str, description="One kind; all without")],
        responses=FoundMailsSerializer,
    )
    def get(self, request: Request, object_id: str) -> Response:
        check_known(request.query_params, "verdict")
        page = found_page(access_run(object_id), request.query_params.get("verdict", "") or ALL)
        return Response(FoundMailsSerializer(page).data)


class PullScanBack(APIView):
    """One pull of everything that was found: rehearsed by GET, done by POST with its digest."""

    @extend_schema(responses=RehearsedPullSerializer)
    def get(self, request: Request, object_id: str) -> Response:
        return Response(RehearsedPullSerializer(rehearse_pull(access_run(object_id))).data)

    @extend_schema(request=PullSerializer, responses={202: FoundGroupSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        run = access_run(object_id)
        asked = parse(PullSerializer, request)
        group_id = pull_findings(run=run, actor=person_of(request), **asked)
        return Response({"group_id": str(group_id)}, status=202)


class ReportScanBack(APIView):
    """Make the report “Found in your mailboxes” (PDF and CSV); answers the job to follow."""

    @extend_schema(request=AudienceSerializer, responses={202: JobSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        run = access_run(object_id)
        audience = parse(AudienceSerializer, request)["audience"]
        return job_response(ask_found(run=run, actor=person_of(request), audience=audience))
