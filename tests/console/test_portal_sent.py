"""Mail that the client's own account sent and the gateway stopped, as its portal shows it."""

import pytest
from django.urls import reverse

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import ClientWord, Delivery
from incidents.words import Outcome, Place, Verdict
from tenants.scope import Role, tenant_scope
from tests.factories import gateway_saw
from tests.seg_bridge.outbound.parts import CEO, analyst, stop_the_ceo


@pytest.fixture(autouse=True)
def _portal(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.ROOT_URLCONF = "console.urls_portal"


@pytest.fixture
def as_pia(client, cast):
    client.force_login(cast.pia)
    return client


def test_what_an_account_of_theirs_sent_is_told_as_that_and_cannot_be_asked_for(as_pia, cast):
    stop_the_ceo(cast)
    with analyst(cast):
        sent = list(Delivery.objects.order_by("id"))
    assert len(sent) == 5
    for name in ("portal", "portal_held"):
        page = as_pia.get(reverse(name)).content.decode()
        assert f"Sent by <bdi>{CEO}</bdi> and not delivered" in page
        assert "Ask for it" not in page

    where = reverse("portal_held_ask", args=[sent[0].id])
    assert as_pia.get(where).status_code == 404
    assert as_pia.post(where, {"text": "It is urgent."}).status_code == 404
    with analyst(cast):
        assert not ClientWord.objects.exists()


def test_mail_that_came_can_be_asked_for_beside_mail_that_was_sent(as_pia, cast):
    stop_the_ceo(cast)
    came = {"verdict": Verdict.SPAM, "action": Outcome.HELD, "place": Place.HOLD}
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record([gateway_saw(cast.acme, "info@acme.example", **came)])
        make_sense_of_backlog(cast.acme)
        copy = Delivery.objects.get(recipient="info@acme.example")
    page = as_pia.get(reverse("portal_held")).content.decode()
    assert page.count("Ask for it") == 1
    assert reverse("portal_held_ask", args=[copy.id]) in page


def test_the_month_counts_as_come_only_what_came(as_pia, cast):
    stop_the_ceo(cast)
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record([gateway_saw(cast.acme, "info@acme.example")])
        make_sense_of_backlog(cast.acme)
    assert "1 copy of mail came." in as_pia.get(reverse("portal")).content.decode()


def test_the_console_says_of_held_mail_that_an_account_of_the_client_sent_it(
    client, cast, settings
):
    settings.ROOT_URLCONF = "console.urls"
    stop_the_ceo(cast)
    client.force_login(cast.ana)
    page = client.get(reverse("held")).content.decode()
    assert page.count("sent by an account of Acme") == 5

    with analyst(cast):
        copy = Delivery.objects.order_by("id")[0]
    page = client.get(reverse("held_release", args=[copy.id])).content.decode()
    assert "An account of Acme sent it" in page
    assert "outside Acme" in page
