"""What stands for the daily work: suppressions, tasks of each kind, kept views."""

from __future__ import annotations

from django.db.models import Count
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api import serializers_asked as asks
from console.api import serializers_work as work
from console.api.base import DetailView, ListView, parse
from console.api.filters import SuppressionFilter
from console.api.idempotency import idempotent
from console.lib.people import person_of
from incidents.access import access_client, access_one
from incidents.models import Suppression, TaskTemplate
from incidents.services import quiet, tasks, views
from tenants.errors import NotThere
from tenants.ids import as_uuid


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

    @extend_schema(request=asks.ReasonSerializer, responses=work.SuppressionSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        rows = SuppressionList.queryset.all()
        asked = parse(asks.ReasonSerializer, request)
        quiet.remove_suppression(
            rule=access_one(rows, object_id), actor=person_of(request), **asked
        )
        return Response(work.SuppressionSerializer(access_one(rows, object_id)).data)


class TaskTemplateList(ListView):
    """Every version of every kind's tasks, newest first."""

    serializer_class = work.TaskTemplateSerializer
    queryset = TaskTemplate.objects.all()

    @extend_schema(
        request=work.NewTaskTemplateSerializer, responses={201: work.TaskTemplateSerializer}
    )
    @idempotent
    def post(self, request: Request) -> Response:
        asked = parse(work.NewTaskTemplateSerializer, request)
        person = person_of(request)
        template = tasks.save_template(provider_id=person.provider_id, actor=person, **asked)
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
