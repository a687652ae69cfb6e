"""Changing policies: rehearsed, by whom, never over somebody's head, and in force at the gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.layers import Objections
from incidents.words import MatrixAction, Outcome, Place, Verdict
from seg_bridge.gate.policy import TenantPolicy
from seg_bridge.models import PolicyChange, PolicyLayer, Rehearsal
from seg_bridge.policies.effective import Level
from seg_bridge.policies.layers import Layers, Target
from seg_bridge.policies.services import (
    ask_change,
    make_change,
    remove_template,
    save_template,
    templates_for,
)
from seg_bridge.snapshot import policies_of
from tenants.errors import Conflict, NotAllowed, NotThere, WrongInput
from tenants.models import AuditEntry, Domain, Mailbox, Person
from tenants.scope import NoTenantScope, Role, tenant_scope
from tests.factories import Cast, gateway_saw

CEO = "ceo@acme.example"


@pytest.fixture(autouse=True)
def both_clients(cast: Cast):
    ids = [cast.acme.id, cast.globex.id]
    with tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id):
        yield


def at(cast: Cast, level: str = "client") -> Target:
    box = Mailbox.objects.select_related("domain").get(address=CEO)
    mailbox = Target(provider=cast.provider, tenant=cast.acme, domain=box.domain, mailbox=box)
    return {
        "provider": Target(provider=cast.provider),
        "client": replace(mailbox, domain=None, mailbox=None),
        "domain": replace(mailbox, mailbox=None),
        "mailbox": mailbox,
    }[level]


def change(cast: Cast, level: str = "client", *, actor: Person | None = None, **wish: Any):
    target = at(cast, level)
    row = PolicyLayer.objects.filter(**target.row_key).first()
    asked = ask_change(
        target=target, version=row.version if row else 0, actor=actor or cast.mo, **wish
    )
    return make_change(change=asked, actor=actor or cast.mo, reason="agreed", despite=True)


def rehearsed(asked: PolicyChange) -> list[Rehearsal]:
    assert asked.batch
    return list(Rehearsal.objects.filter(batch=asked.batch))


def policy_of(cast: Cast) -> TenantPolicy:
    (policy,) = policies_of([cast.acme.id])
    return policy


def test_the_gate_is_told_what_each_level_states(cast: Cast):
    change(cast, "provider", states={"action.suspicious": "hold", "act_from": 5.0})
    change(cast, "client", states={"act_from": 4.0})
    change(cast, "domain", states={"action.spam": "reject"})
    change(cast, "mailbox", states={"action.spam": "deliver", "act_from": 9.0})
    policy = policy_of(cast)
    assert (policy.act_from, policy.matrix[Verdict.SUSPICIOUS]) == (4.0, MatrixAction.HOLD)
    assert policy.matrix[Verdict.SPAM] is MatrixAction.HOLD
    of_info, of_ceo = policy.treatment_for("info@acme.example"), policy.treatment_for(CEO)
    assert (of_info.act_from, of_info.matrix[Verdict.SPAM]) == (4.0, MatrixAction.REJECT)
    assert (of_ceo.act_from, of_ceo.matrix[Verdict.SPAM]) == (9.0, MatrixAction.DELIVER)
    assert policy.whose(CEO) == "Acme for ceo@acme.example"
    (globex,) = policies_of([cast.globex.id])
    assert (globex.act_from, globex.exceptions) == (5.0, {})


def test_a_mailbox_has_one_policy_whatever_address_a_mail_is_written_to(cast: Cast):
    other = Domain.objects.create(
        tenant=cast.acme, name="acme.test", next_hop_host="127.0.0.1", next_hop_port=25
    )
    Mailbox.objects.filter(address=CEO).update(aliases=["boss@acme.test", "boss@acme.example"])
    target = Target(provider=cast.provider, tenant=cast.acme, domain=other)
    asked = ask_change(target=target, version=0, actor=cast.ana, states={"act_from": 3.0})
    make_change(change=asked, actor=cast.ana, reason="agreed")
    found = policy_of(cast)
    assert found.treatment_for("anybody@acme.test").act_from == 3.0
    assert found.treatment_for("boss@acme.test").act_from == 6.0
    change(cast, "mailbox", states={"act_from": 9.0})
    found = policy_of(cast)
    addresses = (CEO, "boss@acme.test", "boss@acme.example")
    assert [found.treatment_for(each).act_from for each in addresses] == [9.0, 9.0, 9.0]


def test_only_a_lead_changes_what_holds_for_all_clients(cast: Cast):
    with pytest.raises(NotAllowed):
        change(cast, "provider", actor=cast.ana, states={"act_from": 5.0})
    asked = ask_change(
        target=at(cast, "provider"), version=0, actor=cast.mo, states={"act_from": 5.0}
    )
    with pytest.raises(NotAllowed):
        make_change(change=asked, actor=cast.ana, reason="agreed")
    assert change(cast, "client", actor=cast.ana, states={"act_from": 5.0}).version == 1


@pytest.mark.parametrize("level", ["client", "domain", "mailbox"])
def test_nobody_gives_herself_the_right_to_release(cast: Cast, level: str):
    looser: dict[str, Any] = {"states": {"release.malware": "analyst"}}
    with pytest.raises(NotAllowed, match="A lead lets more people release held mail"):
        change(cast, level, actor=cast.ana, **looser)
    asked = ask_change(target=at(cast, level), version=0, actor=cast.mo, **looser)
    with pytest.raises(NotAllowed):
        make_change(change=asked, actor=cast.ana, reason="I need it")
    assert not PolicyLayer.objects.exists()
    make_change(change=asked, actor=cast.mo, reason="agreed")
    stricter = change(cast, level, actor=cast.ana, states={"release.malware": "nobody"})
    assert stricter.stated["release.malware"]["value"] == "nobody"
    with pytest.raises(NotAllowed):
        change(cast, level, actor=cast.ana, inherits=["release.malware"])


@pytest.mark.parametrize(
    "wish",
    [
        *({"action.malware": "tag"}, {"action.phish": "deliver"}, {"action.not_scanned": "tag"}),
        *({"act_from": 100}, {"held.keep_days": 7}, {"held.most_mb": 10}, {"records.reports": 30}),
    ],
    ids=str,
)
def test_nobody_but_a_lead_has_mail_let_in_or_things_deleted_earlier(
    cast: Cast, wish: dict[str, Any]
):
    with pytest.raises(NotAllowed, match="A lead has"):
        change(cast, actor=cast.ana, states=wish)
    asked = ask_change(target=at(cast), version=0, actor=cast.mo, states=wish)
    with pytest.raises(NotAllowed, match="A lead has"):
        make_change(change=asked, actor=cast.ana, reason="agreed", despite=True)
    assert make_change(change=asked, actor=cast.mo, reason="agreed", despite=True).version == 1


def test_whoever_has_the_client_keeps_things_longer_and_lets_less_in(cast: Cast):
    wish = {"act_from": 3.0, "held.keep_days": 90, "records.reports": 3650}
    assert change(cast, actor=cast.ana, states=wish).version == 1
    assert change(cast, states={"held.most_mb": 10}).version == 2
    assert change(cast, actor=cast.ana, states={"held.most_mb": 0}).version == 3
    with pytest.raises(NotAllowed, match="deleted earlier"):
        change(cast, actor=cast.ana, inherits=["held.keep_days"])


def test_nobody_but_a_lead_has_grave_mail_delivered(cast: Cast):
    assert change(cast, actor=cast.ana, states={"action.malware": "reject"}).version == 1
    assert change(cast, actor=cast.ana, states={"action.spam": "deliver"}).version == 2
    assert change(cast, states={"action.malware": "tag"}).version == 3
    assert change(cast, actor=cast.ana, states={"action.malware": "deliver"}).version == 4


def test_a_template_that_lets_more_people_release_is_a_leads(cast: Cast):
    change(cast, "provider", states={"release.phish": "lead"})
    with pytest.raises(NotAllowed):
        change(cast, "client", actor=cast.ana, template="Standard")
    assert change(cast, "client", actor=cast.ana, template="Strict").version == 1


def test_asking_changes_nothing_and_keeps_what_it_would_do(cast: Cast):
    asked = ask_change(target=at(cast), version=0, actor=cast.bo, states={"act_from": 4.0})
    assert policy_of(cast).act_from == 6.0
    assert asked.differences == [
        {
            "key": "act_from",
            "before": 6.0,
            "before_level": "default",
            "before_name": "Bailey",
            "after": 4.0,
            "after_level": "client",
            "after_name": "Acme",
        }
    ]
    assert len(rehearsed(asked)) == 1


def test_a_change_that_touches_no_mail_needs_no_rehearsal(cast: Cast):
    asked = ask_change(target=at(cast), version=0, actor=cast.bo, states={"release.spam": "lead"})
    assert asked.batch is None
    row = make_change(change=asked, actor=cast.bo, reason="agreed")
    assert row.stated["release.spam"]["value"] == "lead"


def test_a_wider_change_is_rehearsed_for_those_only_that_inherit_it(cast: Cast):
    change(cast, "client", states={"act_from": 4.0})
    asked = ask_change(
        target=at(cast, "provider"), version=0, actor=cast.mo, states={"act_from": 5.0}
    )
    rows = rehearsed(asked)
    assert [row.tenant_id for row in rows] == [cast.globex.id]


def hold_fraud(cast: Cast, number: int = 1) -> None:
    held: dict[str, Any] = {"action": Outcome.HELD, "place": Place.HOLD, "score": 9.0}
    held |= {"verdict": Verdict.BEC, "ulid": f"01J0000000000000000000000{number}"}
    detail = {"mail_from": "eve@evil.example", "client_ip": "192.0.2.7", "missing": []}
    when = datetime.now(UTC) - timedelta(hours=1)
    record([gateway_saw(cast.acme, CEO, detail=detail, observed_at=when, **held)])
    make_sense_of_backlog(cast.acme)


def test_objections_stop_it_unless_a_person_says_despite(cast: Cast):
    hold_fraud(cast)
    asked = ask_change(target=at(cast), version=0, actor=cast.mo, states={"action.bec": "deliver"})
    with pytest.raises(Objections):
        make_change(change=asked, actor=cast.mo, reason="they insist")
    assert not PolicyLayer.objects.exists()
    with pytest.raises(WrongInput):
        make_change(change=asked, actor=cast.mo, reason=" ", despite=True)
    make_change(change=asked, actor=cast.mo, reason="they insist", despite=True)
    asked.refresh_from_db()
    assert len(asked.despite) == 1
    entry = AuditEntry.objects.get(action="seg_bridge.policy.changed")
    assert (entry.reason, entry.detail["before"]) == ("they insist", {})
    assert entry.detail["after"] == {"action.bec": "deliver"}


def test_the_forecast_looks_at_the_mailbox_that_changes_alone(cast: Cast):
    hold_fraud(cast)
    for level, number in (("mailbox", 1), ("client", 1)):
        asked = ask_change(
            target=at(cast, level), version=0, actor=cast.mo, states={"act_from": 20.0}
        )
        (kept,) = rehearsed(asked)
        assert kept.counts["newly_delivered"] == number
    box = Mailbox.objects.select_related("domain").get(address="it@acme.example")
    other = replace(at(cast), domain=box.domain, mailbox=box)
    asked = ask_change(target=other, version=0, actor=cast.mo, states={"act_from": 20.0})
    (kept,) = rehearsed(asked)
    assert kept.counts["newly_delivered"] == 0


def test_nobody_overwrites_what_she_has_not_seen(cast: Cast):
    change(cast, states={"act_from": 5.0}, actor=cast.bo)
    with pytest.raises(Conflict, match=r"Bo changed the policy of Acme meanwhile, on \d+ \w+"):
        ask_change(target=at(cast), version=0, actor=cast.ana, states={"act_from": 4.0})
    first, second = (
        ask_change(target=at(cast), version=1, actor=person, states={"act_from": value})
        for person, value in ((cast.ana, 4.0), (cast.bo, 3.0))
    )
    make_change(change=second, actor=cast.bo, reason="agreed")
    with pytest.raises(Conflict, match="Bo changed"):
        make_change(change=first, actor=cast.ana, reason="agreed")
    assert policy_of(cast).act_from == 3.0


def test_a_wider_level_that_changed_meanwhile_is_a_conflict_too(cast: Cast):
    change(cast, "provider", states={"act_from": 5.0})
    asked = ask_change(target=at(cast), version=0, actor=cast.bo, states={"mark_from": 2.0})
    change(cast, "provider", states={"act_from": 9.0})
    with pytest.raises(Conflict, match="Mo changed the policy of Keep"):
        make_change(change=asked, actor=cast.bo, reason="agreed")
    asked = ask_change(target=at(cast), version=0, actor=cast.bo, states={"mark_from": 2.0})
    change(cast, "client", states={"act_from": 9.0})
    with pytest.raises(Conflict, match="Mo changed the policy of Acme"):
        make_change(change=asked, actor=cast.bo, reason="agreed")


def test_a_change_is_made_once_and_while_its_forecast_is_fresh(cast: Cast):
    asked = ask_change(target=at(cast), version=0, actor=cast.bo, states={"release.spam": "lead"})
    later = datetime.now(UTC) + timedelta(hours=1, minutes=1)
    with time_machine.travel(later, tick=True), pytest.raises(Conflict, match="Rehearse it again"):
        make_change(change=asked, actor=cast.bo, reason="agreed")
    make_change(change=asked, actor=cast.bo, reason="agreed")
    with pytest.raises(Conflict, match="already"):
        make_change(change=asked, actor=cast.bo, reason="agreed")


def test_a_value_is_given_back_alone_and_with_all_others(cast: Cast):
    untouched = policy_of(cast)
    change(cast, states={"act_from": 5.0, "action.spam": "tag", "mark_subject": ""})
    change(cast, inherits={"act_from"})
    policy = policy_of(cast)
    assert (policy.act_from, policy.matrix[Verdict.SPAM]) == (6.0, MatrixAction.TAG)
    assert policy.mark_subject == ""
    row = change(cast, inherits={"action.spam", "mark_subject"})
    assert (row.stated, row.version) == ({}, 3)
    assert policy_of(cast) == untouched
    with pytest.raises(WrongInput, match="Nothing would change"):
        change(cast, inherits={"act_from"})


@pytest.mark.parametrize(
    "wish",
    [
        *({}, {"states": {"act_from": "much"}}, {"states": {"nothing": 1}}),
        *({"inherits": {"nothing"}}, {"states": {"act_from": 5}, "inherits": {"act_from"}}),
    ],
    ids=str,
)
def test_a_wish_that_makes_no_sense_is_refused(cast: Cast, wish: dict[str, Any]):
    with pytest.raises(WrongInput):
        change(cast, **wish)
    assert not PolicyChange.objects.exists()


def test_a_template_makes_the_level_state_its_values_and_nothing_else(cast: Cast):
    change(cast, states={"held.keep_days": 7, "act_from": 9.0})
    row = change(cast, template="Strict")
    (strict,) = (each for each in templates_for(cast.provider.id) if each.name == "Strict")
    assert {key: one["value"] for key, one in row.stated.items()} == dict(strict.values)
    assert row.template == "Strict"
    with pytest.raises(NotThere):
        change(cast, template="Lenient")


def test_a_provider_has_templates_of_her_own(cast: Cast):
    wish: dict[str, Any] = {"provider_id": cast.provider.id, "words": "", "actor": cast.mo}
    for name, values in (("", {"act_from": 5}), ("strict", {"act_from": 5}), ("Ours", {})):
        with pytest.raises(WrongInput):
            save_template(name=name, values=values, **wish)
    with pytest.raises(NotAllowed):
        save_template(name="Ours", values={"act_from": 5}, **wish | {"actor": cast.ana})
    save_template(name="Ours", values={"act_from": 5}, **wish)
    row = save_template(name="Ours", values={"act_from": "4"}, **wish)
    assert [each.name for each in templates_for(cast.provider.id)][-1] == "Ours"
    assert change(cast, template="Ours").stated["act_from"]["value"] == 4.0
    remove_template(template=row, actor=cast.mo)
    assert policy_of(cast).act_from == 4.0


def test_what_can_no_longer_be_read_is_inherited(cast: Cast, caplog):
    row = change(cast, states={"act_from": 5.0, "mark_from": 2.0})
    row.stated = {**row.stated, "act_from": {"value": "much"}, "gone": {"value": 1}}
    row.save()
    policy = policy_of(cast)
    assert (policy.act_from, policy.mark_from) == (6.0, 2.0)
    assert "act_from cannot be read" in caplog.text


def test_a_policy_is_never_read_without_what_holds_for_all(cast: Cast):
    with tenant_scope(Role.WORKER, [cast.acme.id]), pytest.raises(NoTenantScope):
        Layers([cast.acme.id])


def test_a_level_tells_who_said_what_when_and_why(cast: Cast):
    change(cast, "provider", states={"act_from": 5.0})
    layers = Layers([cast.acme.id]).chain(cast.acme.id)
    one = layers[0].values["act_from"]
    assert (layers[0].level, one.by, one.reason) == (Level.PROVIDER, "Mo", "agreed")
    assert datetime.fromisoformat(one.at) > datetime.now(UTC) - timedelta(minutes=1)
