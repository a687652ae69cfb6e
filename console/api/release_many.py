"""Many kept copies let go by one order.  The same services as the page that asks about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api import serializers_release as told
from console.api.base import parse
from console.api.idempotency import idempotent
from console.lib.people import person_of
from console.queries.letting_go import ClientPart, chosen_copies, release_all_question
from incidents.access import access_incident
from incidents.gateway_asked import ExceptionWish
from incidents.letting_go import PartForeseen, foresee_letting_go, kept_copies, let_all_go
from incidents.models import Delivery, Job
from tenants.errors import Conflict, WrongInput


@dataclass(frozen=True, slots=True)
class _Order:
    """``wish``: what ``let_all_go`` takes besides; ``left_out``: ids of what she sees not kept."""

    copies: list[Delivery]
    left_out: list[UUID]
    wish: dict[str, Any]


class ReleaseMany(APIView):
    """Let many held or pulled copies go, of any clients in sight, each to its recipient.

    Answers the order: a job for each client and layer.  What one client refuses is its failed job
    and holds up no other; of one client alone it is the answer: 403, 409.
    """

    @extend_schema(request=told.ReleaseManySerializer, responses={202: told.ManyReleasedSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        return _given(request, _chosen(parse(told.ReleaseManySerializer, request)))


class ForeseeMany(APIView):
    """What the same order would come to: for each client what both layers will do, what an
    exception could rest on, and what its rehearsal refuses.  Nothing is done.
    """

    @extend_schema(request=told.ReleaseManySerializer, responses=told.ManyForeseenSerializer)
    def post(self, request: Request) -> Response:
        return _foreseen(request, _chosen(parse(told.ReleaseManySerializer, request)))


class ReleaseIncident(APIView):
    """Let all kept copies of the incident go, or those of ``copies``.  Answers the order."""

    @extend_schema(
        request=told.ReleaseIncidentSerializer, responses={202: told.ManyReleasedSerializer}
    )
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        return _given(request, _of_incident(request, object_id))


class ForeseeIncident(APIView):
    """What the same order would come to.  Nothing is done."""

    @extend_schema(request=told.ReleaseIncidentSerializer, responses=told.ManyForeseenSerializer)
    def post(self, request: Request, object_id: str) -> Response:
        return _foreseen(request, _of_incident(request, object_id))


def _chosen(asked: dict[str, Any]) -> _Order:
    ids: list[UUID] = list(dict.fromkeys(asked.pop("copies")))
    copies = chosen_copies(str(each) for each in ids)
    found = {copy.id for copy in copies}
    wish = asked.pop("exception", None)
    asked["exception"] = ExceptionWish(**wish) if wish else None
    return _Order(copies, [each for each in ids if each not in found], asked)


def _of_incident(request: Request, object_id: str) -> _Order:
    """All that is kept where no copy is named.  Raises ``WrongInput`` for a copy of another."""
    kept = [copy.id for copy in kept_copies(access_incident(object_id))]
    asked = parse(told.ReleaseIncidentSerializer, request)
    if strange := [str(each) for each in asked["copies"] if each not in set(kept)]:
        raise WrongInput(f"Not kept, or none of this incident: {', '.join(strange)}.")
    asked["copies"] = asked["copies"] or kept
    return _chosen(asked)


def _given(request: Request, order: _Order) -> Response:
    """202 with the jobs to follow."""
    if not order.copies:
        raise Conflict("None of these mails is kept any more.")
    first = let_all_go(copies=order.copies, actor=person_of(request), **order.wish)[0]
    # As they stand now: a copy can have failed already, as no gate holds it.
    jobs = Job.objects.filter(group_id=first.group_id).select_related("tenant")
    answer = {
        "order": first.group_id,
        "jobs": jobs.order_by("tenant__name", "id"),
        "left_out": order.left_out,
    }
    return Response(told.ManyReleasedSerializer(answer).data, status=202)


def _foreseen(request: Request, order: _Order) -> Response:
    person = person_of(request)
    question = release_all_question(order.copies, person)
    parts: Sequence[PartForeseen] = ()
    if order.copies:
        parts = foresee_letting_go(copies=order.copies, actor=person, **order.wish)
    hers = {part.client.id: part for part in question.parts}
    answer = {
        "clients": [_client(part, hers.get(part.tenant.id)) for part in parts],
        "not_yours": [{"delivery": copy.id, "why": why} for copy, why in question.not_hers],
        "left_out": order.left_out,
    }
    return Response(told.ManyForeseenSerializer(answer).data)


def _client(part: PartForeseen, hers: ClientPart | None) -> dict[str, Any]:
    """``hers`` None: she may release none of this client's copies."""
    about = hers or ClientPart(part.tenant, [], [], 0, [], [])
    ids = [copy.id for copy in about.copies]
    numbers = {name: getattr(part, name) for name in ("released", "given_back", "refused")}
    shown = {name: getattr(about, name) for name in ("seen", "not_foreseen", "ways", "cautions")}
    return {"client": part.tenant, "copies": ids, **shown, **numbers}
