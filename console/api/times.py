"""Agreed times and how fast the work is done."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from typing_extensions import override

from console.api import serializers as shown
from console.api import serializers_asked as asks
from console.api import serializers_work as work
from console.api.base import PAGING, PERIOD, ListView, job_response, parse
from console.api.filters import ForecastFilter
from console.api.idempotency import idempotent
from console.lib.people import person_of
from console.lib.period import asked_by_program, read_period
from console.queries.kpis import figures, figures_by_client, incidents_behind
from console.queries.sla import attestation, summary
from incidents.access import access_client
from incidents.models import Incident, SlaPlan
from incidents.reports import ask_statement
from incidents.sla.attest import STATES, Kept, opened_between
from incidents.sla.plan import agree
from tenants.errors import NotThere


class Kpis(APIView):
    """Times to detect, triage, act, contain and resolve of the incidents that opened then."""

    @extend_schema(parameters=PERIOD, responses=work.KpisSerializer)
    def get(self, request: Request) -> Response:
        asked = asked_by_program(request.query_params)
        period = asked.period
        opened = opened_between(period.since, period.until, asked.client)
        clients = [
            {"tenant": slug, "figures": found} for slug, _, found in figures_by_client(opened)
        ]
        answer = {
            "since": period.since,
            "until": period.until,
            "figures": figures(opened),
            "clients": clients,
        }
        return Response(work.KpisSerializer(answer).data)


class KpiIncidents(ListView):
    """The incidents behind one figure, each with ``took_s``; as many as its ``n``."""

    serializer_class = work.TimedIncidentSerializer
    filter_backends = ()
    queryset = Incident.objects.all()

    @override
    def get_queryset(self) -> QuerySet[Incident]:
        asked = asked_by_program(self.request.query_params, *PAGING)
        period = asked.period
        opened = opened_between(period.since, period.until, asked.client).select_related("tenant")
        return incidents_behind(self.kwargs["figure"], opened)

    @extend_schema(parameters=PERIOD)
    @override
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class Attestation(APIView):
    """How many agreed times were kept, missed, or are open, of the incidents that opened then."""

    @extend_schema(parameters=PERIOD, responses=work.AttestationSerializer)
    def get(self, request: Request) -> Response:
        asked = asked_by_program(request.query_params)
        period = asked.period
        found = summary(period.since, period.until, asked.client)
        answer = {
            "since": period.since,
            "until": period.until,
            "as_of": found.as_of,
            "incidents": found.incidents,
            "lines": found.lines,
        }
        return Response(work.AttestationSerializer(answer).data)


class AttestationList(ListView):
    """The targets behind one number: ``kept``, ``missed`` or ``open``.

    ``page_size`` counts incidents; those of one incident, at most three, are on one page.
    """

    serializer_class = work.KeptSerializer
    filter_backends = ()
    queryset = Incident.objects.all()

    @extend_schema(parameters=PERIOD)
    @override
    def get(self, request: Request, figure: str) -> Response:
        if figure not in STATES:
            raise NotThere
        asked = asked_by_program(request.query_params, *PAGING)
        period = asked.period
        kept: defaultdict[UUID, list[Kept]] = defaultdict(list)
        for each in attestation(period.since, period.until, asked.client).kept:
            if each.state == figure:
                kept[each.incident_id].append(each)
        page = self.paginate_queryset(Incident.objects.filter(id__in=kept).only("id"))
        rows = [each for incident in page or () for each in kept[incident.id]]
        return self.get_paginated_response(work.KeptSerializer(rows, many=True).data)


class Forecast(ListView):
    """Open incidents whose next agreed time is over, or will be within ``hours`` (8 without)."""

    serializer_class = shown.IncidentSerializer
    filterset_class = ForecastFilter
    queryset = Incident.objects.select_related("tenant")


class MakeStatement(APIView):
    """Make the statement of a client's agreed times (PDF and CSV); answers the job to follow.

    ``since`` and ``until`` are days or times, as in the addresses; without them the 30 days up to
    the end of today.
    """

    @extend_schema(request=asks.NewStatementSerializer, responses={202: shown.JobSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        tenant = access_client(slug)
        asked = parse(asks.NewStatementSerializer, request)
        period = read_period(asked["since"], asked["until"])
        job = ask_statement(
            tenant=tenant,
            since=period.since,
            until=period.until,
            actor=person_of(request),
            audience=asked["audience"],
        )
        return job_response(job)


class SlaPlanList(ListView):
    """Agreements, the newest first; the one that holds is the latest with ``valid_from`` passed."""

    serializer_class = work.SlaPlanSerializer
    queryset = SlaPlan.objects.select_related("tenant")

    @extend_schema(request=work.NewSlaPlanSerializer, responses={201: work.SlaPlanSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        asked = parse(work.NewSlaPlanSerializer, request)
        slug = asked.pop("tenant")
        seen = str(asked["seen"] or "") if "seen" in asked else None
        person = person_of(request)
        plan = agree(
            provider_id=person.provider_id,
            tenant=access_client(slug) if slug else None,
            actor=person,
            **asked | {"holidays": [day.isoformat() for day in asked["holidays"]], "seen": seen},
        )
        return Response(work.SlaPlanSerializer(plan).data, status=201)
