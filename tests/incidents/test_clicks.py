"""A link that somebody opened, as the mail host says: the first time stands on the copy."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

from django.db import transaction

from incidents.correlation import make_sense_of_backlog
from incidents.models import Backlog, Delivery, Incident
from incidents.observations import Observation
from incidents.words import Layer
from tests.factories import Cast
from tests.incidents.test_answers import CAME, IT, NAMED, fraud, scope, tell


def click(tenant_id: int, after_s: int) -> Observation:
    at = CAME + timedelta(seconds=after_s)
    return Observation(
        tenant_id=tenant_id,
        layer=Layer.VENDOR,
        source="vendor:graph",
        source_key=f"alert-{after_s}/{IT}",
        observed_at=at + timedelta(minutes=20),
        recipient=IT,
        internet_message_id=NAMED,
        detail={"clicked_at": at.isoformat()},
    )


def test_whatever_is_told_first_the_first_click_stands_and_weighs(cast: Cast):
    tenant = cast.acme
    said = [fraud(tenant), click(tenant.id, 60), click(tenant.id, 600)]
    for order in permutations(said):
        with transaction.atomic():
            tell(tenant, *order)
            with scope(tenant):
                # What came before its mail waits for it a while.
                Backlog.objects.update(wait_until=None)
                make_sense_of_backlog(tenant)
                copy, incident = Delivery.objects.get(), Incident.objects.get()
            assert copy.clicked_at == CAME + timedelta(seconds=60)
            assert copy.clicked_by is not None
            assert copy.vendor_verdict == "", "a click alone is no verdict"
            assert incident.counts["clicked"] == 1
            assert {"code": "clicked", "points": 15, "text": "1 with a link opened"} in (
                incident.severity_parts
            )
            transaction.set_rollback(True)
