"""A late verdict acts in the other layer as the client wishes; late copies follow the order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from console.queries.disagreements import item_page
from incidents import automation, layers
from incidents.access import access_disagreement
from incidents.automation import ACTOR, _respond_to, serve_responses, set_late_verdicts
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Delivery, Disagreement, Incident, Intent, Job, StandingOrder
from incidents.modes import set_mode
from incidents.observations import Observation
from incidents.orders import give_order, withdraw_order
from incidents.regroup import merge_incidents
from incidents.remediation import pull_incident
from incidents.services import reopen_incident, resolve_incident
from incidents.taking_back import restore_incident
from incidents.words import Layer, Place, Verdict
from seg_bridge.models import GatewayRule
from tenants.doors import ClaimedWork
from tenants.errors import NotAllowed, WrongInput
from tenants.models import AuditEntry, Work
from tests.factories import Cast
from tests.incidents.test_disagreements import INFO, IT, held, inside, passed, said
from tests.incidents.test_remediation import Mailboxes, _scope, work


@pytest.fixture
def mailboxes(cast: Cast, monkeypatch: pytest.MonkeyPatch):
    boxes = Mailboxes({f"i1{INFO}": Place.INBOX, f"i1{IT}": Place.INBOX})
    monkeypatch.setitem(layers._layers, "mailbox", boxes)
    return boxes


def wish(cast: Cast, *, mode: str = "", **changes: Any) -> None:
    with _scope(cast.acme):
        if mode:
            set_mode(tenant=cast.acme, mode=mode, actor=cast.mo)
        if changes:
            set_late_verdicts(tenant=cast.acme, actor=cast.mo, **changes)


def happened(cast: Cast, *seen: Observation) -> None:
    with _scope(cast.acme):
        record(seen)
        make_sense_of_backlog(cast.acme)


def respond(cast: Cast) -> None:
    serve_responses(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    work(cast.acme)


def late(cast: Cast, recipient: str = INFO) -> Observation:
    at = datetime.now(UTC) + timedelta(minutes=5)
    return passed(cast, recipient, observed_at=at, verdict=Verdict.PHISH, score=9.0)


def item(cast: Cast, **of: Any) -> Disagreement:
    with _scope(cast.acme):
        return Disagreement.objects.get(**of)


def pulls(cast: Cast) -> list[Job]:
    with _scope(cast.acme):
        return list(Job.objects.filter(kind="pull").order_by("created_at"))


def test_new_contradictions_ring_for_an_answer(cast: Cast, mailboxes: Mailboxes):
    happened(cast, passed(cast), inside(cast))
    with _scope(cast.acme):
        assert not Work.objects.filter(queue="respond").exists()
    happened(cast, late(cast))
    with _scope(cast.acme):
        assert Work.objects.filter(queue="respond").exists()


def test_without_a_wish_it_is_only_proposed(cast: Cast, mailboxes: Mailboxes):
    happened(cast, passed(cast), inside(cast), late(cast))
    respond(cast)
    assert mailboxes.moves == 0
    assert item(cast).state == "open"


def test_what_fails_unexpectedly_is_left_to_a_person_and_holds_up_no_other(
    cast: Cast, mailboxes: Mailboxes
):
    wish(cast, mode="auto", rule_mode="auto")
    happened(cast, passed(cast), inside(cast), late(cast))
    happened(cast, passed(cast, number=2), inside(cast, number=2, verdict=Verdict.PHISH))
    with _scope(cast.acme):
        Disagreement.objects.filter(kind="gateway_condemned_late").update(
            proposal={"action": "pull"}, seen_at=datetime.now(UTC) - timedelta(days=1)
        )
    respond(cast)
    assert item(cast, kind="gateway_condemned_late").result["left"].startswith("Bailey failed")
    assert item(cast, kind="gateway_passed_mailbox_condemned").state == "accepted"


@pytest.mark.parametrize("how", [{"stop": True}, {"mode": "monitor"}, {"mode": "ask"}])
def test_a_stop_and_a_mode_count_for_what_a_worker_has_taken_up(
    cast: Cast, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]
):
    def decided_meanwhile(*args: Any) -> None:
        wish(cast, **how)
        _respond_to(*args)

    monkeypatch.setattr(automation, "_respond_to", decided_meanwhile)
    wish(cast, mode="auto")
    happened(cast, passed(cast), inside(cast), late(cast))
    respond(cast)
    assert (mailboxes.moves, pulls(cast), item(cast).state) == (0, [], "open")


def test_what_waits_for_a_person_keeps_nothing_from_being_pulled(
    cast: Cast, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(automation, "BATCH", 1)
    wish(cast, mode="auto")
    happened(cast, passed(cast), inside(cast), late(cast))
    found = item(cast)
    with _scope(cast.acme):
        Disagreement.objects.bulk_create(
            Disagreement(
                tenant=cast.acme,
                message_id=found.message_id,
                kind=kind,
                seen_at=found.seen_at - timedelta(days=1),
            )
            for kind in Disagreement.Kind.values
        )
    respond(cast)
    assert (mailboxes.moves, item(cast, id=found.id).state) == (1, "accepted")


def test_a_late_gateway_verdict_pulls_once(cast: Cast, mailboxes: Mailboxes):
    wish(cast, mode="auto")
    happened(cast, passed(cast), inside(cast), late(cast))
    for _ in range(3):
        respond(cast)
    assert mailboxes.places[f"i1{INFO}"] == Place.QUARANTINE
    assert mailboxes.moves == 1
    (job,) = pulls(cast)
    assert (job.requested_by, job.state) == (ACTOR.name, "done")
    found = item(cast)
    assert (found.state, found.decided_by) == ("accepted", ACTOR.name)
    assert (found.result["counted"], found.result["job"]) == (1, str(job.id))
    with _scope(cast.acme):
        entry = AuditEntry.objects.get(action="incidents.disagreement.accepted")
        assert entry.actor_name == ACTOR.name


def test_too_many_copies_are_left_to_a_person(cast: Cast, mailboxes: Mailboxes):
    wish(cast, mode="auto", most_copies=1)
    happened(cast, passed(cast), passed(cast, IT), inside(cast), inside(cast, IT))
    happened(cast, late(cast), late(cast, IT))
    respond(cast)
    assert mailboxes.moves == 0
    found = item(cast)
    assert found.state == "open"
    assert found.result["left"] == "It would pull 2 copies; without a person at most 1."


def test_the_switch_stops_everything(cast: Cast, mailboxes: Mailboxes):
    wish(cast, mode="auto", rule_mode="auto", stop=True)
    happened(cast, passed(cast), inside(cast), late(cast))
    respond(cast)
    assert mailboxes.moves == 0
    with _scope(cast.acme):
        Work.objects.filter(queue="respond").update(wanted_at=None)
    wish(cast, stop=False)
    with _scope(cast.acme):
        assert Work.objects.get(queue="respond").wanted_at is not None
    respond(cast)
    assert mailboxes.moves == 1


@pytest.mark.parametrize(("who", "moves"), [("ana", 1), ("pia", 0), ("nobody", 0)])
def test_an_analysts_word_pulls_and_a_readers_is_looked_at(
    cast: Cast, mailboxes: Mailboxes, who: str, moves: int
):
    wish(cast, mode="auto")
    happened(cast, passed(cast), inside(cast))
    person = getattr(cast, who, None)
    with _scope(cast.acme):
        delivery = Delivery.objects.get()
    word = Observation(
        tenant_id=cast.acme.id,
        layer=Layer.PERSON,
        source=f"person:{person.id if person else who}",
        source_key=str(delivery.id),
        observed_at=datetime.now(UTC),
        recipient=INFO,
        verdict=Verdict.PHISH,
        detail={"delivery_id": str(delivery.id)},
    )
    happened(cast, word)
    assert item(cast).kind == Disagreement.Kind.PERSON
    with _scope(cast.acme):
        assert Incident.objects.get().kind == Incident.Kind.PHISH
    respond(cast)
    assert mailboxes.moves == moves


def test_what_was_closed_as_harmless_is_pulled_by_itself_once_it_is_opened_again(
    cast: Cast, mailboxes: Mailboxes
):
    wish(cast, mode="auto")
    happened(cast, passed(cast), inside(cast))
    with _scope(cast.acme):
        reported = said(cast, "report:1", Verdict.PHISH)
    happened(cast, reported)
    kind = Disagreement.Kind.LATE
    with _scope(cast.acme):
        resolve_incident(incident=one(), actor=cast.ana, classification="benign", cause="A letter")
    happened(cast, late(cast))
    respond(cast)
    with _scope(cast.acme):
        page = item_page(access_disagreement(item(cast, kind=kind).id))
        assert page.left == "A person has closed the incident as harmless."
        wanted = Work.objects.filter(queue="respond")
        wanted.update(wanted_at=None)
        reopen_incident(incident=one(), actor=cast.ana, reason="It was phishing")
        assert wanted.exclude(wanted_at=None).exists()
        assert item_page(access_disagreement(item(cast, kind=kind).id)).left == ""
    assert mailboxes.moves == 0
    respond(cast)
    assert (item(cast, kind=kind).state, mailboxes.moves) == ("accepted", 1)


def one() -> Incident:
    return Incident.objects.select_related("tenant").get()


def test_a_mailbox_verdict_becomes_a_gateway_rule(cast: Cast, mailboxes: Mailboxes):
    wish(cast, rule_mode="auto", rule_days=7)
    happened(cast, passed(cast), inside(cast, verdict=Verdict.PHISH, confidence=0.95))
    for _ in range(2):
        respond(cast)
    with _scope(cast.acme):
        rule = GatewayRule.objects.get()
    assert (rule.kind, rule.value, rule.owner_name) == ("block", "eve@evil.example", ACTOR.name)
    assert rule.expires_at is not None
    assert rule.expires_at < timezone.now() + timedelta(days=7, minutes=1)
    assert item(cast).state == "accepted"
    assert mailboxes.moves == 0


@pytest.mark.parametrize(
    ("verdict", "confidence"), [(Verdict.SUSPICIOUS, 0.99), (Verdict.PHISH, 0.5)]
)
def test_an_unsure_or_mild_verdict_makes_no_rule(
    cast: Cast, mailboxes: Mailboxes, verdict: Verdict, confidence: float
):
    wish(cast, rule_mode="auto")
    happened(cast, passed(cast), inside(cast, verdict=verdict, confidence=confidence))
    respond(cast)
    with _scope(cast.acme):
        assert not GatewayRule.objects.exists()


def test_objections_of_the_rehearsal_leave_it_to_a_person(cast: Cast, mailboxes: Mailboxes):
    wish(cast, rule_mode="auto")
    happened(cast, passed(cast, number=7), inside(cast, number=7, verdict=Verdict.PHISH))
    with _scope(cast.acme):
        Incident.objects.update(
            state="resolved", classification="false_positive", resolved_at=timezone.now()
        )
        Disagreement.objects.all().delete()
    other: dict[str, Any] = {"number": 8, "mail": passed(cast).mail | {"subject": "Another"}}
    happened(cast, passed(cast, **other), inside(cast, verdict=Verdict.PHISH, **other))
    respond(cast)
    found = item(cast, state="open", message__trace_ulid__endswith="8")
    assert "come out wrong" in found.result["left"]
    with _scope(cast.acme):
        assert not GatewayRule.objects.exists()


def test_no_machine_lets_mail_in_or_takes_a_persons_entry_away(cast: Cast, mailboxes: Mailboxes):
    wish(cast, mode="auto", rule_mode="auto")
    happened(cast, held(cast), passed(cast, IT, verdict=Verdict.SPAM, score=8.0))
    happened(cast, inside(cast, IT))
    assert item(cast, kind=Disagreement.Kind.HELD).proposal["kind"] == "allow"
    respond(cast)
    assert item(cast, kind=Disagreement.Kind.HELD).state == "open"
    with _scope(cast.acme):
        assert not GatewayRule.objects.exists()


# --- standing orders


def pulled(cast: Cast) -> Incident:
    happened(cast, passed(cast), inside(cast, verdict=Verdict.PHISH))
    with _scope(cast.acme):
        incident = Incident.objects.get()
        pull_incident(incident=incident, actor=cast.ana, reason="phish")
    work(cast.acme)
    return incident


def another(cast: Cast) -> None:
    happened(cast, passed(cast, IT), inside(cast, IT, verdict=Verdict.PHISH))


def test_a_late_copy_joins_and_is_pulled_by_the_standing_order(cast: Cast, mailboxes: Mailboxes):
    incident = pulled(cast)
    another(cast)
    with _scope(cast.acme):
        assert Incident.objects.get().id == incident.id
    for _ in range(3):
        respond(cast)
    assert mailboxes.places[f"i1{IT}"] == Place.QUARANTINE
    assert mailboxes.moves == 2
    _, second = pulls(cast)
    assert (second.requested_by, second.requested_by_id) == ("Ana", cast.ana.id)
    assert second.reason.startswith("Standing order of Ana until")
    with _scope(cast.acme):
        order = StandingOrder.objects.get()
        assert second.detail["standing_order"] == str(order.id)
        assert order.acted == 1


def test_an_order_ends(cast: Cast, mailboxes: Mailboxes):
    pulled(cast)
    with _scope(cast.acme):
        StandingOrder.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    another(cast)
    respond(cast)
    assert mailboxes.moves == 1


def test_an_order_can_be_withdrawn(cast: Cast, mailboxes: Mailboxes):
    pulled(cast)
    with _scope(cast.acme):
        withdraw_order(order=StandingOrder.objects.get(), actor=cast.bo, reason="a drill")
        withdraw_order(order=StandingOrder.objects.get(), actor=cast.ana)
        assert StandingOrder.objects.get().withdrawn_by == "Bo"
        assert AuditEntry.objects.filter(action="incidents.order.withdrawn").count() == 1
    another(cast)
    respond(cast)
    assert mailboxes.moves == 1


def test_what_is_restored_is_not_pulled_again(cast: Cast, mailboxes: Mailboxes):
    incident = pulled(cast)
    with _scope(cast.acme):
        incident.refresh_from_db()
        restore_incident(incident=incident, actor=cast.ana)
    work(cast.acme)
    another(cast)
    respond(cast)
    assert mailboxes.places == {f"i1{INFO}": Place.INBOX, f"i1{IT}": Place.INBOX}


def test_what_a_person_called_harmless_is_not_pulled(cast: Cast, mailboxes: Mailboxes):
    wish(cast, mode="auto")
    pulled(cast)
    with _scope(cast.acme):
        Incident.objects.update(state="resolved", classification="benign")
    another(cast)
    respond(cast)
    assert mailboxes.moves == 1


def test_an_order_follows_an_incident_that_is_merged(cast: Cast, mailboxes: Mailboxes):
    first: dict[str, Any] = {"number": 9, "mail": passed(cast).mail | {"subject": "Another"}}
    first |= {"recipient": IT}
    happened(cast, passed(cast, **first), inside(cast, verdict=Verdict.PHISH, **first))
    with _scope(cast.acme):
        older = Incident.objects.get()
    happened(cast, passed(cast), inside(cast, verdict=Verdict.PHISH))
    with _scope(cast.acme):
        newer = Incident.objects.exclude(id=older.id).get()
        pull_incident(incident=newer, actor=cast.ana, reason="phish")
        merge_incidents(kept=older, gone=newer, actor=cast.ana, reason="the same")
        assert Disagreement.objects.get(state="open").incident_id == older.id
        assert Disagreement.objects.get(state="open").copies == 2
        assert Disagreement.objects.get(incident=newer).state == "settled"
    mailboxes.places[f"i9{IT}"] = Place.INBOX
    respond(cast)
    # What the older one had is late now, for the order of the newer one.
    assert mailboxes.places[f"i9{IT}"] == Place.QUARANTINE
    assert [job.requested_by for job in pulls(cast)] == ["Ana", "Ana"]


def test_a_flood_under_an_order_is_left_to_a_person(cast: Cast, mailboxes: Mailboxes):
    wish(cast, most_copies=1)
    pulled(cast)
    more = [f"{name}@acme.example" for name in ("it", "ceo", "cfo")]
    mailboxes.places.update({f"i1{each}": Place.INBOX for each in more})
    for each in more:
        happened(cast, passed(cast, each), inside(cast, each, verdict=Verdict.PHISH))
    respond(cast)
    last = pulls(cast)[-1]
    assert (last.counts["copies"], last.detail["left_for_a_person"]) == (1, 2)


def test_leave_them_keeps_bailey_from_pulling(cast: Cast, mailboxes: Mailboxes):
    wish(cast, mode="auto")
    happened(cast, passed(cast), inside(cast), late(cast))
    with _scope(cast.acme):
        give_order(incident=Incident.objects.get(), kind="leave", actor=cast.ana)
    respond(cast)
    assert mailboxes.moves == 0
    assert "stay where they are" in item(cast).result["left"]


@pytest.mark.parametrize(
    "changes",
    [{"rule_mode": "always"}, {"most_copies": 0}, {"most_copies": 10_001}, {"rule_days": 0}],
)
def test_a_wish_that_makes_no_sense_is_refused(cast: Cast, changes: dict[str, Any]):
    with pytest.raises(WrongInput), _scope(cast.acme):
        set_late_verdicts(tenant=cast.acme, actor=cast.ana, **changes)


@pytest.mark.parametrize(
    ("now", "wanted", "is_a_leads"),
    [
        ({}, {"rule_mode": "auto"}, True),
        ({"rule_mode": "auto"}, {"rule_mode": "ask"}, False),
        ({"rule_mode": "auto"}, {"rule_mode": "auto", "rule_days": 3}, False),
        ({"most_copies": 5}, {"most_copies": 6}, True),
        ({"most_copies": 5}, {"most_copies": 4}, False),
        ({}, {"stop": True}, False),
        ({"stop": True}, {"stop": False}, True),
        ({"stop": True}, {"rule_days": 3}, False),
    ],
)
def test_how_far_bailey_goes_is_a_leads_and_anybody_holds_it_back(
    cast: Cast, now: dict[str, Any], wanted: dict[str, Any], is_a_leads: bool
):
    wish(cast, **now)
    with _scope(cast.acme):
        if is_a_leads:
            with pytest.raises(NotAllowed), transaction.atomic():
                set_late_verdicts(tenant=cast.acme, actor=cast.ana, **wanted)
            set_late_verdicts(tenant=cast.acme, actor=cast.mo, **wanted)
        else:
            set_late_verdicts(tenant=cast.acme, actor=cast.ana, **wanted)


def test_a_wish_is_in_the_audit_log_with_before_and_after(cast: Cast):
    wish(cast, rule_mode="auto")
    with _scope(cast.acme):
        entry = AuditEntry.objects.get(action="incidents.late_verdicts.changed")
    assert (entry.detail["before"]["rule_mode"], entry.detail["after"]["rule_mode"]) == (
        "ask",
        "auto",
    )


def test_copies_of_an_order_are_never_asked_for_twice(cast: Cast, mailboxes: Mailboxes):
    pulled(cast)
    another(cast)
    serve_responses(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    serve_responses(ClaimedWork(cast.acme.id, cast.provider.id, 2))
    with _scope(cast.acme):
        assert Intent.objects.filter(action="pull").count() == 2


def test_what_bailey_contained_alone_nobody_has_triaged(cast: Cast, mailboxes: Mailboxes):
    wish(cast, mode="auto")
    happened(cast, passed(cast), inside(cast), late(cast))
    respond(cast)
    with _scope(cast.acme):
        incident = Incident.objects.get()
        assert (incident.state, incident.triaged_at) == ("contained", None)
    happened(cast, inside(cast, observed_at=datetime.now(UTC) + timedelta(minutes=9)))
    with _scope(cast.acme):
        assert Incident.objects.get().state == "new", "it needs a person again"
