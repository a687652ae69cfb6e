"""What is said about an incident: comments with their files, phone calls, tasks, mentions."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api import serializers_work as work
from console.api.base import DetailView, ListView, parse
from console.api.filters import TaskFilter
from console.api.idempotency import idempotent
from console.api.parsers import BoundedJSONParser
from console.lib.exports import download
from console.lib.people import person_of
from incidents.access import access_attachment, access_incident, access_one
from incidents.campaigns.moving import lineage
from incidents.downloads import open_attachment
from incidents.models import Attachment, CallNote, Comment, Mention, Task
from incidents.services import comments, tasks
from incidents.services.attachments import NewFile

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
    """Done, not needed, or open again; 409 where somebody changed what you had ``seen``."""

    @extend_schema(request=work.SettleTaskSerializer, responses=work.TaskSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        task = access_one(Task.objects.select_related("tenant", "incident"), object_id)
        asked = parse(work.SettleTaskSerializer, request)
        tasks.settle_task(task=task, actor=person_of(request), **asked)
        return Response(work.TaskSerializer(task).data)


class MentionList(ListView):
    """Where colleagues named you, newest first."""

    serializer_class = work.MentionSerializer
    queryset = Mention.objects.all()

    @override
    def get_queryset(self) -> QuerySet[Mention]:
        rows = Mention.objects.select_related("tenant", "comment__tenant")
        return rows.filter(person_id=person_of(self.request).id)
