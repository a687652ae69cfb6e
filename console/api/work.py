"""Clients, jobs, actions, reports and gateway rules."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api import serializers as shown
from console.api import serializers_asked as asks
from console.api.base import DetailView, ListView, job_response, parse
from console.api.filters import ActionFilter, GatewayRuleFilter, JobFilter, ReportFilter
from console.api.idempotency import idempotent
from console.api.onboarding import NewClientSerializer, StartedSerializer
from console.lib.exports import download
from console.lib.people import person_of
from incidents.access import access_client, access_job, access_one, access_report
from incidents.downloads import open_report
from incidents.models import Intent, Job, Report
from incidents.taking_back import stop_job
from seg_bridge.changes import rehearse_wish, save_change
from seg_bridge.models import GatewayRule
from seg_bridge.onboarding.services import LEADS
from seg_bridge.rule_scopes import Owner, Wish, clients_of, clients_of_rule, rules_in_sight
from tenants.errors import WrongInput
from tenants.models import Tenant
from tenants.people import must_lead
from tenants.services import open_client


class ClientList(ListView):
    """The clients that you may see."""

    serializer_class = shown.ClientSerializer
    queryset = Tenant.objects.all()

    @extend_schema(request=NewClientSerializer, responses={201: StartedSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        """Begin with a new client: a lead's.  Its steps are ``tenants/{slug}/onboarding``."""
        must_lead(person_of(request), LEADS)
        asked = parse(NewClientSerializer, request)
        slug = open_client(person=person_of(request), **asked)
        return Response({"tenant": slug}, status=201)


class ClientDetail(APIView):
    @extend_schema(responses=shown.ClientSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(shown.ClientSerializer(access_client(slug)).data)


class JobList(ListView):
    """What people asked for, newest first."""

    serializer_class = shown.JobSerializer
    filterset_class = JobFilter
    queryset = Job.objects.select_related("tenant")


class JobDetail(DetailView):
    serializer_class = shown.JobSerializer
    queryset = Job.objects.select_related("tenant")


class StopJob(APIView):
    """Stop a pull or a restore: what was not sent yet is not done.  409 where it is over."""

    @extend_schema(request=asks.ReasonSerializer, responses={202: shown.JobSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        job = access_job(object_id)
        asked = parse(asks.ReasonSerializer, request)
        stop_job(job=job, actor=person_of(request), reason=asked["reason"])
        return job_response(job)


class ActionList(ListView):
    """Approved actions, one for each copy, with what was seen afterwards."""

    serializer_class = shown.ActionSerializer
    filterset_class = ActionFilter
    queryset = Intent.objects.select_related("tenant", "delivery")


class ActionDetail(DetailView):
    serializer_class = shown.ActionSerializer
    queryset = Intent.objects.select_related("tenant", "delivery")


class ReportList(ListView):
    """Finished reports, newest first."""

    serializer_class = shown.ReportSerializer
    filterset_class = ReportFilter
    queryset = Report.objects.select_related("tenant")


class ReportDetail(DetailView):
    serializer_class = shown.ReportSerializer
    queryset = Report.objects.select_related("tenant")


class ReportFile(APIView):
    """The report as a file: ``pdf`` or ``csv``."""

    @extend_schema(
        responses={
            (200, "application/pdf"): OpenApiTypes.BINARY,
            (200, "text/csv"): OpenApiTypes.BINARY,
        }
    )
    def get(self, request: Request, object_id: str, kind: str) -> HttpResponse:
        report = access_report(object_id)
        data = open_report(report=report, kind=kind, actor=person_of(request))
        content_type = "application/pdf" if kind == "pdf" else "text/csv; charset=utf-8"
        return download(data, f"report-{report.id}.{kind}", content_type=content_type)


class GatewayRuleList(ListView):
    """Allow and block entries of the gateway, with author, reason and end."""

    serializer_class = shown.GatewayRuleSerializer
    filterset_class = GatewayRuleFilter
    queryset = GatewayRule.objects.filter(rules_in_sight()).select_related(
        "tenant", "mailbox_group"
    )

    @extend_schema(
        request=asks.NewGatewayRuleSerializer, responses={201: shown.GatewayRuleSerializer}
    )
    @idempotent
    def post(self, request: Request) -> Response:
        asked = parse(asks.NewGatewayRuleSerializer, request)
        slug = asked.pop("tenant")
        group = asked.pop("group")
        if [bool(slug), bool(group), asked["everywhere"]].count(True) != 1:
            raise WrongInput("Name the client or the group, or say everywhere.")
        tenants = [access_client(slug)] if slug else clients_of(Owner(group_id=group))
        if asked["expires_at"] and asked["expires_at"] <= timezone.now():
            raise WrongInput("expires_at: this time has passed.")
        despite = asked.pop("despite")
        wish = {"do": "add_rule", **asked, "expires_at": _iso(asked["expires_at"])}
        wish["group"] = str(group) if group else ""
        rule = _rehearse_and_save(wish, tenants, request, asked["reason"], despite=despite)
        return Response(shown.GatewayRuleSerializer(rule).data, status=201)


class GatewayRuleDetail(DetailView):
    serializer_class = shown.GatewayRuleSerializer
    queryset = GatewayRule.objects.filter(rules_in_sight()).select_related(
        "tenant", "mailbox_group"
    )


class RemoveGatewayRule(APIView):
    """Take a rule out of force; it stays in the history.  409 where the rehearsal objects."""

    @extend_schema(request=asks.RemoveRuleSerializer, responses=shown.GatewayRuleSerializer)
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        rows = GatewayRule.objects.filter(rules_in_sight())
        rows = rows.select_related("tenant", "mailbox_group")
        rule = access_one(rows, object_id)
        asked = parse(asks.RemoveRuleSerializer, request)
        if rule.removed_at is None:
            wish = {"do": "remove_rule", "rule_id": str(rule.id)}
            reason = asked["reason"] or "Removed through the API"
            tenants = clients_of_rule(rule)
            _rehearse_and_save(wish, tenants, request, reason, despite=asked["despite"])
            rule.refresh_from_db()
        return Response(shown.GatewayRuleSerializer(rule).data)


def _rehearse_and_save(
    wish: Wish, tenants: list[Tenant], request: Request, reason: str, *, despite: bool
) -> GatewayRule:
    """No rule without a rehearsal; raises ``Objections`` where it has any, unless ``despite``."""
    actor = person_of(request)
    kept = rehearse_wish(wish=wish, tenants=tenants, actor=actor)
    (rule,) = save_change(rehearsals=kept, actor=actor, reason=reason, despite=despite)
    return rule


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
