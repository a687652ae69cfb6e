"""People's work on incidents: owner, state, waiting, silence, words, tasks, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api import serializers as shown
from console.api import serializers_work as work
from console.api.base import DetailView, ListView, parse
from console.api.filters import SuppressionFilter, TaskFilter
from console.api.idempotency import idempotent
from console.api.incidents import ChangeIncident
from console.api.parsers import BoundedJSONParser
from console.lib.exports import download
from console.lib.people import person_of
from console.queries.similar import similar_to
from incidents import services
from incidents.access import access_attachment, access_client, access_incident, access_one
from incidents.campaigns.moving import lineage
from incidents.downloads import open_attachment
from incidents.models import (
    Attachment,
    CallNote,
    Comment,
    Incident,
    Mention,
    Quiet,
    Suppression,
    Task,
    TaskTemplate,
)
from incidents.services import comments, many, quiet, tasks, views, waiting
from incidents.services.attachments import NewFile
from tenants.colleagues import colleagues_of
from tenants.errors import NotThere, WrongInput
from tenants.ids import as_uuid
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


@extend_schema(request=shown.ChangeSerializer, responses=shown.IncidentSerializer)
class TriageIncident(ChangeIncident):
    """It was looked at and is to be worked on."""

    @override
    def change(self, incident: Incident, person: Person, asked: dict[str, Any]) -> None:
        services.triage_incident(incident=incident, actor=person, revision=asked["revision"])


@extend_schema(request=shown.ChangeSerializer, responses=shown.IncidentSerializer)
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


@extend_schema(request=shown.ChangeSerializer, responses=shown.IncidentSerializer)
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


ATTACHMENTS = Attachment.objects.select_related("tenant", "comment")


class _OfIncident(ListView):
    """A list that belongs to one incident and to those merged into it; it is accessed first.

    ``queryset`` of all; ``key`` leads from a row to its incident.
    """

    key = "incident"

    @override
    def get_queryset(self) -> QuerySet[Any]:
        incident = access_incident(self.kwargs["object_id"])
        mine = {"tenant": incident.tenant_id, f"{self.key}__in": lineage(incident)}
        return super().get_queryset().filter(**mine)


class Comments(_OfIncident):
    """What was said, newest first.  Files go with a new comment as ``multipart/form-data``."""

    serializer_class = work.CommentSerializer
    parser_classes = (BoundedJSONParser, MultiPartParser)
    queryset = Comment.objects.select_related("tenant").prefetch_related("attachments")

    @extend_schema(request=work.NewCommentSerializer, responses={201: work.CommentSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(work.NewCommentSerializer, request)
        comment = comments.add_comment(
            incident=incident,
            actor=person_of(request),
            text=asked["text"],
            audience=asked["audience"],
            mention_ids=asked["mentions"],
            files=[NewFile(file.name, file.read()) for file in asked["attachments"]],
        )
        return Response(work.CommentSerializer(comment).data, status=201)


class Attachments(_OfIncident):
    """Files of its comments, newest first."""

    serializer_class = work.AttachmentSerializer
    queryset = ATTACHMENTS
    key = "comment__incident"


class AttachmentDetail(DetailView):
    serializer_class = work.AttachmentSerializer
    queryset = ATTACHMENTS


class AttachmentContent(APIView):
    """The file's bytes; that you took them is on record."""

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, object_id: str) -> HttpResponse:
        found = access_attachment(object_id)
        content = open_attachment(attachment=found, actor=person_of(request))
        return download(content, found.name)


class Calls(_OfIncident):
    """Phone calls about it, newest first."""

    serializer_class = work.CallSerializer
    queryset = CallNote.objects.select_related("tenant")

    @extend_schema(request=work.NewCallSerializer, responses={201: work.CallSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(work.NewCallSerializer, request)
        note = comments.log_call(incident=incident, actor=person_of(request), **asked)
        return Response(work.CallSerializer(note).data, status=201)


class Tasks(_OfIncident):
    """Its tasks, the last added first."""

    serializer_class = work.TaskSerializer
    filterset_class = TaskFilter
    queryset = Task.objects.select_related("tenant")

    @extend_schema(request=work.NewTaskSerializer, responses={201: work.TaskSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        incident = access_incident(object_id)
        asked = parse(work.NewTaskSerializer, request)
        task = tasks.add_task(incident=incident, actor=person_of(request), **asked)
        return Response(work.TaskSerializer(task).data, status=201)


class SettleTask(APIView):
    """Done, not needed, or open again."""

    @extend_schema(request=work.SettleTaskSerializer, responses=work.TaskSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        task = access_one(Task.objects.select_related("tenant", "incident"), object_id)
        asked = parse(work.SettleTaskSerializer, request)
        tasks.settle_task(task=task, actor=person_of(request), state=asked["state"])
        return Response(work.TaskSerializer(task).data)


class SimilarIncidents(APIView):
    """Up to eight incidents like it at clients in sight, the likest first."""

    @extend_schema(responses=work.SimilarSerializer(many=True))
    def get(self, request: Request, object_id: str) -> Response:
        found = similar_to(access_incident(object_id))
        return Response(work.SimilarSerializer(found, many=True).data)


class MentionList(ListView):
    """Where colleagues named you, newest first."""

    serializer_class = work.MentionSerializer
    queryset = Mention.objects.all()

    @override
    def get_queryset(self) -> QuerySet[Mention]:
        rows = Mention.objects.select_related("tenant", "comment__tenant")
        return rows.filter(person_id=person_of(self.request).id)


class ColleagueList(APIView):
    """Who of the provider works for this client."""

    @extend_schema(responses=work.ColleagueSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        people = colleagues_of(access_client(slug).id)
        return Response(work.ColleagueSerializer(people, many=True).data)


class SuppressionList(ListView):
    """Suppressions, newest first, with how many incidents each silenced."""

    serializer_class = work.SuppressionSerializer
    filterset_class = SuppressionFilter
    queryset = Suppression.objects.select_related("tenant").annotate(silenced=Count("quiets"))

    @extend_schema(
        request=work.NewSuppressionSerializer, responses={201: work.SuppressionSerializer}
    )
    @idempotent
    def post(self, request: Request) -> Response:
        asked = parse(work.NewSuppressionSerializer, request)
        tenant = access_client(asked.pop("tenant"))
        rule = quiet.add_suppression(tenant=tenant, actor=person_of(request), **asked)
        found = self.get_queryset().get(id=rule.id)
        return Response(work.SuppressionSerializer(found).data, status=201)


class SuppressionDetail(DetailView):
    serializer_class = work.SuppressionSerializer
    queryset = SuppressionList.queryset


class RemoveSuppression(APIView):
    """Take the rule out of force; it stays in the history."""

    @extend_schema(request=shown.ReasonSerializer, responses=work.SuppressionSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        rows = SuppressionList.queryset.all()
        asked = parse(shown.ReasonSerializer, request)
        quiet.remove_suppression(
            rule=access_one(rows, object_id), actor=person_of(request), **asked
        )
        return Response(work.SuppressionSerializer(access_one(rows, object_id)).data)


class TaskTemplateList(ListView):
    """Every version of every kind's tasks, newest first."""

    serializer_class = work.TaskTemplateSerializer
    queryset = TaskTemplate.objects.all()

    @extend_schema(
        request=work.TaskTemplateSerializer, responses={201: work.TaskTemplateSerializer}
    )
    @idempotent
    def post(self, request: Request) -> Response:
        asked = parse(work.TaskTemplateSerializer, request)
        person = person_of(request)
        template = tasks.save_template(
            provider_id=person.provider_id,
            kind=asked.get("kind", ""),
            steps=asked["steps"],
            actor=person,
        )
        return Response(work.TaskTemplateSerializer(template).data, status=201)


class SavedViewList(APIView):
    """Your views and shared ones."""

    @extend_schema(responses=work.SavedViewSerializer(many=True))
    def get(self, request: Request) -> Response:
        person = person_of(request)
        rows = views.views_of(person)
        return Response(work.SavedViewSerializer(rows, many=True, context={"person": person}).data)

    @extend_schema(request=work.SavedViewSerializer, responses={201: work.SavedViewSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        person = person_of(request)
        asked = parse(work.SavedViewSerializer, request)
        view = views.save_view(person=person, **asked)
        found = work.SavedViewSerializer(view, context={"person": person})
        return Response(found.data, status=201)


class RemoveView(APIView):
    """Your own only."""

    @extend_schema(request=None, responses={204: None})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        view_id = as_uuid(object_id)
        if view_id is None:
            raise NotThere
        views.remove_view(view_id=view_id, person=person_of(request))
        return Response(status=204)
