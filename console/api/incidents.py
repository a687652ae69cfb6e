"""Incidents and what can be done with them.  The same services as the pages."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api import serializers as shown
from console.api import serializers_asked as asks
from console.api.base import DetailView, ListView, job_response, parse
from console.api.filters import IncidentFilter
from console.api.idempotency import idempotent
from console.lib.people import person_of
from incidents import services
from incidents.access import access_incident
from incidents.models import Incident
from incidents.remediation import look_again, pull_incident
from incidents.reports import ask_report
from incidents.story import tell_story
from incidents.taking_back import restore_incident
from tenants.models import Person


class IncidentList(ListView):
    """Incidents, newest first."""

    serializer_class = shown.IncidentSerializer
    filterset_class = IncidentFilter
    queryset = Incident.objects.filter(merged_into=None).select_related("tenant", "campaign")


class IncidentDetail(DetailView):
    """One incident.  ``merged_into`` names the one that has its mail now, if it was merged."""

    serializer_class = shown.IncidentSerializer
    queryset = Incident.objects.select_related("tenant", "campaign")


class IncidentStory(APIView):
    """The two-lane story: what happened, in sentences, with the source of each."""

    @extend_schema(responses=shown.StorySerializer)
    def get(self, request: Request, object_id: str) -> Response:
        story = tell_story(access_incident(object_id))
        return Response(shown.StorySerializer(story).data)


class PullIncident(APIView):
    """Pull every copy from the mailboxes (reversible); answers the job to follow."""

    @extend_schema(request=asks.ReasonSerializer, responses={202: shown.JobSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(asks.ReasonSerializer, request)
        job = pull_incident(incident=incident, actor=person_of(request), reason=asked["reason"])
        return job_response(job)


class RestoreIncident(APIView):
    """Put every removed copy back where it was; answers the job to follow."""

    @extend_schema(request=asks.ReasonSerializer, responses={202: shown.JobSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(asks.ReasonSerializer, request)
        job = restore_incident(incident=incident, actor=person_of(request), reason=asked["reason"])
        return job_response(job)


class LookAgain(APIView):
    """Ask the mailboxes where each delivered copy is now; nothing is moved.  Answers the job."""

    @extend_schema(request=None, responses={202: shown.JobSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        return job_response(look_again(incident=incident, actor=person_of(request)))


class ReportIncident(APIView):
    """Make the incident's report (PDF and CSV); answers the job to follow."""

    @extend_schema(request=asks.NewReportSerializer, responses={202: shown.JobSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(asks.NewReportSerializer, request)
        job = ask_report(incident=incident, actor=person_of(request), audience=asked["audience"])
        return job_response(job)


class ChangeIncident(APIView):
    """Base of the changes that answer with the incident as it is then."""

    serializer_class: type[serializers.Serializer[Any]] = asks.ChangeSerializer

    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(self.serializer_class, request)
        self.change(incident, person_of(request), asked)
        return Response(shown.IncidentSerializer(access_incident(object_id)).data)

    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        raise NotImplementedError


@extend_schema(request=asks.ChangeSerializer, responses=shown.IncidentSerializer)
class TakeIncident(ChangeIncident):
    """Become its owner."""

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        services.take_incident(incident=incident, actor=person, revision=asked["revision"])


@extend_schema(request=asks.ChangeSerializer, responses=shown.IncidentSerializer)
class ShareIncident(ChangeIncident):
    """Show it to the client in the portal."""

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        services.share_incident(incident=incident, actor=person, revision=asked["revision"])


@extend_schema(request=asks.ChangeSerializer, responses=shown.IncidentSerializer)
class UnshareIncident(ChangeIncident):
    """Take it out of the portal again."""

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        services.unshare_incident(incident=incident, actor=person, revision=asked["revision"])


@extend_schema(request=asks.ResolveSerializer, responses=shown.IncidentSerializer)
class ResolveIncident(ChangeIncident):
    """Close it, with classification and cause."""

    serializer_class = asks.ResolveSerializer

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        services.resolve_incident(incident=incident, actor=person, **asked)


@extend_schema(request=asks.ChangeSerializer, responses=shown.IncidentSerializer)
class ReopenIncident(ChangeIncident):
    """Open it again."""

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        services.reopen_incident(incident=incident, actor=person, **asked)
