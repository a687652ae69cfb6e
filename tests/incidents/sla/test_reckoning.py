"""An incident's own times: what is due, what stops the clocks, what was kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone

from console.queries.sla import attestation, due_within, targets_behind
from incidents.models import Incident, Pause, Quiet, SlaPlan
from incidents.remediation import pull_incident
from incidents.services import (
    assign_incident,
    reopen_incident,
    resolve_incident,
    take_incident,
)
from incidents.services.quiet import add_suppression, quiet_incident
from incidents.services.waiting import stop_waiting, wait_for
from incidents.sla.attest import standstills
from incidents.sla.clock import due_at
from incidents.sla.plan import BUILT_IN_TARGETS, WORKING_WEEK, Target, agree, plan_for
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.ids import new_id
from tests.factories import Cast
from tests.incidents.work_on import arrive, open_incident, staff

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
# Monday, 8 in Berlin: an hour before the office opens.
MONDAY = datetime(2026, 11, 23, 7, tzinfo=UTC)
BUSINESS = {
    severity: {"triage": 60, "contain": 120, "resolve": 480, "hours": "business"}
    for severity in ("critical", "high", "medium", "low")
}


ONE_HOUR: list[list[list[str]]] = [[["09:00", "10:00"]], *([] for _ in range(6))]
LONGEST = BUSINESS | {"low": BUSINESS["low"] | {"resolve": 92 * 24 * 60}}


def agreed(cast: Cast, targets=BUSINESS, tenant="acme", **changes) -> SlaPlan:
    values = {
        "provider_id": cast.provider.id,
        "tenant": getattr(cast, tenant) if tenant else None,
        "name": "Office hours",
        "time_zone": "Europe/Berlin",
        "weekly": WORKING_WEEK,
        "holidays": [],
        "targets": targets,
        "actor": cast.mo,
    }
    return agree(**values | changes)


def fresh(incident: Incident) -> Incident:
    return Incident.objects.select_related("tenant").get(id=incident.id)


def due_of(incident: Incident) -> datetime:
    assert incident.due_at is not None
    return incident.due_at


def test_a_lead_agrees_and_nobody_sets_her_own_times(cast):
    with staff(cast):
        for tenant in ("", "acme"):
            with pytest.raises(NotAllowed, match="A lead agrees"):
                agreed(cast, tenant=tenant, actor=cast.ana)
        assert agreed(cast, tenant="acme").created_by == "Mo"
        assert agreed(cast, tenant="").tenant is None


def test_without_an_agreement_baileys_own_times_hold(cast):
    incident = open_incident(cast.acme)
    agreed_minutes = BUILT_IN_TARGETS[incident.severity]["triage"]
    assert incident.due_for == "triage"
    assert incident.due_at == incident.opened_at + agreed_minutes * MINUTE


def test_the_next_clock_is_due_when_one_was_met(cast):
    incident = open_incident(cast.acme)
    with staff(cast):
        take_incident(incident=incident, actor=cast.ana)
        assert incident.due_for == "contain"
        assert incident.triaged_at is not None
        resolve_incident(incident=incident, actor=cast.ana, classification="benign", cause="x")
        assert (incident.due_at, incident.due_for) == (None, "")


def test_business_hours_of_the_client(cast):
    with time_machine.travel(MONDAY, tick=False):
        with staff(cast):
            agreed(cast)
        incident = open_incident(cast.acme)
    assert incident.due_at == datetime(2026, 11, 23, 10, tzinfo=ZoneInfo("Europe/Berlin"))


def test_a_clients_agreement_beats_the_default_and_both_beat_baileys(cast):
    with staff(cast):
        agreed(cast, tenant="", name="Default")
        agreed(cast, name="Of Acme")
        now = timezone.now() + MINUTE
        names = [plan_for(tenant.id, now).name for tenant in (cast.acme, cast.globex)]
        before = plan_for(cast.acme.id, now - HOUR).name
    assert names == ["Of Acme", "Default"]
    assert before == "Bailey's default"


def test_a_zone_that_lost_its_name_holds_up_no_mail(cast, caplog):
    with staff(cast):
        row = agreed(cast)
        SlaPlan.objects.bulk_create(
            [SlaPlan(**{**_values(row), "id": new_id(), "time_zone": "Europe/Gone"})]
        )
    incident = open_incident(cast.acme)
    assert due_of(incident) == (
        incident.opened_at + BUILT_IN_TARGETS[incident.severity]["triage"] * MINUTE
    )
    assert "Europe/Gone" in caplog.text


def _values(row: SlaPlan) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_what_was_promised_when_it_opened_stays_promised(cast):
    incident = open_incident(cast.acme)
    with staff(cast):
        agreed(cast)
        take_incident(incident=incident, actor=cast.ana)
        contain = BUILT_IN_TARGETS[incident.severity]["contain"]
        assert incident.due_at == incident.opened_at + contain * MINUTE
        with pytest.raises(WrongInput, match="from now on"):
            agreed(cast, valid_from=timezone.now() - HOUR)


@pytest.mark.parametrize("later", ["acme", ""], ids=["own", "default"])
@pytest.mark.parametrize("before", ["acme", ""], ids=["own", "default"])
def test_what_was_kept_goes_by_what_was_agreed_when_it_opened(cast, before, later):
    """Nobody makes a target kept or missed by agreeing another one afterwards."""
    hour = {name: each | {"hours": "always"} for name, each in BUSINESS.items()}
    minute = {name: each | {"triage": 1} for name, each in hour.items()}
    with time_machine.travel(MONDAY, tick=False) as clock:
        with staff(cast):
            agreed(cast, tenant=before, name="Old", targets=hour)
        clock.shift(MINUTE)
        incident = open_incident(cast.acme)
        clock.shift(MINUTE)
        with staff(cast):
            agreed(cast, tenant=later, name="New", targets=minute)
        clock.shift(30 * MINUTE)
        with staff(cast):
            take_incident(incident=incident, actor=cast.ana)
            [triage] = targets_behind(attestation(MONDAY, MONDAY + HOUR), "kept", target="triage")
    assert (triage.plan, triage.agreed, triage.ran) == ("Old", HOUR, 31 * MINUTE)


def test_waiting_moves_what_is_due_by_as_long_as_it_waited(cast):
    with time_machine.travel(MONDAY, tick=False) as clock:
        incident = open_incident(cast.acme)
        due = due_of(incident)
        with staff(cast):
            wait_for(incident=incident, actor=cast.ana, cause="client_answer", asked="Paid?")
            assert (incident.due_at, incident.waiting_since) == (None, MONDAY)
            with pytest.raises(Conflict):
                wait_for(incident=incident, actor=cast.bo, cause="vendor", asked="Ticket")
        clock.shift(90 * MINUTE)
        with staff(cast):
            stop_waiting(incident=incident, actor=cast.bo, answer="No")
            assert (incident.due_at, incident.waiting_since) == (due + 90 * MINUTE, None)
            pause = Pause.objects.get()
            assert (pause.started_by, pause.ended_by, pause.answer) == ("Ana", "Bo", "No")


def test_what_was_missed_before_the_wait_stays_missed(cast):
    with time_machine.travel(MONDAY, tick=False) as clock:
        incident = open_incident(cast.acme)
        due = due_of(incident)
        clock.shift(due - MONDAY + MINUTE)
        with staff(cast):
            wait_for(incident=incident, actor=cast.ana, cause="client_answer", asked="Paid?")
            assert incident.due_at == due


@pytest.mark.parametrize(("cause", "asked"), [("", "x"), ("lunch", "x"), ("client_answer", " ")])
def test_a_clock_stops_only_for_a_cause_on_record(cast, cause, asked):
    incident = open_incident(cast.acme)
    with staff(cast), pytest.raises(WrongInput):
        wait_for(incident=incident, actor=cast.ana, cause=cause, asked=asked)


@pytest.mark.parametrize(("kind", "stops"), [("muted", True), ("snoozed", False)])
def test_a_mute_stops_the_clocks_and_a_snooze_does_not(cast, kind, stops):
    with time_machine.travel(MONDAY, tick=False):
        incident = open_incident(cast.acme)
        due, until = due_of(incident), MONDAY + 5 * HOUR
        with staff(cast):
            quiet_incident(
                incident=incident, actor=cast.ana, kind=kind, until=until, reason="Known"
            )
    assert incident.due_at == (due + 5 * HOUR if stops else due)


@pytest.mark.parametrize("how", ["resolved", "more mail", "anew"])
def test_a_mute_that_is_over_stops_no_clock_however_late_somebody_comes(cast, how):
    """It ended at the time that was said, not when it was looked at again two days later."""
    with time_machine.travel(MONDAY, tick=False) as clock:
        incident = open_incident(cast.acme)
        kept_by = incident.opened_at + 5 * HOUR
        with staff(cast):
            mute(incident, cast, MONDAY + 5 * HOUR)
            due = due_of(incident)
        clock.shift(53 * HOUR)
        with staff(cast):
            if how == "resolved":
                resolve_incident(
                    incident=incident, actor=cast.ana, classification="benign", cause="x"
                )
            elif how == "anew":
                quiet_incident(
                    incident=incident,
                    actor=cast.ana,
                    kind="snoozed",
                    until=MONDAY + 60 * HOUR,
                    reason="x",
                )
        if how == "more mail":
            arrive(cast.acme, whom="it")
        with staff(cast):
            silence = Quiet.objects.get(kind="muted")
            [still] = standstills(Incident.objects.all())[incident.id]
            triage = next(
                kept for kept in attestation(MONDAY, MONDAY + HOUR).kept if kept.target == "triage"
            )
    assert silence.ended_at == still.until == kept_by
    assert silence.ended_why == "Its time is over."
    assert (triage.state, triage.ran) == ("missed", 48 * HOUR)
    if how != "resolved":
        assert due_of(fresh_in(cast, incident)) == due


def mute(incident: Incident, cast: Cast, until: datetime) -> None:
    quiet_incident(incident=incident, actor=cast.ana, kind="muted", until=until, reason="Known")


def fresh_in(cast: Cast, incident: Incident) -> Incident:
    with staff(cast):
        return fresh(incident)


def test_what_a_rule_silences_stands_still_until_the_rule_ends(cast):
    with time_machine.travel(MONDAY, tick=False) as clock:
        with staff(cast):
            add_suppression(
                tenant=cast.acme,
                actor=cast.ana,
                match="kind",
                value="phish",
                reason="A drill",
                ends_at=MONDAY + 10 * HOUR,
            )
        clock.shift(HOUR)
        incident = open_incident(cast.acme)
        minutes = BUILT_IN_TARGETS[incident.severity]["triage"]
        assert due_of(incident) == MONDAY + 10 * HOUR + minutes * MINUTE
        clock.shift(10 * HOUR)
        with staff(cast):
            take_incident(incident=incident, actor=cast.ana)
            [triage] = [
                each
                for each in attestation(MONDAY, MONDAY + 2 * HOUR).kept
                if each.target == "triage"
            ]
    assert triage.ran == HOUR


def test_a_graver_severity_amid_the_clock_is_due_by_its_own_times_from_the_opening(cast):
    """Facts raise it; what was agreed for it holds from when the incident opened."""
    incident = open_incident(cast.acme, verdict="suspicious")
    arrive(cast.acme, whom="it", verdict="malware")
    with staff(cast):
        now = fresh(incident)
    assert now.severity_rank > incident.severity_rank
    minutes = BUILT_IN_TARGETS[now.severity]["triage"]
    assert due_of(now) == now.opened_at + minutes * MINUTE
    assert due_of(now) < due_of(incident)


def test_the_forecast_goes_by_the_clients_calendar(cast):
    """Opened on Friday at 16:30 with an hour to triage: due on Monday at 9:30, over the change."""
    berlin = ZoneInfo("Europe/Berlin")
    friday = datetime(2026, 10, 23, 16, 30, tzinfo=berlin)
    with time_machine.travel(friday - HOUR, tick=False) as clock:
        with staff(cast):
            agreed(cast, holidays=["2026-10-27"])
        clock.shift(HOUR)
        incident = open_incident(cast.acme)
        assert due_of(incident) == datetime(2026, 10, 26, 9, 30, tzinfo=berlin)
        with staff(cast):
            rows = Incident.objects.all()
            # The night has 25 hours: 41 on the wall are 42.
            ahead = (due_of(incident) - friday) // HOUR
            assert (ahead, list(due_within(rows, str(ahead)))) == (66, [])
            assert [each.id for each in due_within(rows, str(ahead + 1))] == [incident.id]
            take_incident(incident=incident, actor=cast.ana)
        # Two hours to contain end at 10:30; eight to resolve leave a day off aside.
        assert (incident.due_for, due_of(incident).astimezone(berlin).hour) == ("contain", 10)
        with staff(cast):
            Incident.objects.filter(id=incident.id).update(contained_at=timezone.now())
            plan = plan_for(cast.acme.id, incident.opened_at)
            due = clock_due(plan.targets[incident.severity]["resolve"], incident)
    assert due == datetime(2026, 10, 26, 16, 30, tzinfo=berlin)


def clock_due(target: Target, incident: Incident) -> datetime | None:
    return due_at(target.hours, incident.opened_at, target.length)


def test_a_mute_that_was_noted_to_end_late_counts_until_the_end_that_was_said(cast):
    """Rows of before: what was written of them is not written anew."""
    with time_machine.travel(MONDAY, tick=False) as clock:
        incident = open_incident(cast.acme)
        with staff(cast):
            mute(incident, cast, MONDAY + 5 * HOUR)
            Quiet.objects.update(ended_at=MONDAY + 53 * HOUR)
            [still] = standstills(Incident.objects.all())[incident.id]
            clock.shift(60 * HOUR)
            [triage] = targets_behind(attestation(MONDAY, MONDAY + HOUR), "missed", target="triage")
    assert still.until == MONDAY + 5 * HOUR
    assert triage.ran == 55 * HOUR


def test_what_is_within_reach_again_is_not_contained_any_more(cast):
    incident = open_incident(cast.acme)
    assert incident.contained_at is None
    with staff(cast):
        Incident.objects.filter(id=incident.id).update(contained_at=timezone.now())
    arrive(cast.acme, whom="it")
    with staff(cast):
        assert fresh(incident).contained_at is None


def test_the_first_order_is_when_somebody_acted(cast):
    incident = open_incident(cast.acme)
    with staff(cast):
        job = pull_incident(incident=incident, actor=cast.ana)
        assign_incident(incident=incident, actor=cast.ana, owner=cast.ana)
        assert incident.acted_at == job.created_at


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"time_zone": "Europe/Nowhere"}, "no time zone"),
        ({"weekly": [[["09:00", "17:00"]]]}, "seven days"),
        ({"weekly": [[["17:00", "09:00"]]] * 7}, "end after they begin"),
        ({"weekly": [[["09:00", "12:00"], ["11:00", "17:00"]]] * 7}, "do not overlap"),
        ({"weekly": [[["9", "17"]]] * 7}, "like 09:00"),
        ({"weekly": [[]] * 7}, "never end"),
        ({"holidays": ["Christmas"]}, "2026-12-25"),
        ({"targets": {"high": BUSINESS["high"]}}, "each severity"),
        ({"targets": BUSINESS | {"low": BUSINESS["low"] | {"triage": 999}}}, "comes before"),
        ({"targets": BUSINESS | {"low": BUSINESS["low"] | {"triage": -1}}}, "number of minutes"),
        ({"targets": BUSINESS | {"low": BUSINESS["low"] | {"hours": "never"}}}, "always or"),
        ({"targets": BUSINESS | {"low": BUSINESS["low"] | {"tea": 5}}}, "are agreed for"),
        ({"name": " "}, "a name"),
        # An hour a week: the eight hours to resolve are there after two months, 92 days never.
        ({"weekly": ONE_HOUR, "targets": LONGEST}, "would not end within"),
    ],
)
def test_an_agreement_that_makes_no_sense_is_refused(cast, change, sentence):
    with staff(cast), pytest.raises(WrongInput, match=sentence):
        agreed(cast, **change)


def test_rare_hours_are_agreed_as_long_as_they_suffice(cast):
    with staff(cast):
        assert agreed(cast, weekly=ONE_HOUR).weekly == ONE_HOUR
        always = LONGEST | {"low": LONGEST["low"] | {"hours": "always"}}
        assert agreed(cast, weekly=ONE_HOUR, targets=always)


class TestAttestation:
    """Three incidents: one kept, one missed, one open; and one that waited."""

    @pytest.fixture
    def numbers(self, cast):
        with time_machine.travel(MONDAY, tick=False) as clock:
            with staff(cast):
                always = {name: each | {"hours": "always"} for name, each in BUSINESS.items()}
                agreed(cast, targets=always)
            clock.shift(MINUTE)
            kept, missed, late, waited = (open_incident(cast.acme, n) for n in (1, 2, 3, 4))
            with staff(cast):
                wait_for(incident=waited, actor=cast.ana, cause="client_answer", asked="Paid?")
            clock.shift(59 * MINUTE)
            with staff(cast):
                take_incident(incident=kept, actor=cast.ana)
            clock.shift(2 * MINUTE)
            with staff(cast):
                take_incident(incident=missed, actor=cast.ana)
                stop_waiting(incident=waited, actor=cast.ana)
                take_incident(incident=waited, actor=cast.ana)
                found = attestation(MONDAY, MONDAY + 24 * HOUR, "acme")
        return found, {"kept": {kept.id, waited.id}, "missed": {missed.id, late.id}}

    def test_each_target_is_kept_missed_or_open(self, numbers):
        found, ids = numbers
        triage = {
            state: {k.incident_id for k in found.kept if (k.target, k.state) == ("triage", state)}
            for state in ("kept", "missed", "open")
        }
        assert triage == {"kept": ids["kept"], "missed": ids["missed"], "open": set()}

    def test_every_number_is_as_long_as_its_list(self, cast, numbers):
        found, _ = numbers
        with staff(cast):
            for line in found.lines:
                for state in ("kept", "missed", "open"):
                    rows = targets_behind(found, state, severity=line.severity, target=line.target)
                    assert len(rows) == getattr(line, state)
        assert found.incidents == 4
        assert sum(line.kept + line.missed + line.open for line in found.lines) == len(found.kept)

    def test_another_clients_numbers_are_empty(self, cast, numbers):
        with staff(cast):
            assert attestation(MONDAY, MONDAY + 24 * HOUR, "globex").kept == []


def test_the_forecast_names_what_will_be_missed_and_not_what_waits(cast):
    soon, waiting = open_incident(cast.acme, 1), open_incident(cast.acme, 2)
    with staff(cast):
        wait_for(incident=waiting, actor=cast.ana, cause="client_answer", asked="Paid?")
        assert [incident.id for incident in due_within(Incident.objects.all(), "24")] == [soon.id]
        assert list(due_within(Incident.objects.all(), "0")) == []
        with pytest.raises(WrongInput):
            due_within(Incident.objects.all(), "many")


@pytest.mark.parametrize("by_mail", [True, False])
def test_what_mail_opens_again_was_over_till_then_and_what_a_person_does_was_not(cast, by_mail):
    with time_machine.travel(MONDAY, tick=True):
        incident = open_incident(cast.acme)
    with time_machine.travel(MONDAY + HOUR, tick=True), staff(cast):
        resolve_incident(
            incident=incident, actor=cast.ana, classification="true_positive", cause="A lookalike"
        )
    with time_machine.travel(MONDAY + 49 * HOUR, tick=True):
        if by_mail:
            arrive(cast.acme, whom="it")
        with staff(cast):
            if not by_mail:
                reopen_incident(incident=incident, actor=cast.ana, reason="It was not over")
            again = fresh(incident)
            [kept] = targets_behind(attestation(MONDAY, MONDAY + HOUR), "open", target="resolve")
    assert again.is_open
    assert (due_of(again) > MONDAY + 49 * HOUR) is by_mail
    assert round(kept.ran / HOUR) == (1 if by_mail else 49)
