"""What people say holds through chains of words, later acts and mail that turns out another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from incidents import prevalence
from incidents.campaigns import store
from incidents.campaigns.ledger import standing, withdraw
from incidents.campaigns.nightly import make_canonical
from incidents.campaigns.store import forget_traits, rarity_of_traits
from incidents.campaigns.traits import traits_of
from incidents.models import (
    Campaign,
    Edge,
    Incident,
    IncidentMessage,
    Job,
    Message,
    MessageTrait,
)
from incidents.prevalence import FORGOTTEN_AFTER
from incidents.regroup import merge_incidents, move_messages, split_incident, undo_regrouping
from incidents.regroup_campaigns import join_campaign, leave_campaign
from incidents.services import assign_incident, resolve_incident
from incidents.services.quiet import quiet_incident
from tenants.errors import Conflict
from tenants.models import Person, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.incidents.campaigns.test_nightly import SENDERS, take, threat, vars_of
from tests.incidents.campaigns.test_people import numbers_by_campaign

HAND: dict[str, Any] = {"host": "evil.example", "sender": SENDERS[0]}
WHY = "another hand, told us so"


@pytest.fixture
def acme(cast: Cast) -> Iterator[Tenant]:
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        yield cast.acme


def alike(tenant: Tenant, *numbers: int) -> None:
    """Mails of one text: one incident, unless people say otherwise."""
    for number in numbers:
        seen = threat(tenant, number, **HAND, at=number)
        for one in seen:
            one.mail["shingles"] = list(range(64))
        take(tenant, *seen)


def incident_of(number: int) -> Incident:
    """Where mail ``number`` stands now."""
    message = Message.objects.get(internet_message_id=f"<{number}@x.example>")
    return Incident.objects.select_related("tenant", "campaign").get(memberships__message=message)


def mails(*numbers: int) -> list[Any]:
    names = [f"<{number}@x.example>" for number in numbers]
    return list(Message.objects.filter(internet_message_id__in=names).values_list("id", flat=True))


def split(actor: Person, *numbers: int) -> Any:
    return split_incident(
        incident=incident_of(numbers[0]), messages=mails(*numbers), actor=actor, reason=WHY
    )


def incidents() -> set[frozenset[int]]:
    """The client's incidents as sets of mail numbers."""
    found: dict[Any, set[int]] = {}
    rows = IncidentMessage.objects.values_list("incident", "message__internet_message_id")
    for incident, name in rows:
        found.setdefault(incident, set()).add(int(name[1:].partition("@")[0]))
    return {frozenset(numbers) for numbers in found.values()}


def sets(*groups: set[int]) -> set[frozenset[int]]:
    return {frozenset(group) for group in groups}


def test_who_was_split_off_stays_away_from_what_the_rest_becomes(acme: Tenant, cast: Cast):
    """Her word was that 1 is with none of the others, not only with the first of them."""
    alike(acme, 1, 2, 3, 4)
    split(cast.ana, 1)
    split(cast.bo, 2)
    make_canonical(acme)
    assert incidents() == sets({1}, {2}, {3, 4})
    alike(acme, 5)
    make_canonical(acme)
    assert len(incidents()) == 3


def test_who_was_split_off_stays_away_from_what_is_moved_on(acme: Tenant, cast: Cast):
    alike(acme, 1, 2, 3, 4)
    take(acme, *threat(acme, 9, at=9))
    split(cast.ana, 1)
    move_messages(
        incident=incident_of(2),
        target=incident_of(9),
        messages=mails(2),
        actor=cast.bo,
        reason=WHY,
    )
    make_canonical(acme)
    assert incidents() == sets({1}, {2, 9}, {3, 4})


def test_undoing_the_second_split_undoes_what_it_said_of_the_first(acme: Tenant, cast: Cast):
    alike(acme, 1, 2, 3, 4)
    first = split(cast.ana, 1)
    second = split(cast.bo, 2)
    undo_regrouping(done=second, actor=cast.bo)
    make_canonical(acme)
    assert incidents() == sets({1}, {2, 3, 4})
    undo_regrouping(done=first, actor=cast.ana)
    make_canonical(acme)
    assert incidents() == sets({1, 2, 3, 4})


def test_who_left_a_campaign_stays_away_from_what_the_rest_becomes(acme: Tenant, cast: Cast):
    for number in (1, 2, 3, 4):
        take(acme, *threat(acme, number, **HAND, at=number))
    leave_campaign(incident=incident_of(1), actor=cast.ana, reason=WHY)
    leave_campaign(incident=incident_of(2), actor=cast.bo, reason=WHY)
    assert numbers_by_campaign() == sets({1}, {2}, {3, 4})
    make_canonical(acme)
    assert numbers_by_campaign() == sets({1}, {2}, {3, 4})


def text_of(tenant: Tenant, number: int, *ranges: tuple[int, int], **changes: Any) -> None:
    seen = threat(tenant, number, **changes, at=number)
    for one in seen:
        one.mail["shingles"] = [at for start, end in ranges for at in range(start, end)]
    take(tenant, *seen)


def test_what_left_a_campaign_becomes_no_incident_with_it(acme: Tenant, cast: Cast):
    """Kept apart as campaigns, all the more as incidents, though a mail fits both."""
    text_of(acme, 1, (0, 64), **HAND)
    text_of(acme, 2, (0, 45), (245, 264), **HAND)
    assert numbers_by_campaign() == sets({1, 2})
    leave_campaign(incident=incident_of(2), actor=cast.ana, reason=WHY)
    text_of(acme, 3, (0, 54), (254, 264), **HAND)
    assert incident_of(1).id != incident_of(2).id
    make_canonical(acme)
    assert incident_of(1).id != incident_of(2).id


def test_who_puts_together_what_had_left_has_the_last_word(acme: Tenant, cast: Cast):
    for number in (1, 2, 3):
        take(acme, *threat(acme, number, **HAND, at=number))
    leave_campaign(incident=incident_of(1), actor=cast.ana, reason=WHY)
    done = merge_incidents(
        kept=incident_of(1), gone=incident_of(3), actor=cast.bo, reason="it is one after all"
    )
    make_canonical(acme)
    assert numbers_by_campaign() == sets({1, 2})
    undo_regrouping(done=done, actor=cast.bo)
    make_canonical(acme)
    assert numbers_by_campaign() == sets({1}, {2, 3})


def test_a_campaign_is_not_parted_under_what_builds_on_it(acme: Tenant, cast: Cast):
    """Who took a third out said that the others stay together: that is undone first."""
    other = {"host": "bad.example", "sender": SENDERS[1]}
    for number, hand in ((1, HAND), (2, HAND), (3, other), (4, other)):
        take(acme, *threat(acme, number, **hand, at=number))
    joined = join_campaign(
        incident=incident_of(2), other=incident_of(3), actor=cast.ana, reason=WHY
    )
    left = leave_campaign(incident=incident_of(4), actor=cast.bo, reason=WHY)
    with pytest.raises(Conflict, match="first undo what Bo did"):
        undo_regrouping(done=joined, actor=cast.ana)
    undo_regrouping(done=left, actor=cast.bo)
    undo_regrouping(done=joined, actor=cast.ana)
    make_canonical(acme)
    assert numbers_by_campaign() == sets({1, 2}, {3, 4})


def test_what_comes_back_stands_where_its_campaign_went(acme: Tenant, cast: Cast):
    """While two incidents were one, the campaign of the second was joined to another."""
    other = {"host": "bad.example", "sender": SENDERS[1]}
    for number, hand in ((5, {}), (1, HAND), (2, HAND), (3, other), (4, other)):
        take(acme, *threat(acme, number, **hand, at=number))
    done = merge_incidents(
        kept=incident_of(5), gone=incident_of(4), actor=cast.ana, reason="the same mail"
    )
    join_campaign(incident=incident_of(1), other=incident_of(3), actor=cast.bo, reason=WHY)
    undo_regrouping(done=done, actor=cast.ana)
    campaign = incident_of(4).campaign
    assert campaign is None or campaign.merged_into_id is None
    assert incident_of(4).campaign == incident_of(3).campaign
    assert Campaign.objects.filter(merged_into=None).count() == 1


def test_a_word_holds_for_the_mail_that_its_mail_turns_out_to_be(acme: Tenant, cast: Cast):
    """The gateway's account comes after people have spoken of what the mailbox had shown."""
    alike(acme, 1, 2)
    gateway, shown = threat(acme, 3, **HAND, at=3)
    for one in (gateway, shown):
        one.mail["shingles"] = list(range(64))
    take(acme, replace(shown, trace_ulid="", trace_state="missing"))
    first = split(cast.ana, 3)
    (before,) = mails(3)
    # Without an id in the account of another copy, it is not known to be of this mail.
    other: dict[str, Any] = {"recipient": "user9@acme.example", "source_key": "3/other"}
    take(acme, replace(gateway, **other, internet_message_id=""))
    take(acme, gateway)
    assert Message.objects.get(id=before).same_as_id is not None
    make_canonical(acme)
    assert len(homes()) == 2
    undo_regrouping(done=first, actor=cast.ana)
    make_canonical(acme)
    assert len(homes()) == 1


def homes() -> set[Any]:
    return set(IncidentMessage.objects.values_list("incident", flat=True))


def test_threats_of_long_ago_are_not_taken_for_harmless_mail(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch
):
    """Their traits are forgotten, few at a time, that they were threats is not: the hand comes
    back.
    """
    for number in range(1, 24):
        take(acme, *threat(acme, number, **HAND, at=number))
    long_ago = timezone.now() - FORGOTTEN_AFTER - timedelta(days=1)
    MessageTrait.objects.update(seen_at=long_ago)
    facts = Message.objects.latest("first_seen_at").facts
    trait = next(each for each in traits_of(facts) if each.kind == "url_host")
    assert rarity_of_traits(acme.id, [trait]).weighs(trait) > 0
    monkeypatch.setattr(store, "FORGET_ROWS", 9)
    while forget_traits(acme.id):
        prevalence.sweep_rare(acme.id)
    rarity = rarity_of_traits(acme.id, [trait])
    assert rarity.benign((trait.kind, trait.value)) == 0
    assert rarity.weighs(trait) > 0
    assert prevalence.counts_of(acme.id, [trait])[trait.kind, trait.value] == 23


@pytest.mark.parametrize("state", ["merged", "closed", "muted"])
def test_a_late_copy_finds_its_incident_whatever_became_of_it(acme: Tenant, cast: Cast, state: str):
    alike(acme, 1, 2)
    incident = incident_of(1)
    if state == "merged":
        take(acme, *threat(acme, 9, at=0))
        merge_incidents(kept=incident_of(9), gone=incident, actor=cast.ana, reason=WHY)
    elif state == "closed":
        resolve_incident(
            incident=incident, actor=cast.ana, classification="true_positive", cause="Pulled"
        )
    else:
        until = timezone.now() + timedelta(days=2)
        quiet_incident(incident=incident, actor=cast.ana, kind="muted", until=until, reason="known")
    alike(acme, 3)
    late = incident_of(3)
    assert late.id == incident_of(1).id
    assert late.merged_into_id is None
    assert (late.is_open, late.quiet) == (True, ""), "more of it lies in an inbox"
    make_canonical(acme)
    assert incident_of(3).id == late.id


def test_mail_that_fits_both_joins_nobody_who_left(acme: Tenant, cast: Cast):
    """At once, not only when the night has looked."""
    for number in (1, 2, 3):
        take(acme, *threat(acme, number, **HAND, at=number))
    leave_campaign(incident=incident_of(2), actor=cast.ana, reason=WHY)
    take(acme, *threat(acme, 5, **HAND, at=5))
    assert not any({1, 2} <= numbers or {2, 3} <= numbers for numbers in numbers_by_campaign())


def test_what_people_treat_as_two_stands_still_at_night(acme: Tenant, cast: Cast):
    """The same text in the hands of two people: the pass leaves it and has nothing to change."""
    alike(acme, 1, 2)
    split_done = split(cast.ana, 2)
    for number, owner in ((1, cast.ana), (2, cast.bo)):
        assign_incident(incident=incident_of(number), actor=cast.mo, owner=owner)
    undo_words = standing(Edge.Level.GROUP).filter(act=Edge.Act.CANNOT)
    withdraw(list(undo_words), who=cast.mo, reason="only their owners keep them apart")
    assert split_done.undone_at is None
    make_canonical(acme)
    assert incidents() == sets({1}, {2})
    assert not any(vars_of(make_canonical(acme)))


@pytest.mark.parametrize("work", ["owned", "shared", "triaged", "pulled"])
def test_what_a_person_works_on_is_not_torn_apart_at_night(acme: Tenant, cast: Cast, work: str):
    alike(acme, 1)
    take(acme, *threat(acme, 2, at=2))
    one, other = incident_of(1), incident_of(2)
    IncidentMessage.objects.filter(incident=other).update(incident=one)
    if work == "owned":
        assign_incident(incident=one, actor=cast.mo, owner=cast.ana)
    elif work == "pulled":
        Job.objects.create(
            tenant=acme, incident=one, kind=Job.Kind.PULL, requested_by="Ana", reason="x"
        )
    else:
        values = {"shared_at": timezone.now()} if work == "shared" else {"state": "triaged"}
        Incident.objects.filter(id=one.id).update(**values)
    assert make_canonical(acme).split == 0
    assert incidents() == sets({1, 2})
