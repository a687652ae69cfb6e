"""What a client's outbound page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings

from incidents.access import access_one
from seg_bridge.models import GateClient, GateCommand
from seg_bridge.outbound.models import OutboundTerms, SenderStop, SigningKey, SubmissionLogin
from seg_bridge.outbound.services import terms_of
from tenants.models import Person, Tenant

MOST_ENDED = 20


@dataclass(frozen=True, slots=True)
class StopRow:
    """``confirmed``: gates that have acknowledged the lift, of ``gates``."""

    stop: SenderStop
    confirmed: int = 0
    gates: int = 0


@dataclass(frozen=True, slots=True)
class OutboundPage:
    client: Tenant
    terms: OutboundTerms
    may_set_up: bool
    stops: list[StopRow]
    lifted: list[StopRow]
    keys: list[SigningKey]
    retired: list[SigningKey]
    logins: list[SubmissionLogin]
    gates: list[str]
    submission_at: str = ""
    submissions_at: str = ""

    @property
    def hosts(self) -> list[Mapping[str, Any]]:
        return sorted(self.terms.hosts, key=lambda each: str(each["network"]))


def outbound_page(client: Tenant, reader: Person) -> OutboundPage:
    """Eight queries, however much there is."""
    stops = SenderStop.objects.filter(tenant=client).select_related("incident")
    keys = SigningKey.objects.filter(tenant=client).select_related("domain")
    retired = keys.filter(state=SigningKey.State.RETIRED)
    gates = GateClient.objects.filter(tenant=client).order_by("gate__hostname")
    ended = list(stops.exclude(lifted_at=None).order_by("-lifted_at")[:MOST_ENDED])
    return OutboundPage(
        client=client,
        terms=terms_of(client),
        may_set_up=reader.role == Person.Role.LEAD,
        stops=[StopRow(stop) for stop in stops.filter(lifted_at=None).order_by("-stopped_at")],
        lifted=_with_answers(ended),
        keys=list(
            keys.exclude(state=SigningKey.State.RETIRED).order_by("domain__name", "created_at")
        ),
        retired=list(retired.order_by("-created_at")[:MOST_ENDED]),
        logins=list(SubmissionLogin.objects.filter(tenant=client, ended_at=None).order_by("name")),
        gates=list(gates.values_list("gate__hostname", flat=True)),
        submission_at=settings.SUBMISSION_AT,
        submissions_at=settings.SUBMISSIONS_AT,
    )


def _with_answers(stops: list[SenderStop]) -> list[StopRow]:
    answers: dict[str, list[bool]] = {}
    commands = GateCommand.objects.filter(
        kind=GateCommand.Kind.LIFT, trace_ulid__in=[stop.stop_ulid for stop in stops]
    )
    for ulid, ok in commands.values_list("trace_ulid", "ok"):
        answers.setdefault(ulid, []).append(bool(ok))
    return [
        StopRow(stop, sum(answers.get(stop.stop_ulid, ())), len(answers.get(stop.stop_ulid, ())))
        for stop in stops
    ]


def access_login(object_id: UUID) -> SubmissionLogin:
    return access_one(SubmissionLogin.objects.select_related("tenant"), object_id)


def access_key(object_id: UUID) -> SigningKey:
    return access_one(SigningKey.objects.select_related("tenant", "domain"), object_id)


def access_stop(object_id: UUID | str) -> SenderStop:
    return access_one(SenderStop.objects.select_related("tenant"), object_id)
