"""People's work on incidents: owner, ticket, state, waiting, silence, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api import serializers as shown
from console.api import serializers_asked as asks
from console.api import serializers_work as work
from console.api.base import parse
from console.api.idempotency import idempotent
from console.api.incidents import ChangeIncident
from console.lib.people import person_of
from console.queries.similar import similar_to
from incidents import services
from incidents.access import access_client, access_incident
from incidents.models import (
    Incident,
    Quiet,
)
from incidents.services import many, quiet, tickets, waiting
from tenants.colleagues import colleagues_of
from tenants.errors import WrongInput
from tenants.models import Person


def colleague(person_id: UUID | None) -> Person | None:
    """Somebody of the provider in sight; whether she works for a client the service asks."""
    if person_id is None:
        return None
    found = Person.objects.filter(id=person_id, tenant=None, is_active=True).first()
    if found is None:
        raise WrongInput("There is no such colleague.")
    return found


@extend_schema(request=work.AssignSerializer, responses=shown.IncidentSerializer)
class AssignIncident(ChangeIncident):
    """Give it to a colleague, or to nobody."""

    serializer_class = work.AssignSerializer

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        owner = colleague(asked["owner"])
        services.assign_incident(
            incident=incident, actor=person, owner=owner, revision=asked["revision"]
        )


@extend_schema(request=work.TicketSerializer, responses=shown.IncidentSerializer)
class KeepTicket(ChangeIncident):
    """Its ticket in the help desk; an empty number takes it off."""

    serializer_class = work.TicketSerializer

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        tickets.keep_ticket(incident=incident, actor=person, **asked)


@extend_schema(request=asks.ChangeSerializer, responses=shown.IncidentSerializer)
class TriageIncident(ChangeIncident):
    """It was looked at and is to be worked on."""

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        services.triage_incident(incident=incident, actor=person, revision=asked["revision"])


@extend_schema(request=asks.ChangeSerializer, responses=shown.IncidentSerializer)
class ContainIncident(ChangeIncident):
    """Nothing of it is within reach; 409 where the copies say otherwise."""

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        services.contain_incident(incident=incident, actor=person, revision=asked["revision"])


@extend_schema(request=work.WaitSerializer, responses=shown.IncidentSerializer)
class WaitForClient(ChangeIncident):
    """Stop its clocks for a cause on record."""

    serializer_class = work.WaitSerializer

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        waiting.wait_for(incident=incident, actor=person, **asked)


@extend_schema(request=work.AnswerSerializer, responses=shown.IncidentSerializer)
class StopWaiting(ChangeIncident):
    """The clocks run again."""

    serializer_class = work.AnswerSerializer

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        waiting.stop_waiting(incident=incident, actor=person, **asked)


@extend_schema(request=work.QuietSerializer, responses=shown.IncidentSerializer)
class SnoozeIncident(ChangeIncident):
    """Out of the way until a time, or until any further mail of it comes."""

    serializer_class = work.QuietSerializer
    kind = Quiet.Kind.SNOOZED

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        quiet.quiet_incident(incident=incident, actor=person, kind=self.kind, **asked)


@extend_schema(request=work.QuietSerializer, responses=shown.IncidentSerializer)
class MuteIncident(SnoozeIncident):
    """Out of the way until a time, or until more of it is within reach."""

    kind = Quiet.Kind.MUTED


@extend_schema(request=asks.ChangeSerializer, responses=shown.IncidentSerializer)
class WakeIncident(ChangeIncident):
    """Bring it back."""

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        quiet.wake_incident(incident=incident, actor=person, **asked)


class ActOnMany(APIView):
    """One act on up to 500 incidents of any clients in sight; a result for each."""

    @extend_schema(request=work.BulkSerializer, responses=work.ResultsSerializer)
    @idempotent
    def post(self, request: Request) -> Response:
        return _results(many.act_on_many(**_order(request)))


class ForeseeMany(APIView):
    """What the same order on many incidents would come to: a result for each, and nothing done."""

    @extend_schema(request=work.BulkSerializer, responses=work.ResultsSerializer)
    def post(self, request: Request) -> Response:
        return _results(many.foresee_many(**_order(request)))


def _order(request: Request) -> dict[str, Any]:
    """What ``act_on_many`` takes."""
    asked = parse(work.BulkSerializer, request)
    ids, seen = asked.pop("incidents"), asked.pop("revisions")
    return {
        "incident_ids": ids,
        "order": many.Order(**asked | {"owner": colleague(asked["owner"])}),
        "actor": person_of(request),
        "revisions": {each: seen[str(each)] for each in ids if str(each) in seen},
    }


def _results(results: Sequence[many.Result]) -> Response:
    done = sum(result.ok for result in results)
    answer = {"done": done, "refused": len(results) - done, "results": results}
    return Response(work.ResultsSerializer(answer).data)


class SimilarIncidents(APIView):
    """Up to eight incidents like it at clients in sight, the likest first."""

    @extend_schema(responses=work.SimilarSerializer(many=True))
    def get(self, request: Request, object_id: str) -> Response:
        found = similar_to(access_incident(object_id))
        return Response(work.SimilarSerializer(found, many=True).data)


class ColleagueList(APIView):
    """Who of the provider works for this client."""

    @extend_schema(responses=work.ColleagueSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        people = colleagues_of(access_client(slug).id)
        return Response(work.ColleagueSerializer(people, many=True).data)
