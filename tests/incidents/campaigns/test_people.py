"""What people say of campaigns, undoing it, and why in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from incidents.campaigns.explain import why_in_campaign, why_in_incident
from incidents.campaigns.ledger import standing
from incidents.campaigns.moving import message_ids_of
from incidents.campaigns.nightly import make_canonical
from incidents.campaigns.words import how_rare, say_all, say_part
from incidents.models import Campaign, Edge, Incident
from incidents.regroup import merge_incidents, split_incident, undo_regrouping
from incidents.regroup_campaigns import join_campaign, leave_campaign
from tenants.errors import Conflict, WrongInput
from tenants.models import AuditEntry, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.incidents.campaigns.test_nightly import SENDERS, take, threat, vars_of

HAND: dict[str, Any] = {"host": "evil.example", "sender": SENDERS[0]}


@pytest.fixture
def acme(cast: Cast) -> Iterator[Tenant]:
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        yield cast.acme


@pytest.fixture
def three(acme: Tenant) -> list[Incident]:
    """Three incidents of one hand, and a fourth by itself."""
    for number in (1, 2, 3):
        take(acme, *threat(acme, number, **HAND, at=number))
    take(acme, *threat(acme, 4, at=4))
    return list(Incident.objects.order_by("number"))


def numbers_by_campaign() -> set[frozenset[int]]:
    found: dict[Any, set[int]] = {}
    for incident in Incident.objects.filter(merged_into=None):
        found.setdefault(incident.campaign_id or incident.id, set()).add(incident.number)
    return {frozenset(numbers) for numbers in found.values()}


def as_it_stands() -> Any:
    edges = standing().values_list("level", "act", "a", "b", "kind", "value", "who")
    return numbers_by_campaign(), sorted(edges, key=str)


def test_taken_out_stays_out_and_undo_puts_it_back(acme: Tenant, three: list[Incident], cast: Cast):
    before = as_it_stands()
    done = leave_campaign(incident=three[1], actor=cast.ana, reason="only the same server")
    assert numbers_by_campaign() == {frozenset({1, 3}), frozenset({2}), frozenset({4})}
    take(acme, *threat(acme, 5, **HAND, at=5))
    make_canonical(acme)
    assert any(2 not in numbers and {1, 3} <= numbers for numbers in numbers_by_campaign())
    undo_regrouping(done=done, actor=cast.ana)
    make_canonical(acme)
    assert frozenset({1, 2, 3, 5}) in numbers_by_campaign()
    assert before[0] == {frozenset({1, 2, 3}), frozenset({4})}


@pytest.mark.parametrize("act", ["leave", "join"])
def test_undo_at_once_restores_the_state(acme: Tenant, three: list[Incident], cast: Cast, act: str):
    before = as_it_stands()
    why: dict[str, Any] = {"actor": cast.ana, "reason": "told us so"}
    if act == "leave":
        done = leave_campaign(incident=three[1], **why)
    else:
        done = join_campaign(incident=three[0], other=three[3], **why)
    assert as_it_stands() != before
    undo_regrouping(done=done, actor=cast.ana)
    assert as_it_stands() == before


def test_joined_by_a_person_stays_joined(acme: Tenant, three: list[Incident], cast: Cast):
    join_campaign(incident=three[0], other=three[3], actor=cast.ana, reason="told us so")
    assert not any(vars_of(make_canonical(acme)))
    assert numbers_by_campaign() == {frozenset({1, 2, 3, 4})}
    assert AuditEntry.objects.filter(action="incidents.campaign.joined").count() == 1
    with pytest.raises(Conflict):
        join_campaign(incident=three[1], other=three[3], actor=cast.ana, reason="once more")


def test_two_campaigns_joined_and_parted_keep_their_numbers(acme: Tenant, cast: Cast):
    other = {"host": "bad.example", "sender": SENDERS[1]}
    for number, hand in ((1, HAND), (2, HAND), (3, other), (4, other)):
        take(acme, *threat(acme, number, **hand, at=number))
    one, _, third, _ = Incident.objects.order_by("number")
    before = as_it_stands()
    done = join_campaign(incident=one, other=third, actor=cast.ana, reason="the same hand")
    assert Campaign.objects.get(number=2).merged_into == Campaign.objects.get(number=1)
    undo_regrouping(done=done, actor=cast.ana)
    assert as_it_stands() == before
    assert Campaign.objects.get(number=2).merged_into is None


def test_merging_incidents_of_two_campaigns_joins_these(acme: Tenant, cast: Cast):
    other = {"host": "bad.example", "sender": SENDERS[1]}
    for number, hand in ((1, HAND), (2, HAND), (3, other), (4, other)):
        take(acme, *threat(acme, number, **hand, at=number))
    one, _, third, _ = Incident.objects.order_by("number")
    before = as_it_stands()
    done = merge_incidents(kept=one, gone=third, actor=cast.ana, reason="the same mail")
    assert numbers_by_campaign() == {frozenset({1, 2, 4})}
    undo_regrouping(done=done, actor=cast.ana)
    assert as_it_stands() == before


def test_an_incident_alone_has_no_campaign_to_leave(
    acme: Tenant, three: list[Incident], cast: Cast
):
    with pytest.raises(WrongInput, match="in no campaign"):
        leave_campaign(incident=three[3], actor=cast.ana, reason="another hand")


def test_why_names_the_values_and_how_rare_they_are(acme: Tenant, three: list[Incident]):
    said = [tie.sentence for tie in why_in_campaign(three[1])]
    assert said
    assert all("links to evil.example (in " in each for each in said)
    assert all("the sender a@crook.example" in each for each in said)
    assert "of 3 mails" in said[0] or "of 2 mails" in said[0]


def test_a_persons_word_is_said_with_her_name(acme: Tenant, three: list[Incident], cast: Cast):
    done = merge_incidents(kept=three[0], gone=three[3], actor=cast.ana, reason="told us so.")
    (sentence,) = {each for why in why_in_incident(done.incident).values() for each in why}
    assert sentence == "Ana put them together: told us so."


def test_sentences():
    assert how_rare(4, 81_233) == "4 of 81,233 mails"
    assert how_rare(None, 5) == ""
    assert say_part("iban", "DE89370400440532013000", 2, 9, "") == (
        "the bank account ending 3000 (in 2 of 9 mails)"
    )
    assert say_part("text", "", None, None, "87%") == "nearly the same text (87% alike)"
    assert say_all(["a", "b", "c"]) == "a, b and c"


def test_edges_know_their_level(acme: Tenant, three: list[Incident]):
    assert set(standing().values_list("level", flat=True)) == {Edge.Level.CAMPAIGN.value}


@pytest.mark.parametrize("act", ["split", "join"])
def test_numbers_are_held_before_incidents(
    acme: Tenant, three: list[Incident], cast: Cast, act: str
):
    """Else two people who give a number at once would both give the next one."""
    with CaptureQueriesContext(connection) as queries:
        if act == "split":
            merge_incidents(kept=three[0], gone=three[1], actor=cast.ana, reason="one hand")
            queries.initial_queries = len(connection.queries_log)
            split_incident(
                incident=three[0],
                messages=message_ids_of(three[0])[1:],
                actor=cast.ana,
                reason="two hands",
            )
        else:
            join_campaign(incident=three[0], other=three[3], actor=cast.ana, reason="one hand")
    said = [query["sql"] for query in queries]
    numbers = next(at for at, sql in enumerate(said) if "incidents.turn" in sql)
    held = next(at for at, sql in enumerate(said) if "FOR UPDATE" in sql)
    assert numbers < held
