"""Who may release depends on the verdict, whatever the door: verdict × role × door."""

from __future__ import annotations

import itertools

import pytest
from django.urls import reverse

from incidents.correlation import make_sense_of_backlog
from incidents.held import release_together
from incidents.intake import record
from incidents.models import Delivery, Intent
from incidents.release_rights import ActsAs
from incidents.remediation import release_held
from incidents.words import Outcome, Place, Verdict
from seg_bridge.models import PolicyLayer
from seg_bridge.policies.keys import NOT_SCANNED
from tenants.audit import BAILEY
from tenants.errors import NotAllowed
from tenants.models import Domain, Mailbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, state_policy
from tests.seg_bridge.conftest import make_gate

pytestmark = pytest.mark.usefixtures("no_broker")

# What Bailey's own policy says: from whom on each may be released.
LEAST = {
    Verdict.CLEAN: "client",
    Verdict.GRAYMAIL: "client",
    Verdict.SPAM: "client",
    Verdict.SUSPICIOUS: "help_desk",
    NOT_SCANNED: "help_desk",
    Verdict.PHISH: "analyst",
    Verdict.BEC: "analyst",
    Verdict.UNSCANNABLE: "analyst",
    Verdict.MALWARE: "lead",
}
MAY = {
    "client": {"client"},
    "ana": {"client", "help_desk", "analyst"},
    "mo": {"client", "help_desk", "analyst", "lead"},
}
_numbers = itertools.count(1)


@pytest.fixture
def gated(cast: Cast) -> Cast:
    make_gate(cast, cast.acme, cast.globex)
    return cast


def scope(cast: Cast):
    return tenant_scope(Role.ANALYST, [cast.acme.id, cast.globex.id], provider_id=cast.provider.id)


def hold(cast: Cast, row: str, *, count: int = 1, to: str = "info@acme.example") -> list[Delivery]:
    """``count`` mails that the gateway holds with this word."""
    numbers = [next(_numbers) for _ in range(count)]
    seen = [
        gateway_saw(
            cast.acme,
            to,
            ulid=f"01J{n:023d}",
            internet_message_id=f"<{n}@evil.example>",
            fingerprint=f"{n:032x}",
            verdict=None if row == NOT_SCANNED else row,
            action=Outcome.HELD,
            place=Place.HOLD,
        )
        for n in numbers
    ]
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record(seen)
        make_sense_of_backlog(cast.acme)
        ulids = [each.trace_ulid for each in seen]
        return list(Delivery.objects.filter(message__trace_ulid__in=ulids))


def was_ordered(copy: Delivery, cast: Cast) -> bool:
    with scope(cast):
        return Intent.objects.filter(delivery=copy, action="release").exists()


@pytest.mark.parametrize("row", LEAST)
def test_console_and_api_release_what_the_policy_gives_to_this_role(row, gated: Cast, client):
    copies = iter(hold(gated, row, count=4))
    for who in ("ana", "mo"):
        client.force_login(getattr(gated, who))
        may = LEAST[row] in MAY[who]
        copy = next(copies)
        question = client.get(reverse("held_release", args=[copy.id])).content.decode()
        assert ('name="reason"' in question) is may, (who, row)
        answer = client.post(reverse("held_release", args=[copy.id]), {"reason": "It is safe"})
        assert (answer.status_code, was_ordered(copy, gated)) == ((302 if may else 403), may)

        copy = next(copies)
        answer = client.post(
            f"/api/v1/held/{copy.id}/release",
            {"reason": "It is safe"},
            content_type="application/json",
        )
        assert (answer.status_code, was_ordered(copy, gated)) == ((202 if may else 403), may)


def test_the_service_itself_refuses_whoever_comes(gated: Cast):
    (spam,), (phish,) = hold(gated, Verdict.SPAM), hold(gated, Verdict.PHISH)
    with scope(gated):
        with pytest.raises(NotAllowed, match="analysts and leads"):
            release_held(delivery=phish, actor=ActsAs("Pia", "client"))
        with pytest.raises(NotAllowed):
            release_held(delivery=phish, actor=gated.pia)
        with pytest.raises(NotAllowed):
            release_held(delivery=spam, actor=BAILEY)
        assert not Intent.objects.exists()
        release_held(delivery=spam, actor=gated.pia)
    assert was_ordered(spam, gated)


def test_what_nobody_may_release_a_lead_may_not_either(gated: Cast):
    (copy,) = hold(gated, Verdict.PHISH)
    with scope(gated):
        state_policy(gated.acme, release_phish="nobody")
        with pytest.raises(NotAllowed, match=r"Phishing is released by nobody .policy of Acme."):
            release_held(delivery=copy, actor=gated.mo)


def test_every_layers_word_counts_and_the_gravest_decides(gated: Cast):
    (copy,) = hold(gated, Verdict.SPAM)
    with scope(gated):
        Delivery.objects.filter(id=copy.id).update(person_verdict=Verdict.MALWARE)
        with pytest.raises(NotAllowed, match="Malware"):
            release_held(delivery=copy, actor=gated.ana)


def test_a_mailboxs_own_policy_counts_also_for_its_alias(gated: Cast):
    (copy,) = hold(gated, Verdict.SPAM, to="boss@acme.example")
    (other,) = hold(gated, Verdict.SPAM)
    with scope(gated):
        box = Mailbox.objects.get(address="ceo@acme.example")
        Mailbox.objects.filter(id=box.id).update(aliases=["boss@acme.example"])
        assert box.domain_id == Domain.objects.get(name="acme.example").id
        PolicyLayer.objects.create(
            provider=gated.provider,
            tenant=gated.acme,
            level=PolicyLayer.Level.MAILBOX,
            mailbox=box,
            stated={"release.spam": {"value": "lead"}},
            changed_by="Mo",
        )
        with pytest.raises(NotAllowed, match="leads only"):
            release_held(delivery=copy, actor=gated.ana)
        release_held(delivery=other, actor=gated.ana)


def test_one_that_is_not_hers_stops_the_release_of_several(gated: Cast, client):
    first, second = hold(gated, Verdict.SPAM, count=2)
    with scope(gated):
        Delivery.objects.filter(id=second.id).update(mailbox_verdict=Verdict.MALWARE)
        with pytest.raises(NotAllowed):
            release_together(delivery=first, also=[second.id], actor=gated.ana)
        assert not Intent.objects.exists()
    client.force_login(gated.ana)
    page = client.get(reverse("held_release", args=[first.id])).content.decode()
    assert str(second.id) not in page
    client.force_login(gated.mo)
    page = client.get(reverse("held_release", args=[first.id])).content.decode()
    assert str(second.id) in page
