"""Each contradiction is one item, with the rule responsible and one repair, rehearsed first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from incidents import disagreements
from incidents.correlation import make_sense_of_backlog
from incidents.disagreements import accept, dismiss, rehearse_repair
from incidents.gateway_asked import RepairForecast
from incidents.intake import record
from incidents.layers import Objections, gateway_layer
from incidents.models import (
    Delivery,
    Disagreement,
    Incident,
    Intent,
    LateVerdicts,
    StandingOrder,
)
from incidents.observations import Observation
from incidents.sides import what_allowed
from incidents.sightings import history_of
from incidents.words import Layer, Outcome, Place, Verdict
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.services import add_rule
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.models import AuditEntry
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw

INFO, IT = "info@acme.example", "it@acme.example"
EVE = "eve@evil.example"
Kind = Disagreement.Kind
# What the gate notes of every mail (seg_bridge/gate/records.py).
GATE: dict[str, Any] = {"mail_from": EVE, "client_ip": "203.0.113.9", "missing": []}


@pytest.fixture(autouse=True)
def acme_scope(cast: Cast):
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        yield


def ulid(number: int) -> str:
    return f"01J0000000000000000000{number:04d}"


def passed(cast: Cast, recipient: str = INFO, number: int = 1, **changes: Any) -> Observation:
    detail = GATE | changes.pop("detail", {})
    own = {"internet_message_id": f"<{number}@evil.example>", "fingerprint": f"{number:032d}"}
    return gateway_saw(cast.acme, recipient, ulid=ulid(number), detail=detail, **(own | changes))


def held(cast: Cast, recipient: str = INFO, number: int = 1, **changes: Any) -> Observation:
    values: dict[str, Any] = {"verdict": Verdict.SPAM, "score": 8.0}
    values |= {"action": Outcome.HELD, "place": Place.HOLD}
    values["detail"] = {"decided": {"by": "verdict", "action": "hold"}}
    return passed(cast, recipient, number, **(values | changes))


def inside(cast: Cast, recipient: str = INFO, number: int = 1, **changes: Any) -> Observation:
    own = {"internet_message_id": f"<{number}@evil.example>", "fingerprint": f"{number:032d}"}
    values = own | {"trace_ulid": ulid(number), "item": f"i{number}{recipient}"} | changes
    return mailbox_saw(cast.acme, recipient, **values)


def said(cast: Cast, who: str, verdict: Verdict, *, layer: Layer = Layer.PERSON, **changes: Any):
    delivery = Delivery.objects.get(**changes) if changes else Delivery.objects.get()
    return Observation(
        tenant_id=cast.acme.id,
        layer=layer,
        source=who,
        source_key=str(delivery.id),
        observed_at=datetime.now(UTC),
        recipient=delivery.recipient,
        verdict=verdict,
        detail={"delivery_id": str(delivery.id)},
    )


def happened(cast: Cast, *seen: Observation) -> None:
    record(seen)
    make_sense_of_backlog(cast.acme)


def released(cast: Cast, number: int = 1) -> Observation:
    return gateway_saw(
        cast.acme,
        INFO,
        ulid=ulid(number),
        verdict=None,
        score=None,
        mail={},
        rule="released by Ana",
        detail={"decided": {"by": "release", "owner": "Ana"}},
    )


def the_item(**of: Any) -> Disagreement:
    return Disagreement.objects.get(**of)


def test_passed_and_condemned_is_one_item_with_both_reasons(cast: Cast):
    happened(cast, passed(cast), passed(cast, IT))
    assert not Disagreement.objects.exists()
    happened(cast, inside(cast, verdict=Verdict.PHISH), inside(cast, IT, verdict=Verdict.PHISH))
    item = the_item()
    assert (item.kind, item.state, item.copies) == (Kind.PASSED, "open", 2)
    assert item.incident_id == Incident.objects.get().id
    assert Kind.PASSED in Incident.objects.get().cross_layer
    assert [(side["layer"], side["verdict"]) for side in item.sides] == [
        ("gateway", "clean"),
        ("mailbox", "phish"),
    ]
    assert (item.proposal["action"], item.proposal["match"]) == ("add_rule", "sender")
    assert item.proposal["value"] == EVE


def test_repeats_and_more_copies_stay_one_item(cast: Cast):
    seen = [passed(cast), inside(cast, verdict=Verdict.PHISH)]
    happened(cast, *seen)
    happened(cast, *seen)
    happened(cast, passed(cast, IT), inside(cast, IT, verdict=Verdict.PHISH))
    assert the_item().copies == 2


def test_the_allow_entry_is_named_with_its_author_and_its_removal_proposed(cast: Cast):
    entry = add_rule(
        tenant_id=cast.acme.id,
        kind="allow",
        match="sender",
        value=EVE,
        reason="a supplier",
        actor=cast.bo,
    )
    decided = {
        "by": "allow",
        "action": "deliver",
        "rule_id": str(entry.id),
        "owner": "Bo",
        "reason": "a supplier",
    }
    happened(
        cast,
        passed(cast, detail={"decided": decided}, rule=f"allow of Acme: sender {EVE}, set by Bo"),
        inside(cast, verdict=Verdict.PHISH),
    )
    item = the_item()
    assert (item.rule_id, item.rule_owner) == (entry.id, "Bo")
    assert (item.proposal["action"], item.proposal["rule_id"]) == ("remove_rule", str(entry.id))
    copy = Delivery.objects.get()
    allowed = what_allowed(copy, history_of([copy])[copy.id])
    assert allowed is not None
    assert (allowed.kind, allowed.owner, allowed.rule_id) == ("entry", "Bo", entry.id)
    accept(item=item, actor=cast.ana)
    entry.refresh_from_db()
    assert entry.removed_at is not None


@pytest.mark.parametrize(
    ("decided", "verdict", "kind"),
    [
        ({"by": "score", "action": "deliver"}, Verdict.SUSPICIOUS, "policy"),
        ({"by": "not_scanned", "action": "deliver"}, None, "not_scanned"),
    ],
)
def test_without_an_entry_the_policy_allowed_it(cast: Cast, decided, verdict, kind):
    happened(cast, passed(cast, detail={"decided": decided}, verdict=verdict, score=None))
    copy = Delivery.objects.get()
    allowed = what_allowed(copy, history_of([copy])[copy.id])
    assert allowed is not None
    assert (allowed.kind, allowed.rule_id) == (kind, None)


def test_held_mail_was_let_in_by_nothing(cast: Cast):
    happened(cast, held(cast))
    copy = Delivery.objects.get()
    assert what_allowed(copy, history_of([copy])[copy.id]) is None


def test_what_came_around_the_gateway_says_so(cast: Cast):
    happened(cast, inside(cast, trace_state="missing", trace_ulid="", verdict=Verdict.PHISH))
    copy = Delivery.objects.get()
    allowed = what_allowed(copy, history_of([copy])[copy.id])
    assert allowed is not None
    assert allowed.kind == "bypass"
    # The gateway has said nothing that could be contradicted.
    assert not Disagreement.objects.exists()


def test_released_then_condemned_names_who_released_it(cast: Cast):
    happened(cast, held(cast))
    happened(cast, released(cast))
    happened(cast, inside(cast, verdict=Verdict.PHISH))
    item = the_item()
    assert item.kind == Kind.RELEASED
    assert item.proposal["action"] == "add_rule"
    copy = Delivery.objects.get()
    allowed = what_allowed(copy, history_of([copy])[copy.id])
    assert allowed is not None
    assert (allowed.kind, allowed.owner) == ("override", "Ana")


def test_held_and_clean_without_an_incident_is_an_item_of_its_own(cast: Cast):
    happened(cast, held(cast))
    happened(cast, released(cast))
    happened(cast, inside(cast))
    assert not Incident.objects.exists()
    item = the_item()
    assert (item.kind, item.incident_id) == (Kind.HELD, None)
    repair = item.proposal
    assert (repair["kind"], repair["value"], repair["recipient"]) == ("allow", EVE, INFO)


def test_an_item_of_a_mail_becomes_the_incidents(cast: Cast):
    happened(cast, held(cast))
    happened(cast, released(cast))
    happened(cast, inside(cast))
    first = the_item()
    happened(cast, said(cast, "person:x", Verdict.CLEAN))
    happened(cast, inside(cast, verdict=Verdict.PHISH))
    incident = Incident.objects.get()
    first.refresh_from_db()
    assert (first.incident_id, first.state) == (incident.id, "settled")
    assert the_item(kind=Kind.RELEASED).incident_id == incident.id
    assert Disagreement.objects.filter(incident=None).count() == 0


def test_partly_held_and_clean_belongs_to_the_incident(cast: Cast):
    happened(cast, held(cast), passed(cast, IT, verdict=Verdict.SPAM, score=8.0))
    happened(cast, inside(cast, IT))
    item = the_item(kind=Kind.HELD)
    assert item.incident_id == Incident.objects.get().id
    assert item.copies == 2


def test_the_entry_that_held_a_harmless_copy_is_named_and_its_end_proposed(cast: Cast):
    rule = add_rule(
        tenant_id=cast.acme.id,
        kind="block",
        match="sender",
        value=EVE,
        recipient=INFO,
        reason="taken for an attack",
        actor=cast.bo,
    )
    decided = {"by": "block", "action": "hold", "rule_id": str(rule.id), "owner": "Bo"}
    clean: dict[str, Any] = {"verdict": Verdict.CLEAN, "score": 0.1}
    happened(cast, held(cast, **clean, detail={"decided": decided}), passed(cast, IT, **clean))
    happened(cast, inside(cast, IT))
    item = the_item(kind=Kind.HELD)
    assert (item.rule_id, item.rule_owner) == (rule.id, "Bo")
    assert (item.proposal["action"], item.proposal["rule_id"]) == ("remove_rule", str(rule.id))


def test_a_grave_verdict_acts_inside(cast: Cast):
    grave: dict[str, Any] = {"verdict": Verdict.PHISH, "score": 9.0}
    happened(cast, held(cast, **grave), passed(cast, IT, **grave), inside(cast, IT))
    item = the_item(kind=Kind.HELD)
    assert (item.proposal["layer"], item.proposal["action"]) == ("mailbox", "pull")
    accept(item=item, actor=cast.ana)
    assert Intent.objects.get().delivery.recipient == IT
    order = StandingOrder.objects.get()
    assert (order.kind, order.owner_name) == ("pull", "Ana")


def test_a_later_gateway_verdict_is_a_contradiction_and_an_early_one_is_none(cast: Cast):
    happened(cast, passed(cast), inside(cast))
    at = datetime.now(UTC) + timedelta(minutes=5)
    happened(cast, passed(cast, observed_at=at, verdict=Verdict.PHISH, score=9.0))
    assert the_item().kind == Kind.LATE
    assert the_item().proposal["action"] == "pull"
    text = the_item().proposal["text"]
    assert text.startswith("Pull every copy of the incident that is within reach (1 of this mail")
    happened(cast, passed(cast, number=2, verdict=Verdict.PHISH, score=3.0), inside(cast, number=2))
    assert Disagreement.objects.filter(kind=Kind.LATE).count() == 1


def test_what_was_delivered_unscanned_is_pulled_when_a_later_scan_condemns_it(cast: Cast):
    """As the gate tells it: seg_bridge/gate/rescan.py."""
    unscanned: dict[str, Any] = {"verdict": None, "score": None, "detail": {"missing": ["rspamd"]}}
    happened(cast, passed(cast, **unscanned), inside(cast))
    assert not Disagreement.objects.exists()
    later: dict[str, Any] = {
        "observed_at": datetime.now(UTC),
        "verdict": Verdict.PHISH,
        "score": 9.0,
    }
    told: dict[str, Any] = {"action": None, "place": None, "rule": "scanned after delivery"}
    weak = passed(cast, number=2, **(unscanned | later | {"score": 3.0}))
    happened(cast, passed(cast, number=2, **unscanned), inside(cast, number=2), weak)
    assert not Disagreement.objects.exists(), "below the points from which it would have been held"
    happened(cast, passed(cast, **later, **told))
    assert the_item().kind == Kind.LATE
    assert the_item().proposal["action"] == "pull"
    copy = the_item().incident.memberships.get().message.deliveries.get()
    assert (copy.outcome, copy.place) == (Outcome.DELIVERED, Place.INBOX)
    assert copy.gateway_verdict == Verdict.PHISH


def test_a_late_verdict_is_known_however_often_the_copy_was_seen_since(cast: Cast):
    happened(cast, passed(cast), inside(cast))
    now = datetime.now(UTC)
    happened(cast, passed(cast, observed_at=now, verdict=Verdict.PHISH, score=9.0))
    looks = [
        inside(cast, observed_at=now + timedelta(seconds=number), verdict=None)
        for number in range(1, 420)
    ]
    happened(cast, *looks)
    assert the_item().kind == Kind.LATE


def test_a_person_who_calls_it_phishing_contradicts_both_layers(cast: Cast):
    happened(cast, passed(cast), inside(cast))
    happened(cast, said(cast, f"person:{cast.ana.id}", Verdict.PHISH))
    item = the_item()
    assert (item.kind, item.proposal["action"]) == (Kind.PERSON, "pull")
    assert [side["layer"] for side in item.sides] == ["gateway", "mailbox", "person"]


def test_a_person_who_calls_held_mail_harmless_proposes_to_allow_it(cast: Cast):
    happened(cast, held(cast))
    happened(cast, said(cast, f"person:{cast.ana.id}", Verdict.CLEAN))
    item = the_item()
    assert (item.kind, item.proposal["kind"], item.proposal["recipient"]) == (
        Kind.PERSON,
        "allow",
        INFO,
    )


def test_no_repair_lets_phishing_in(cast: Cast):
    happened(cast, held(cast, verdict=Verdict.PHISH, score=9.0))
    happened(cast, said(cast, f"person:{cast.ana.id}", Verdict.CLEAN))
    item = the_item()
    assert item.proposal == {}
    with pytest.raises(WrongInput):
        accept(item=item, actor=cast.ana)


def test_the_mail_host_contradicts_both_layers(cast: Cast):
    happened(cast, passed(cast), inside(cast))
    happened(cast, said(cast, "vendor:graph", Verdict.PHISH, layer=Layer.VENDOR))
    assert the_item().kind == Kind.VENDOR
    happened(cast, inside(cast, verdict=Verdict.PHISH))
    assert the_item(kind=Kind.VENDOR).state == "settled"
    assert the_item(kind=Kind.PASSED).state == "open"


def test_own_domains_are_never_blocked(cast: Cast):
    boss = {"address": "ceo@acme.example", "name": "CEO", "raw": ""}
    hosts = ("pay.evil.example", "www.acme.example")
    links = [{"url": f"https://{host}/x", "host": host} for host in hosts]
    facts = mail_json(sender=boss, links=links)
    happened(cast, passed(cast, mail=facts), inside(cast, verdict=Verdict.BEC, mail=facts))
    repair = the_item().proposal
    assert (repair["match"], repair["value"]) == ("url_host", "pay.evil.example")


def test_malware_is_blocked_by_its_file(cast: Cast):
    file = {
        "sha256": "c" * 64,
        "size_bytes": 9000,
        "is_inline": False,
        "name": "x.exe",
        "kind": "exe",
    }
    facts = mail_json(attachments=[file])
    happened(cast, passed(cast, mail=facts), inside(cast, verdict=Verdict.MALWARE, mail=facts))
    repair = the_item().proposal
    assert (repair["match"], repair["value"]) == ("attachment_sha256", "c" * 64)


def test_who_rehearses_what_somebody_accepts_meanwhile_overwrites_nothing(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
):
    happened(cast, passed(cast), inside(cast, verdict=Verdict.PHISH))
    stale, real = the_item(), gateway_layer()

    class Meanwhile:
        def rehearse_repair(self, **asked: Any) -> RepairForecast:
            forecast = real.rehearse_repair(**asked)
            monkeypatch.undo()
            accept(item=the_item(), actor=cast.bo)
            return forecast

    monkeypatch.setattr(disagreements, "gateway_layer", Meanwhile)
    with pytest.raises(Conflict, match="decided by Bo"):
        rehearse_repair(item=stale, actor=cast.ana)


def test_accepting_writes_the_rehearsed_rule_with_owner_and_end_once(cast: Cast):
    happened(cast, passed(cast), inside(cast, verdict=Verdict.PHISH))
    item = the_item()
    forecast = rehearse_repair(item=item, actor=cast.ana)
    assert forecast.counts["newly_held"] == 1
    assert forecast.counts["caught"] == 1
    result = accept(item=item, actor=cast.ana, reason="seen twice")
    rule = GatewayRule.objects.get()
    assert result["rule"] == str(rule.id)
    assert (rule.kind, rule.value, rule.owner_name, rule.reason) == (
        "block",
        EVE,
        "Ana",
        "seen twice",
    )
    assert rule.incident_id == item.incident_id
    assert rule.expires_at is not None
    left = rule.expires_at - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)
    rehearsal = Rehearsal.objects.get(id=result["rehearsal"])
    assert (rehearsal.rule_id, rehearsal.saved_by) == (rule.id, "Ana")
    with pytest.raises(Conflict, match="by Ana"):
        accept(item=item, actor=cast.bo)
    assert the_item().state == "accepted"
    entry = AuditEntry.objects.get(action="incidents.disagreement.accepted")
    assert (entry.actor_name, entry.reason) == ("Ana", "seen twice")


def test_to_remove_an_entry_for_all_clients_is_rehearsed_for_all_and_a_leads(cast: Cast):
    ids = [cast.acme.id, cast.globex.id]
    with tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id):
        entry = add_rule(
            tenant_id=None, kind="allow", match="sender", value=EVE, reason="x", actor=cast.mo
        )
    decided = {"by": "allow", "action": "deliver", "rule_id": str(entry.id), "owner": "Mo"}
    happened(cast, passed(cast, detail={"decided": decided}), inside(cast, verdict=Verdict.PHISH))
    item = the_item()
    assert item.proposal["rule_id"] == str(entry.id)
    with tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id):
        with pytest.raises(NotAllowed), transaction.atomic():
            accept(item=item, actor=cast.ana)
        assert accept(item=item, actor=cast.mo)["rule"] == str(entry.id)
        made = Rehearsal.objects.exclude(saved_at=None)
        assert {rehearsal.tenant_id for rehearsal in made} == set(ids)
    entry.refresh_from_db()
    assert entry.removed_at is not None


def test_what_the_rehearsal_objects_to_needs_a_reason(cast: Cast):
    happened(cast, passed(cast), inside(cast, verdict=Verdict.PHISH))
    Incident.objects.update(
        state="resolved", classification="false_positive", resolved_at=datetime.now(UTC)
    )
    item = the_item()
    with pytest.raises(Objections, match="come out wrong"):
        accept(item=item, actor=cast.ana)
    with pytest.raises(Objections):
        accept(item=item, actor=cast.ana, despite=True)
    assert not GatewayRule.objects.exists()
    accept(item=item, actor=cast.ana, despite=True, reason="it was phishing after all")
    assert GatewayRule.objects.exists()


def test_dismissing_needs_a_reason_and_lasts(cast: Cast):
    happened(cast, passed(cast), inside(cast, verdict=Verdict.PHISH))
    with pytest.raises(WrongInput):
        dismiss(item=the_item(), actor=cast.ana, reason=" ")
    dismiss(item=the_item(), actor=cast.ana, reason="a drill")
    happened(cast, passed(cast, IT), inside(cast, IT, verdict=Verdict.PHISH))
    item = the_item()
    assert (item.state, item.reason, item.copies) == ("dismissed", "a drill", 2)


def test_a_repair_that_did_not_help_comes_back(cast: Cast):
    happened(cast, passed(cast), inside(cast, verdict=Verdict.PHISH))
    accept(item=the_item(), actor=cast.ana)
    later = datetime.now(UTC) + timedelta(minutes=1)
    happened(
        cast,
        passed(cast, IT, observed_at=later),
        inside(cast, IT, verdict=Verdict.PHISH, observed_at=later),
    )
    assert the_item().state == "open"


def test_the_clients_wish_sets_how_long_a_rule_holds(cast: Cast):
    LateVerdicts.objects.create(tenant=cast.acme, rule_days=9)
    happened(cast, passed(cast), inside(cast, verdict=Verdict.PHISH))
    assert the_item().proposal["days"] == 9


def test_what_a_layer_says_anew_of_the_same_copy_stands_on_the_item(cast: Cast):
    happened(cast, passed(cast), inside(cast, verdict=Verdict.SUSPICIOUS, score=3.0))
    assert [side["verdict"] for side in the_item().sides] == ["clean", "suspicious"]
    at = datetime.now(UTC) + timedelta(minutes=1)
    happened(cast, inside(cast, verdict=Verdict.PHISH, score=30.0, observed_at=at))
    told = the_item().sides[1]
    assert (told["verdict"], told["score"], told["at"]) == ("phish", 30.0, at.isoformat())


def test_a_proposal_follows_what_is_said_anew(cast: Cast):
    """By the sender at first; by the file, once it is held to be malware."""
    file = {
        "sha256": "c" * 64,
        "size_bytes": 9000,
        "is_inline": False,
        "name": "x.exe",
        "kind": "exe",
    }
    facts = mail_json(attachments=[file])
    happened(cast, passed(cast, mail=facts), inside(cast, verdict=Verdict.PHISH, mail=facts))
    assert the_item().proposal["match"] == "sender"
    at = datetime.now(UTC) + timedelta(minutes=1)
    happened(cast, inside(cast, verdict=Verdict.MALWARE, mail=facts, observed_at=at))
    assert the_item().proposal["match"] == "attachment_sha256"
