"""A client's outbound page in a real browser, for everybody."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from seg_bridge.outbound import services
from seg_bridge.outbound.models import SenderStop
from tenants.models import Domain
from tenants.scope import Role, tenant_scope
from tests.browser.test_accessibility import findings
from tests.factories import Cast
from tests.seg_bridge.outbound.parts import CEO, TERMS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


def fill(cast: Cast) -> list[str]:
    """Something of everything; the addresses of the page and its questions."""
    acme, lead = cast.acme, cast.mo
    with tenant_scope(Role.ANALYST, [acme.id], provider_id=cast.provider.id):
        services.set_terms(tenant=acme, values=TERMS, actor=lead)
        for network, note in (("203.0.113.0/28", "Data centre"), ("2001:db8::5", "Berlin")):
            services.add_host(tenant=acme, network=network, note=note, actor=lead)
        services.make_login(tenant=acme, purpose="Scanners of the Berlin office", actor=lead)
        key = services.make_key(tenant=acme, domain=Domain.objects.get(), actor=lead)
        stops = [
            SenderStop.objects.create(
                tenant=acme,
                stop_ulid=f"01J0000000000000000000ST0{number}",
                gate_name="mx1",
                mailbox=CEO,
                cause="threats",
                words="5 of its mails within 10 minutes were held to be threats",
                stopped_at=timezone.now(),
                **ended,
            )
            for number, ended in enumerate(
                ({}, {"lifted_at": timezone.now(), "lifted_by": "Ana", "lift_reason": "A test"})
            )
        ]
    names = ("", "_terms", "_host", "_login", "_key")
    paths = [reverse(f"client_outbound{name}", args=["acme"]) for name in names]
    paths += [reverse(f"signing_key_{name}", args=[key.id]) for name in ("sign", "retire")]
    return [*paths, reverse("sender_stop_lift", args=[stops[0].id])]


def test_outbound_pages_can_be_used_by_everybody(in_browser, live_server, transactional_cast):
    cast = transactional_cast
    paths = fill(cast)
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.mo.email, paths) == []
