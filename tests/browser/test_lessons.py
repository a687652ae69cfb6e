"""What the gateway learned, on the pages of the mail and of its incident, in a real browser."""

from __future__ import annotations

import pytest
from django.urls import reverse

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Delivery, Incident
from incidents.services import reopen_incident, resolve_incident
from incidents.words import Place, Verdict
from seg_bridge.models import GateCommand
from tenants.scope import Role, tenant_scope
from tests.browser.test_accessibility import findings
from tests.factories import Cast, state_policy
from tests.incidents.test_disagreements import held, inside, passed
from tests.seg_bridge.conftest import make_gate

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


def learned(cast: Cast) -> list[str]:
    """Addresses of pages that say what was learned, taken back, and could not be learned."""
    make_gate(cast, cast.acme, cast.globex)
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record([passed(cast, evidence="a" * 64), inside(cast, verdict=Verdict.PHISH)])
        record([held(cast, number=2)])
        make_sense_of_backlog(cast.acme)
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        state_policy(cast.acme, learn="shared")
        found = Incident.objects.select_related("tenant").get()
        for _ in range(2):
            resolve_incident(
                incident=found, actor=cast.ana, classification="true_positive", cause="seen"
            )
            GateCommand.objects.filter(ok=None).update(ok=True, detail="learned; hashes: shared")
            reopen_incident(incident=found, actor=cast.ana, reason="to look again")
            GateCommand.objects.filter(ok=None).update(ok=False, detail="Rspamd: no answer")
        copy = Delivery.objects.get(message__memberships__incident=found)
        other = Delivery.objects.get(place=Place.HOLD)
    return [
        reverse("incident", args=[found.id]),
        reverse("message", args=[copy.message_id]),
        reverse("trace", args=[copy.id]),
        reverse("held_release", args=[other.id]),
        reverse("policy_client", args=["acme"]),
    ]


def test_what_was_learned_can_be_read_by_everybody(in_browser, live_server, transactional_cast):
    cast = transactional_cast
    paths = learned(cast)
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.ana.email, paths) == []
