"""Snoozed, muted, suppressed: out of the way, never lost, awake when it matters."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from console.queries.queue import tab_counts
from incidents.models import Incident, Quiet
from incidents.opening import refresh_incident
from incidents.regroup import merge_incidents, undo_regrouping
from incidents.services import resolve_incident
from incidents.services.quiet import (
    add_suppression,
    follow_quiet,
    quiet_incident,
    remove_suppression,
    rule_for,
    wake_incident,
)
from incidents.services.waiting import stop_waiting, wait_for
from tenants.errors import Conflict, WrongInput
from tenants.models import AuditEntry
from tests.factories import Cast
from tests.incidents.work_on import arrive, open_incident, staff

DAY = timedelta(days=1)


@pytest.fixture
def phish(cast: Cast) -> Incident:
    return open_incident(cast.acme)


def put_aside(incident: Incident, cast: Cast, kind: str, length: timedelta = DAY) -> None:
    quiet_incident(
        incident=incident,
        actor=cast.ana,
        kind=kind,
        until=timezone.now() + length,
        reason="Tomorrow",
    )


def counts(cast: Cast) -> tuple[int, int]:
    """Incidents that need Ana, and quiet ones."""
    found = tab_counts(cast.ana)
    return found["mine"], found["quiet"]


@pytest.mark.parametrize("kind", ["snoozed", "muted"])
def test_it_leaves_the_way_and_is_counted(cast, phish, kind):
    with staff(cast):
        assert counts(cast) == (1, 0)
        put_aside(phish, cast, kind)
        assert counts(cast) == (0, 1)


@pytest.mark.parametrize("kind", ["snoozed", "muted"])
def test_more_within_reach_wakes_it_and_says_why(cast, phish, kind):
    with staff(cast):
        put_aside(phish, cast, kind)
    arrive(cast.acme, whom="it")
    with staff(cast):
        assert counts(cast) == (1, 0)
        assert "More" in Quiet.objects.get().ended_why
        woken = AuditEntry.objects.get(action="incidents.incident.woken")
        assert woken.actor_name == "Bailey"


def test_facts_that_change_nothing_let_it_sleep(cast, phish):
    with staff(cast):
        put_aside(phish, cast, "snoozed")
        refresh_incident(Incident.objects.get(id=phish.id))
        assert counts(cast) == (0, 1)


def test_it_comes_back_when_its_time_is_over(cast, phish):
    with staff(cast):
        put_aside(phish, cast, "muted", timedelta(hours=4))
        with time_machine.travel(timezone.now() + timedelta(hours=5), tick=True):
            assert counts(cast) == (1, 0)
            refresh_incident(Incident.objects.get(id=phish.id))
            assert Quiet.objects.get().ended_why == "Its time is over."


def test_a_person_brings_it_back(cast, phish):
    with staff(cast):
        put_aside(phish, cast, "muted")
        wake_incident(incident=phish, actor=cast.bo)
        assert counts(cast) == (1, 0)
        with pytest.raises(Conflict):
            wake_incident(incident=phish, actor=cast.bo)


def test_what_is_back_by_itself_is_not_brought_back_once_more(cast, phish):
    with staff(cast):
        put_aside(phish, cast, "snoozed", timedelta(hours=4))
        with (
            time_machine.travel(timezone.now() + timedelta(hours=5), tick=True),
            pytest.raises(Conflict, match="not quiet"),
        ):
            wake_incident(incident=phish, actor=cast.bo)


@pytest.mark.parametrize(
    ("reason", "length"),
    [("", DAY), ("  ", DAY), ("Why not", -DAY), ("For ever", timedelta(days=1000))],
)
def test_silence_needs_a_reason_and_an_end(cast, phish, reason, length):
    until = timezone.now() + length
    with staff(cast), pytest.raises(WrongInput):
        quiet_incident(incident=phish, actor=cast.ana, kind="muted", until=until, reason=reason)


def silence(cast: Cast, match: str, value: str, length: timedelta = DAY):
    return add_suppression(
        tenant=cast.acme,
        actor=cast.ana,
        match=match,
        value=value,
        reason="Known",
        ends_at=timezone.now() + length,
    )


@pytest.mark.parametrize(
    ("match", "value", "is_quiet"),
    [
        ("sender", "eve@evil.example", True),
        ("sender", "Eve@Evil.example", True),
        ("domain", "evil.example", True),
        ("kind", "phish", True),
        ("domain", "vil.example", False),
        ("kind", "malware", False),
        ("sender", "bob@evil.example", False),
    ],
)
def test_a_rule_silences_what_is_alike_and_nothing_else(cast, match, value, is_quiet):
    with staff(cast):
        rule = silence(cast, match, value)
    incident = open_incident(cast.acme)
    assert bool(incident.quiet) == is_quiet
    with staff(cast):
        assert rule.quiets.count() == int(is_quiet)
        assert counts(cast) == ((0, 1) if is_quiet else (1, 0))


def test_a_rule_of_one_client_is_no_rule_of_another(cast):
    with staff(cast):
        silence(cast, "kind", "phish")
    assert not open_incident(cast.globex).quiet


def test_a_rule_does_not_silence_what_was_open_before_it(cast, phish):
    with staff(cast):
        silence(cast, "sender", phish.sender)
    arrive(cast.acme, whom="it")
    with staff(cast):
        assert counts(cast) == (1, 0)


def test_what_a_rule_silenced_wakes_and_is_not_silenced_again(cast):
    with staff(cast):
        silence(cast, "kind", "phish")
    open_incident(cast.acme)
    arrive(cast.acme, whom="it")
    arrive(cast.acme, whom="ceo")
    with staff(cast):
        assert counts(cast) == (1, 0)
        assert Quiet.objects.count() == 1


def test_a_rule_ends_by_its_time_or_by_a_person(cast):
    with staff(cast):
        removed = silence(cast, "kind", "phish")
        remove_suppression(rule=removed, actor=cast.bo)
        with pytest.raises(Conflict):
            remove_suppression(rule=removed, actor=cast.bo)
        silence(cast, "kind", "phish", timedelta(minutes=1))
    with time_machine.travel(timezone.now() + timedelta(minutes=2), tick=True):
        assert not open_incident(cast.acme).quiet


def test_a_rule_by_domain_never_silences_fraud(cast):
    incident = open_incident(cast.acme)
    with staff(cast):
        silence(cast, "domain", "evil.example")
        for kind in ("bec", "malware", "account"):
            incident.kind, incident.quiet = kind, ""
            assert rule_for(incident) is None
        incident.kind = "spam"
        assert rule_for(incident)


def test_resolving_ends_the_silence(cast, phish):
    with staff(cast):
        put_aside(phish, cast, "muted")
        resolve_incident(incident=phish, actor=cast.ana, classification="benign", cause="A letter")
        assert (phish.quiet, Quiet.objects.get().ended_why) == ("", "It was resolved.")


def test_what_a_rule_by_sender_silenced_wakes_as_soon_as_it_is_fraud(cast):
    with staff(cast):
        silence(cast, "sender", "eve@evil.example")
    incident = open_incident(cast.acme)
    assert incident.quiet == "suppressed"
    with staff(cast):
        incident.kind = "bec"
        follow_quiet(incident)
        assert incident.quiet == ""
        assert Quiet.objects.get().ended_why.startswith("It is ")


@pytest.mark.parametrize("gone_is_quiet", [True, False])
def test_silence_does_not_go_over_to_what_it_is_merged_into(cast, phish, gone_is_quiet):
    """The one that stays is loud, and its clocks run; undone, each is as quiet as it was."""
    other = open_incident(cast.acme, 2)
    with staff(cast):
        put_aside(other if gone_is_quiet else phish, cast, "muted")
        before = list(Incident.objects.order_by("number").values("quiet", "quiet_until", "due_at"))
        done = merge_incidents(kept=phish, gone=other, actor=cast.ana, reason="One letter")
        kept = Incident.objects.get(id=phish.id)
        assert counts(cast) == (1, 0)
        assert kept.due_at is not None
        assert kept.due_at < timezone.now() + DAY
        undo_regrouping(done=done, actor=cast.ana)
        after = list(Incident.objects.order_by("number").values("quiet", "quiet_until", "due_at"))
        assert after == before
        assert counts(cast) == (1, 1)
        assert Quiet.objects.get().ended_at is None


def test_a_clock_that_stood_still_for_one_did_not_for_what_it_went_into(cast, phish):
    other = open_incident(cast.acme, 2)
    with staff(cast):
        for_answer = {"incident": other, "actor": cast.ana, "cause": "client_answer"}
        wait_for(**for_answer, asked="Who paid?")
        stop_waiting(incident=other, actor=cast.ana, answer="Nobody.")
        due_at = Incident.objects.get(id=phish.id).due_at
        merge_incidents(kept=phish, gone=other, actor=cast.ana, reason="One letter")
        assert Incident.objects.get(id=phish.id).due_at == due_at
