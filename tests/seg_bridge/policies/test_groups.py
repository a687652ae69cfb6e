"""Groups as a level of policies: what they state, who inherits it, and who joins or leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from incidents.layers import Objections
from seg_bridge.models import PolicyChange, PolicyLayer, Rehearsal
from seg_bridge.policies.effective import effective
from seg_bridge.policies.groups import (
    change_group,
    effect_of_members,
    seen_mark,
    take_group_away,
)
from seg_bridge.policies.layers import Layers, Target
from seg_bridge.policies.services import ask_change, make_change
from seg_bridge.snapshot import KnownGate, current_snapshot, policies_of
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.groups import members_of, save_group
from tenants.models import ClientGroup, Mailbox, Person, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.seg_bridge.conftest import Mx

CEO = "ceo@acme.example"
DEFAULT = (6.0, "default", "Bailey")


@dataclass
class Levels:
    """Acme is in both groups, Globex in none.  The names sort against the order of making."""

    cast: Cast
    early: ClientGroup
    late: ClientGroup

    def target(self, level: str) -> Target:
        provider, acme = self.cast.provider, self.cast.acme
        box = Mailbox.objects.select_related("domain").get(address=CEO)
        return {
            "provider": Target(provider=provider),
            "early": Target(provider=provider, group=self.early),
            "late": Target(provider=provider, group=self.late),
            "client": Target(provider=provider, tenant=acme),
            "domain": Target(provider=provider, tenant=acme, domain=box.domain),
            "mailbox": Target(provider=provider, tenant=acme, domain=box.domain, mailbox=box),
        }[level]

    def ask(self, level: str, *, actor: Person | None = None, **wish: Any) -> PolicyChange:
        target = self.target(level)
        row = PolicyLayer.objects.filter(**target.row_key).first()
        version = row.version if row else 0
        return ask_change(target=target, version=version, actor=actor or self.cast.mo, **wish)

    def make(self, level: str, **wish: Any) -> PolicyLayer:
        asked = self.ask(level, **wish)
        return make_change(change=asked, actor=self.cast.mo, reason="agreed", despite=True)

    def act_from(self, tenant: Tenant) -> float:
        (policy,) = policies_of([tenant.id])
        return policy.act_from


@pytest.fixture
def levels(cast: Cast):
    ids = [cast.acme.id, cast.globex.id]
    with tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id):
        early = save_group(name="Zurich", clients=[cast.acme], actor=cast.mo)
        late = save_group(name="Banks", clients=[cast.acme], actor=cast.mo)
        yield Levels(cast, early, late)


@pytest.mark.parametrize(
    ("stated", "of_ceo", "of_acme", "of_globex"),
    [
        ({}, DEFAULT, DEFAULT, DEFAULT),
        (
            {"provider": 5.0},
            (5.0, "provider", "Keep"),
            (5.0, "provider", "Keep"),
            (5.0, "provider", "Keep"),
        ),
        (
            {"provider": 5.0, "early": 4.0},
            (4.0, "group", "Zurich"),
            (4.0, "group", "Zurich"),
            (5.0, "provider", "Keep"),
        ),
        ({"early": 4.0, "late": 3.0}, (3.0, "group", "Banks"), (3.0, "group", "Banks"), DEFAULT),
        ({"late": 3.0, "early": 4.0}, (3.0, "group", "Banks"), (3.0, "group", "Banks"), DEFAULT),
        ({"late": 3.0, "client": 7.0}, (7.0, "client", "Acme"), (7.0, "client", "Acme"), DEFAULT),
        (
            {"late": 3.0, "domain": 8.0},
            (8.0, "domain", "acme.example"),
            (3.0, "group", "Banks"),
            DEFAULT,
        ),
        ({"early": 4.0, "mailbox": 2.0}, (2.0, "mailbox", CEO), (4.0, "group", "Zurich"), DEFAULT),
    ],
)
def test_every_value_names_its_origin_and_the_gate_is_told_the_same(
    levels: Levels, stated: dict[str, float], of_ceo: Any, of_acme: Any, of_globex: Any
):
    for level, value in stated.items():
        levels.make(level, states={"act_from": value})
    found = Layers([levels.cast.acme.id, levels.cast.globex.id])
    globex = Target(provider=levels.cast.provider, tenant=levels.cast.globex)
    for target, wanted in (
        (levels.target("mailbox"), of_ceo),
        (levels.target("client"), of_acme),
        (globex, of_globex),
    ):
        one = effective(found.chain_of(target))["act_from"]
        assert (one.value, str(one.level), one.name) == wanted
    acme, other = policies_of([levels.cast.acme.id, levels.cast.globex.id])
    assert acme.treatment_for(CEO).act_from == of_ceo[0]
    assert (acme.act_from, other.act_from) == (of_acme[0], of_globex[0])


def test_a_change_is_rehearsed_for_its_clients_alone_and_given_back(levels: Levels):
    levels.make("provider", states={"act_from": 5.0})
    asked = levels.ask("early", states={"act_from": 4.0})
    (line,) = asked.differences
    assert (line["before"], line["before_level"]) == (5.0, "provider")
    assert (line["after"], line["after_level"], line["after_name"]) == (4.0, "group", "Zurich")
    assert asked.batch
    found = Rehearsal.objects.filter(batch=asked.batch)
    assert [each.tenant_id for each in found] == [levels.cast.acme.id]
    assert levels.act_from(levels.cast.acme) == 5.0
    make_change(change=asked, actor=levels.cast.mo, reason="agreed", despite=True)
    assert levels.act_from(levels.cast.acme) == 4.0
    levels.make("early", inherits=["act_from"])
    assert levels.act_from(levels.cast.acme) == 5.0


def test_what_holds_for_a_group_is_a_leads_and_an_empty_one_has_nothing_to_rehearse(levels: Levels):
    with pytest.raises(NotAllowed):
        levels.ask("early", actor=levels.cast.ana, states={"act_from": 4.0})
    change_group(group=levels.early, name="Zurich", clients=[], actor=levels.cast.mo)
    with pytest.raises(WrongInput, match="Put clients into Zurich first"):
        levels.ask("early", states={"act_from": 4.0})


@pytest.mark.parametrize("meanwhile", ["states", "joins"])
def test_who_looked_at_a_client_is_told_when_its_group_changed(levels: Levels, meanwhile: str):
    if meanwhile == "joins":
        change_group(group=levels.late, name="Banks", clients=[], actor=levels.cast.mo)
        other = save_group(name="Other", clients=[levels.cast.globex], actor=levels.cast.mo)
        target = Target(provider=levels.cast.provider, group=other)
        asked = ask_change(target=target, version=0, actor=levels.cast.mo, states={"act_from": 4.0})
        make_change(change=asked, actor=levels.cast.mo, reason="agreed", despite=True)
    waits = levels.ask("client", actor=levels.cast.bo, states={"mark_from": 7.0})
    if meanwhile == "joins":
        clients = [levels.cast.acme, levels.cast.globex]
        change_group(group=other, name="Other", clients=clients, actor=levels.cast.mo, despite=True)
    else:
        levels.make("late", states={"act_from": 4.0})
    with pytest.raises(Conflict, match=r"meanwhile|as it was"):
        make_change(change=waits, actor=levels.cast.bo, reason="agreed", despite=True)


def test_who_joins_or_leaves_is_treated_otherwise_only_after_it_was_seen(levels: Levels):
    cast = levels.cast
    levels.make("late", states={"act_from": 4.0, "action.spam": "reject"})
    group, both = levels.late, [cast.acme, cast.globex]
    (joins,) = effect_of_members(group, both)
    assert (joins.client, joins.joins) == (cast.globex, True)
    assert "Globex joins: Spam: what happens becomes Reject; A verdict acts from" in joins.sentence
    with pytest.raises(Objections, match="Globex joins"):
        change_group(group=group, name="Banks", clients=both, actor=cast.mo)
    assert members_of(group.id) == [cast.acme.id]
    change_group(group=group, name="Banks", clients=both, actor=cast.mo, despite=True)
    assert levels.act_from(cast.globex) == 4.0
    leaves = effect_of_members(group, [cast.globex])
    assert [(one.client, one.joins) for one in leaves] == [(cast.acme, False)]
    assert len({seen_mark(leaves), seen_mark([joins]), seen_mark([])}) == 3
    with pytest.raises(NotAllowed):
        change_group(group=group, name="Banks", clients=[], actor=cast.ana, despite=True)


def test_where_nothing_becomes_another_value_nobody_is_asked(levels: Levels):
    cast = levels.cast
    change_group(group=levels.early, name="Zurich", clients=[cast.globex], actor=cast.mo)
    levels.make("client", states={"act_from": 7.0})
    levels.make("late", states={"act_from": 4.0})
    assert effect_of_members(levels.late, []) == []
    change_group(group=levels.late, name="Old banks", clients=[], actor=cast.mo)
    assert levels.act_from(cast.acme) == 7.0


def test_a_group_goes_when_it_states_nothing_any_more(levels: Levels):
    levels.make("late", states={"act_from": 4.0})
    with pytest.raises(Conflict, match="states 1 values"):
        take_group_away(group=levels.late, actor=levels.cast.mo)
    levels.make("late", inherits=["act_from"])
    with pytest.raises(NotAllowed):
        take_group_away(group=levels.late, actor=levels.cast.ana)
    take_group_away(group=levels.late, actor=levels.cast.mo)
    assert not PolicyLayer.objects.filter(level="group").exists()
    assert levels.act_from(levels.cast.acme) == 6.0


@pytest.fixture
def gate(mx1: Mx) -> KnownGate:
    return mx1.known


def test_a_gate_follows_who_joins_and_leaves(gate: KnownGate, levels: Levels):
    cast = levels.cast
    levels.make("late", states={"act_from": 4.0})
    before = current_snapshot(gate).version
    for clients in ([cast.acme, cast.globex], [cast.acme]):
        change_group(group=levels.late, name="Banks", clients=clients, actor=cast.mo, despite=True)
        now = current_snapshot(gate)
        told = {one["slug"]: one.get("act_from") for one in now.data["tenants"]}
        assert (told["globex"] == 4.0) is (len(clients) == 2)
        assert (now.version == before) is (len(clients) == 1)
