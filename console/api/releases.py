"""Letting held and pulled mail go: what will follow, the release, and looks afterwards."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from console.api import serializers as shown
from console.api import serializers_release as told
from console.api.base import DetailView, ListView, job_response, parse
from console.api.filters import ReleaseLookFilter
from console.api.idempotency import idempotent
from console.lib.people import person_of
from incidents.access import access_delivery, access_look
from incidents.foresight import foresee, why_exception_fails
from incidents.gateway_asked import ExceptionWish
from incidents.held import let_go
from incidents.looks import ask_look
from incidents.models import ReleaseLook
from seg_bridge.both_layers import ways_for


class ReleaseHeld(APIView):
    """Deliver the original of a held copy, and of others that the same rule holds; or give back one
    that was pulled from a mailbox.  Answers the job to follow; ``exception`` makes one entry for
    both layers with it, 409 where its rehearsal objects.  403 where the policy keeps one of them
    from this person.
    """

    @extend_schema(request=told.ReleaseHeldSerializer, responses={202: shown.JobSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        delivery = access_delivery(object_id)
        asked = parse(told.ReleaseHeldSerializer, request)
        wish = asked.pop("exception", None)
        exception = ExceptionWish(**wish) if wish else None
        job = let_go(delivery=delivery, actor=person_of(request), exception=exception, **asked)
        return job_response(job)


class HeldForesight(APIView):
    """What each layer will do with a held or pulled copy if it is let go now, the other layer
    first; and what an exception for both could rest on.
    """

    @extend_schema(responses=told.ForesightSerializer)
    def get(self, request: Request, object_id: str) -> Response:
        copy = access_delivery(object_id)
        seen = foresee(copy)
        found = {
            "layers": seen,
            "caution": why_exception_fails(copy, seen),
            "ways": ways_for([copy]),
        }
        return Response(told.ForesightSerializer(found).data)


class ReleaseLookList(ListView):
    """Looks at released mail: is it still where it was put?"""

    serializer_class = told.ReleaseLookSerializer
    filterset_class = ReleaseLookFilter
    queryset = ReleaseLook.objects.select_related("tenant", "intent")


class ReleaseLookDetail(DetailView):
    serializer_class = told.ReleaseLookSerializer
    queryset = ReleaseLook.objects.select_related("tenant", "intent")


class LookAgain(APIView):
    """Look once more, now.  409 while somebody looks."""

    @extend_schema(request=None, responses={202: told.ReleaseLookSerializer})
    @idempotent
    def post(self, request: Request, object_id: str) -> Response:
        ask_look(look=access_look(object_id), actor=person_of(request))
        return Response(told.ReleaseLookSerializer(access_look(object_id)).data, status=202)
