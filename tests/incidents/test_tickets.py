"""The ticket of an incident: what may be entered, who was first, and where merging leads it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from console.api.filters import IncidentFilter
from console.queries.named import MOST, incidents_named
from console.queries.queue import Filters, fitting
from console.queries.work import work_of
from incidents.models import Incident
from incidents.models.incident import LONGEST_TICKET, LONGEST_TICKET_LINK
from incidents.regroup import merge_incidents, undo_regrouping
from incidents.services import (
    resolve_incident,
    share_incident,
    take_incident,
    unshare_incident,
)
from incidents.services.tickets import keep_ticket
from incidents.story import tell_story
from tenants.errors import Conflict, WrongInput
from tenants.models import AuditEntry
from tests.factories import Cast
from tests.incidents.work_on import open_incident, portal, staff

LINK = "https://desk.example/tickets/4711"


@pytest.fixture
def phish(cast: Cast) -> Incident:
    return open_incident(cast.acme)


@pytest.fixture
def other(cast: Cast) -> Incident:
    return open_incident(cast.acme, 2)


def fresh(incident: Incident) -> Incident:
    return Incident.objects.select_related("tenant").get(id=incident.id)


def enter(cast: Cast, incident: Incident, ticket: str, link: str = "") -> None:
    keep_ticket(incident=fresh(incident), actor=cast.ana, ticket=ticket, link=link)


def found(ticket: str) -> set[UUID]:
    rows = IncidentFilter({"ticket": ticket}, Incident.objects.all()).qs
    return set(rows.values_list("id", flat=True))


def test_what_was_entered_stands_is_on_record_and_in_the_story(cast, phish):
    with staff(cast):
        keep_ticket(incident=phish, actor=cast.ana, ticket=" T-4711 ", link=LINK, revision=0)
        enter(cast, phish, "")
        now = fresh(phish)
        told = [line.lead for line in tell_story(now).lines]
        entries = AuditEntry.objects.filter(action="incidents.incident.ticket_changed")
        first = entries.order_by("at").values_list("detail", flat=True)[0]
    assert (now.ticket, now.ticket_link, now.revision) == ("", "", 2)
    assert told.index("Ana entered ticket T-4711.") < told.index("Ana took ticket T-4711 off it.")
    assert first == {
        "before": "",
        "after": "T-4711",
        "link_before": "",
        "link": LINK,
        "revision": 1,
    }


def test_the_story_tells_an_entry_from_a_change_of_the_number_or_of_its_link_alone(cast, phish):
    with staff(cast):
        enter(cast, phish, "T-1", LINK)
        enter(cast, phish, "T-1")
        enter(cast, phish, "T-1", LINK)
        enter(cast, phish, "T-2", LINK + "2")
        enter(cast, phish, "")
        told = [line.lead for line in tell_story(fresh(phish)).lines if "ticket" in line.lead]
        entries = AuditEntry.objects.filter(action="incidents.incident.ticket_changed")
        links = [
            (entry.detail["link_before"], entry.detail["link"]) for entry in entries.order_by("at")
        ]
    assert told == [
        "Ana entered ticket T-1.",
        "Ana took the link of ticket T-1 off it.",
        "Ana changed the link of ticket T-1.",
        "Ana changed ticket T-1 to T-2.",
        "Ana took ticket T-2 off it.",
    ]
    assert links == [("", LINK), (LINK, ""), ("", LINK), (LINK, LINK + "2"), (LINK + "2", "")]


def test_what_stands_already_is_no_change(cast, phish):
    with staff(cast):
        enter(cast, phish, "T-4711", LINK)
        enter(cast, phish, "T-4711 ", LINK)
        assert fresh(phish).revision == 1
        assert AuditEntry.objects.filter(action="incidents.incident.ticket_changed").count() == 1


@pytest.mark.parametrize(
    ("ticket", "link", "sentence"),
    [
        ("T\n1", "", "one line"),
        ("T\u202e1", "", "one line"),
        ("T" * (LONGEST_TICKET + 1), "", "one line"),
        ("", LINK, "number, too"),
        ("T", "javascript:alert(1)", "begins with https"),
        ("T", "data:text/html,x", "begins with https"),
        ("T", "//desk.example/1", "begins with https"),
        ("T", "https:///1", "begins with https"),
        ("T", "https://[desk/1", "begins with https"),
        ("T", "https://desk.example:port/1", "begins with https"),
        ("T", "https://ana:secret@desk.example/1", "user name"),
        ("T", "https://desk.example/a b", "one line"),
        ("T", "https://desk.example/\u202e", "one line"),
        ("T", "https://d.example/" + "x" * LONGEST_TICKET_LINK, "one line"),
    ],
)
def test_what_is_no_ticket_is_refused_and_nothing_changes(cast, phish, ticket, link, sentence):
    with staff(cast):
        with pytest.raises(WrongInput, match=sentence):
            enter(cast, phish, ticket, link)
        now = fresh(phish)
    assert (now.ticket, now.ticket_link, now.revision) == ("", "", 0)


def test_the_second_is_told_that_the_first_changed_the_ticket(cast, phish):
    with staff(cast):
        enter(cast, phish, "T-1")
        with pytest.raises(Conflict, match="Ana changed the ticket at"):
            take_incident(incident=fresh(phish), actor=cast.bo, revision=0)
        with pytest.raises(Conflict, match="Nothing of yours was done"):
            keep_ticket(incident=fresh(phish), actor=cast.bo, ticket="T-2", link="", revision=0)
        assert fresh(phish).ticket == "T-1"


def test_a_merge_takes_the_ticket_along_and_undoing_gives_it_back(cast, phish):
    other = open_incident(cast.acme, 2)
    with staff(cast):
        enter(cast, other, "T-2", LINK)
        done = merge_incidents(
            kept=fresh(phish), gone=fresh(other), actor=cast.ana, reason="one attack"
        )
        assert (fresh(phish).ticket, fresh(phish).ticket_link) == ("T-2", LINK)
        assert found("t-2") == {phish.id}
        undo_regrouping(done=done, actor=cast.ana)
        assert (fresh(phish).ticket, fresh(other).ticket) == ("", "T-2")
        assert found("T-2") == {other.id}


def test_of_two_tickets_both_lead_to_the_one_incident_and_its_page_shows_both(cast, phish):
    other = open_incident(cast.acme, 2)
    with staff(cast):
        enter(cast, phish, "T-1")
        enter(cast, other, "T-2")
        merge_incidents(kept=fresh(phish), gone=fresh(other), actor=cast.ana, reason="one attack")
        kept = fresh(phish)
        assert kept.ticket == "T-1"
        assert [each.ticket for each in work_of(kept).other_tickets] == ["T-2"]
        assert found("T-1") == found("T-2") == {phish.id}
        assert [each.id for each in incidents_named("T-2")] == [phish.id]


def test_a_number_names_incidents_and_tickets_open_or_not(cast, phish):
    elsewhere = open_incident(cast.globex, 2)
    with staff(cast):
        enter(cast, elsewhere, str(phish.number))
        resolve_incident(
            incident=fresh(phish), actor=cast.ana, classification="benign", cause="A letter"
        )
        named = {each.id for each in incidents_named(f"{phish.number}")}
        same_number = elsewhere.number == phish.number
    assert same_number, "each client counts for itself"
    assert named == {phish.id, elsewhere.id}
    with staff(cast, cast.acme):
        assert {each.id for each in incidents_named(f"#{phish.number}")} == {phish.id}
    with portal(cast.acme):
        assert incidents_named("nothing such") == []


def test_of_many_incidents_of_one_ticket_each_filter_finds_its_own(cast):
    """The oldest is the only open one, and the only one of its client."""
    incidents = [open_incident(cast.globex, 1)]
    incidents += [open_incident(cast.acme, number) for number in range(2, 16)]
    oldest, closed = incidents[0], incidents[1:]
    with staff(cast):
        for each in incidents:
            enter(cast, each, "T-7")
        for each in closed:
            resolve_incident(
                incident=fresh(each), actor=cast.ana, classification="benign", cause="A letter"
            )
        team = fitting("team", cast.ana, Filters(q="t-7"))
        assert [each.id for each in team] == [oldest.id]
        every = IncidentFilter({"ticket": "T-7"}, Incident.objects.all()).qs
        assert {each.id for each in every} == {each.id for each in incidents}
        still_open = {"ticket": "T-7", "is_open": "true"}
        assert [each.id for each in IncidentFilter(still_open, Incident.objects.all()).qs] == [
            oldest.id
        ]
        at_globex = {"ticket": "T-7", "tenant": cast.globex.slug}
        assert [each.id for each in IncidentFilter(at_globex, Incident.objects.all()).qs] == [
            oldest.id
        ]
        assert len(incidents_named("T-7")) == MOST, "the list of what stands elsewhere is short"


def test_what_was_merged_under_one_ticket_is_named_once(cast, phish, other):
    third, fourth = open_incident(cast.acme, 3), open_incident(cast.acme, 4)
    with staff(cast):
        enter(cast, phish, "T-1")
        for each, ticket in ((other, "T-2"), (third, "T-3"), (fourth, "T-2")):
            enter(cast, each, ticket)
            merge_incidents(
                kept=fresh(phish), gone=fresh(each), actor=cast.ana, reason="one attack"
            )
        told = [(each.ticket, each.number) for each in work_of(fresh(phish)).other_tickets]
    assert told == [("T-2", other.number), ("T-3", third.number)]


def test_a_ticket_leads_over_several_merges_to_where_the_mail_is(cast, phish):
    second, third = open_incident(cast.acme, 2), open_incident(cast.acme, 3)
    with staff(cast):
        enter(cast, third, "T-3")
        merge_incidents(kept=fresh(second), gone=fresh(third), actor=cast.ana, reason="one attack")
        enter(cast, second, "T-2")
        merge_incidents(kept=fresh(phish), gone=fresh(second), actor=cast.ana, reason="one attack")
        assert found("T-3") == found("T-2") == {phish.id}


def stands(incident: Incident) -> tuple[str, str]:
    now = fresh(incident)
    return now.ticket, now.ticket_link


PAIR = st.tuples(st.sampled_from(["T-1", "T-2", ""]), st.sampled_from([1, 2, 0]))
# What is entered on both, then on the merged one before that is undone; several times over.
ROUNDS = st.lists(
    st.tuples(PAIR, PAIR, st.lists(PAIR, min_size=1, max_size=2)), min_size=1, max_size=3
)


# The cast stays the same from one example to the next: what each made is rolled back.
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rounds=ROUNDS)
@example(rounds=[(("", 0), ("T-1", 1), [("T-1", 2)])])
@example(rounds=[(("", 0), ("T-1", 1), [("T-1", 0)])])
@example(rounds=[(("", 0), ("T-1", 0), [("T-1", 1)])])
@example(rounds=[(("", 0), ("T-1", 1), [("T-2", 0)])])
def test_number_and_link_belong_together_whatever_is_merged_undone_and_entered(
    cast: Cast, phish: Incident, other: Incident, rounds: list[Any]
):
    """And what somebody entered after the merge stands when it is undone."""
    with staff(cast):
        mark = transaction.savepoint()
        for of_kept, of_gone, later in rounds:
            before = [_enter_pair(cast, phish, *of_kept), _enter_pair(cast, other, *of_gone)]
            done = merge_incidents(
                kept=fresh(phish), gone=fresh(other), actor=cast.ana, reason="one attack"
            )
            left = stands(phish)
            assert left == (before[0] if before[0][0] else before[1])
            hers = [_enter_pair(cast, phish, *pair) for pair in later][-1]
            undo_regrouping(done=done, actor=cast.ana)
            assert stands(phish) == (before[0] if hers == left else hers)
            assert stands(other) == before[1]
        transaction.savepoint_rollback(mark)


def _enter_pair(cast: Cast, incident: Incident, ticket: str, desk: int) -> tuple[str, str]:
    """``desk`` 0: no link.  Answers how it stands then."""
    link = f"https://desk{desk}.example/{ticket}" if ticket and desk else ""
    enter(cast, incident, ticket, link)
    assert stands(incident) == (ticket, link)
    return ticket, link


def test_who_shared_it_anew_after_a_merge_stays_its_sharer_when_that_is_undone(cast, phish, other):
    with staff(cast):
        share_incident(incident=fresh(other), actor=cast.ana)
        done = merge_incidents(
            kept=fresh(phish), gone=fresh(other), actor=cast.ana, reason="one attack"
        )
        unshare_incident(incident=fresh(phish), actor=cast.ana)
        share_incident(incident=fresh(phish), actor=cast.ana)
        shared_at = fresh(phish).shared_at
        undo_regrouping(done=done, actor=cast.ana)
        assert (fresh(phish).shared_at, fresh(phish).shared_by) == (shared_at, "Ana")
