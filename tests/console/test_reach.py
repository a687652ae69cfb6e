"""What is within reach is the same number on every page, in the database and in the portal."""

import pytest
from django.urls import reverse

from api_bridge.models import Connection
from console.queries.portal import threats_within_reach
from incidents.assessment import reach_filter, within_reach
from incidents.models import Delivery
from incidents.opening import refresh_incident
from incidents.words import Place
from tenants.scope import Role, tenant_scope
from tests.console.test_pages import open_phish

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def phish(cast):
    """At a client whose mailboxes can be reached: what nobody has found yet can be pulled there."""
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        Connection.objects.create(tenant=cast.acme, kind="graph")
    return open_phish(cast.acme)


@pytest.fixture
def as_ana(client, cast):
    client.force_login(cast.ana)
    return client


def put(cast, phish, **changes):
    with tenant_scope(Role.WORKER, [phish.tenant_id], provider_id=cast.provider.id):
        Delivery.objects.update(**changes)
        refresh_incident(phish)
        return Delivery.objects.filter(reach_filter()).count()


PLACES = [
    ("inbox", "delivered", True),
    ("archive", "delivered", True),
    ("other", "unknown", True),
    ("junk", "delivered", True),
    ("unknown", "delivered", True),
    ("unknown", "unknown", False),
    ("deleted", "delivered", False),
    ("quarantine", "delivered", False),
    ("gone", "delivered", False),
    ("hold", "held", False),
    ("nowhere", "rejected", False),
]


@pytest.mark.parametrize(("place", "outcome", "is_in_reach"), PLACES)
def test_the_button_and_the_question_count_the_same_copies(
    as_ana, cast, phish, place, outcome, is_in_reach
):
    found = put(cast, phish, place=place, outcome=outcome)
    assert within_reach(phish.counts) == found == is_in_reach

    page = as_ana.get(reverse("incident", args=[phish.id])).content.decode()
    question = as_ana.get(reverse("incident_pull", args=[phish.id])).context
    assert ("Pull 1 copy" in page) == is_in_reach
    assert not (is_in_reach and "Nothing is within anybody" in page)
    if is_in_reach:
        assert (question["n"], question["deleted"]) == (1, 0)
    with tenant_scope(Role.PORTAL, [phish.tenant_id]):
        assert threats_within_reach() == is_in_reach


def test_deleted_copies_go_with_the_others_and_the_question_says_so(as_ana, cast, phish):
    open_phish(cast.acme)  # a second copy of the same mail
    with tenant_scope(Role.WORKER, [phish.tenant_id]):
        first = Delivery.objects.earliest("id")
        Delivery.objects.filter(id=first.id).update(place=Place.DELETED)

    question = as_ana.get(reverse("incident_pull", args=[phish.id]))
    assert (question.context["n"], question.context["deleted"]) == (1, 1)
    assert "Copies in folders of deleted mail go with them: 1." in question.content.decode()

    put(cast, phish, place=Place.DELETED)
    question = as_ana.get(reverse("incident_pull", args=[phish.id]))
    assert (question.context["n"], question.context["deleted"]) == (2, 0)
