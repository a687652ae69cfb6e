"""Entries for a group of clients: whom they hold for, who joins or leaves, and who sees them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.layers import Objections
from incidents.words import MatrixAction, Outcome, Place, Verdict
from seg_bridge.changes import rehearse_wish, save_change
from seg_bridge.gate.decide import Decidable, decide
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.policies.groups import change_group, effect_of_members, seen_mark, take_group_away
from seg_bridge.rule_files import read_rules, render_rules
from seg_bridge.rule_scopes import clients_of_list, clients_of_rule, rules_of, with_group_ids
from seg_bridge.services import add_rule, remove_rule, retire_expired_rules
from seg_bridge.snapshot import KnownGate, current_snapshot, policies_of
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, NotAllowed, NotThere, WrongInput
from tenants.groups import save_group
from tenants.models import AuditEntry, ClientGroup, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json
from tests.seg_bridge.conftest import Mx

EVE = "eve@evil.example"


@dataclass
class Banks:
    """The group has Globex only."""

    cast: Cast
    row: ClientGroup

    def add(self, **changes: Any) -> GatewayRule:
        given: dict[str, Any] = {
            "tenant_id": None,
            "group_id": self.row.id,
            "kind": "block",
            "match": "sender",
            "value": EVE,
            "reason": "Globex was hit",
            "actor": self.cast.mo,
        }
        return add_rule(**given | changes)

    def held_for(self) -> dict[str, list[str]]:
        ids = [self.cast.acme.id, self.cast.globex.id]
        return {each.slug: [rule.value for rule in each.rules] for each in policies_of(ids)}

    def put(self, *clients: Tenant, despite: bool = True) -> None:
        change_group(
            group=self.row,
            name="Banks",
            clients=clients,
            actor=self.cast.mo,
            despite=despite,
        )


@pytest.fixture
def banks(cast: Cast):
    ids = [cast.acme.id, cast.globex.id]
    with tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id):
        yield Banks(cast, save_group(name="Banks", clients=[cast.globex], actor=cast.mo))


def test_it_holds_for_who_is_in_the_group_and_names_no_group_to_her(banks: Banks):
    banks.add()
    assert banks.held_for() == {"acme": [], "globex": [EVE]}
    (policy,) = policies_of([banks.cast.globex.id])
    mail = Decidable(
        verdict=Verdict.CLEAN,
        score=0.0,
        missing=(),
        is_disowned=False,
        sender=EVE,
        senders=frozenset({EVE}),
        client_ip="192.0.2.7",
        link_hosts=frozenset(),
        attachments=frozenset(),
    )
    decision = decide(mail, policy, "info@globex.example", timezone.now())
    assert decision.action is MatrixAction.HOLD
    assert decision.rule == f"block of a group of clients: sender {EVE}, set by Mo"
    assert "Banks" not in str(policy.as_json())


@pytest.fixture
def gate(mx1: Mx) -> KnownGate:
    return mx1.known


def test_gates_follow_an_entry_and_who_joins_or_leaves(gate: KnownGate, banks: Banks):
    cast = banks.cast

    def told() -> list[int]:
        rules = current_snapshot(gate).data.get("rules", ())
        return sorted(client for rule in rules for client in rule["tenants"])

    assert told() == []
    rule = banks.add()
    assert told() == [cast.globex.id]
    banks.put(cast.acme, cast.globex)
    assert told() == sorted([cast.acme.id, cast.globex.id])
    banks.put(cast.acme)
    assert told() == [cast.acme.id]
    remove_rule(rule=rule, actor=cast.mo, reason="over")
    assert told() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipient": "info@globex.example"}, "for every mailbox"),
        ({"kind": "allow", "value": "it@globex.example"}, "forges this client"),
        # Acme may join one day.
        ({"kind": "allow", "value": "it@acme.example"}, "forges this client"),
    ],
)
def test_what_it_cannot_be(banks: Banks, changes: dict[str, Any], words: str):
    with pytest.raises(WrongInput, match=words):
        banks.add(**changes)


def test_it_is_a_leads_and_there_is_one(banks: Banks):
    with pytest.raises(NotAllowed):
        banks.add(actor=banks.cast.ana)
    rule = banks.add()
    with pytest.raises(NotAllowed):
        remove_rule(rule=rule, actor=banks.cast.ana, reason="wrong")
    with pytest.raises(Conflict):
        banks.add()
    # The same for all clients, or for one, is another entry.
    banks.add(group_id=None)
    banks.add(group_id=None, tenant_id=banks.cast.globex.id)
    assert banks.held_for() == {"acme": [EVE], "globex": [EVE, EVE, EVE]}


def test_it_is_rehearsed_for_the_group_and_made_once(banks: Banks):
    cast = banks.cast
    banks.put(cast.acme, cast.globex)
    wish = {"do": "add_rule", "group": str(banks.row.id), "kind": "block", "match": "sender"}
    kept = rehearse_wish(wish={**wish, "value": EVE}, tenants=[cast.acme], actor=cast.mo)
    assert {each.tenant_id for each in kept} == {cast.acme.id, cast.globex.id}
    (rule,) = save_change(rehearsals=kept, actor=cast.mo, reason="seen")
    assert (rule.tenant, rule.group, rule.whose) == (None, banks.row, "the group Banks")
    assert clients_of_rule(rule) == [cast.acme, cast.globex]
    wish = {"do": "remove_rule", "rule_id": str(rule.id)}
    kept = rehearse_wish(wish=wish, tenants=[cast.acme], actor=cast.mo)
    assert len(kept) == 2
    assert save_change(rehearsals=kept, actor=cast.mo, reason="wrong") == [rule]
    assert banks.held_for() == {"acme": [], "globex": []}


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({"group": "no id"}, NotThere),
        ({"group": "0192a1b2-0000-7000-8000-000000000000"}, NotThere),
        ({"everywhere": True}, WrongInput),
    ],
)
def test_a_wish_for_no_group_is_refused(banks: Banks, wish: dict[str, Any], error: type[Exception]):
    asked = {"do": "add_rule", "kind": "block", "match": "sender", "value": EVE}
    with pytest.raises(error):
        rehearse_wish(
            wish={**asked, "group": str(banks.row.id), **wish}, tenants=[], actor=banks.cast.mo
        )


def test_who_joins_is_told_of_the_entries_with_a_rehearsal(banks: Banks):
    cast = banks.cast
    sender = {"address": EVE, "name": "Eve", "raw": ""}
    record(
        [
            gateway_saw(
                cast.acme,
                "ceo@acme.example",
                verdict=Verdict.CLEAN,
                score=0.0,
                action=Outcome.DELIVERED,
                place=Place.INBOX,
                mail=mail_json(sender=sender, from_all=[sender]),
                detail={"mail_from": EVE, "client_ip": "192.0.2.7", "missing": []},
            )
        ]
    )
    make_sense_of_backlog(cast.acme)
    assert effect_of_members(banks.row, [cast.acme, cast.globex]) == []
    banks.add()
    (moved,) = effect_of_members(banks.row, [cast.acme, cast.globex])
    assert "Acme joins: the group's 1 allow and block entries hold for it." in moved.sentence
    assert "1 would be held" in moved.sentence
    mark = seen_mark([moved])
    with pytest.raises(Objections):
        banks.put(cast.acme, cast.globex, despite=False)
    banks.add(value="x@evil.example")
    assert seen_mark(effect_of_members(banks.row, [cast.acme, cast.globex])) != mark
    banks.put(cast.acme, cast.globex)
    (moved,) = effect_of_members(banks.row, [cast.globex])
    assert moved.sentence.startswith("Acme leaves: the group's 2 allow and block entries hold for")


def test_a_group_with_entries_is_not_removed_over_its_clients_heads(banks: Banks):
    banks.add()
    with pytest.raises(Conflict, match="1 allow and block entries in force"):
        take_group_away(group=banks.row, actor=banks.cast.mo)
    banks.put()
    take_group_away(group=banks.row, actor=banks.cast.mo)
    assert not GatewayRule.objects.exists()
    assert AuditEntry.objects.filter(action="seg_bridge.rule.removed").count() == 1


def test_it_is_retired_by_any_client(banks: Banks):
    banks.add()
    GatewayRule.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    retire_expired_rules(ClaimedWork(banks.cast.acme.id, banks.cast.provider.id, 1))
    assert GatewayRule.objects.exclude(removed_at=None).count() == 1


def test_out_to_a_file_and_in_again_beside_a_clients_own(banks: Banks):
    cast = banks.cast
    banks.put(cast.acme, cast.globex)
    banks.add()
    banks.add(group_id=None, tenant_id=cast.acme.id, value="acme@evil.example")
    rows = GatewayRule.objects.select_related("tenant", "group").order_by("id")
    data = render_rules(rows)
    assert b'"group:Banks","block","sender","eve@evil.example"' in data
    GatewayRule.objects.all().delete()
    found = with_group_ids(read_rules(data.replace(b"group:Banks", b"Group: banks")))
    wish = {"do": "add_rules", "rules": found}
    kept = rehearse_wish(wish=wish, tenants=clients_of_list(found), actor=cast.mo)
    shares = {each.tenant.slug: set(each.change["rules"]) for each in kept}
    group = f"group:{banks.row.id}"
    assert shares == {"acme": {"acme", group}, "globex": {group}}
    assert "Banks" not in str(list(Rehearsal.objects.values("change")))
    made = save_change(rehearsals=kept, actor=cast.mo, reason="moved")
    assert sorted((rule.whose, rule.value) for rule in made) == [
        ("Acme", "acme@evil.example"),
        ("the group Banks", EVE),
    ]


@pytest.mark.parametrize("name", ["Nobody", ""])
def test_a_file_with_a_group_that_is_not_there_says_so(banks: Banks, name: str):
    data = f"client,kind,match,value\ngroup:{name},block,sender,{EVE}\n"
    with pytest.raises(WrongInput, match="no group called"):
        with_group_ids(read_rules(data.encode()))


def test_lists_show_it_to_who_sees_a_client_of_the_group(banks: Banks):
    banks.add()
    for client, found in (("", 1), ("globex", 1), ("acme", 0), (f"group:{banks.row.id}", 1)):
        assert GatewayRule.objects.filter(rules_of(client)).count() == found, client


def test_who_sees_no_client_of_the_group_sees_no_entry_of_it(cast: Cast):
    both = [cast.acme.id, cast.globex.id]
    with tenant_scope(Role.ANALYST, both, provider_id=cast.provider.id):
        row = save_group(name="Banks", clients=[cast.globex], actor=cast.mo)
        rule = Banks(cast, row).add()
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        assert not GatewayRule.objects.filter(rules_of("")).exists()
        wish = {"do": "remove_rule", "rule_id": str(rule.id)}
        with pytest.raises(NotThere):
            rehearse_wish(wish=wish, tenants=[cast.acme], actor=cast.mo)
        with pytest.raises(NotThere):
            rehearse_wish(
                wish={"do": "add_rule", "group": str(row.id), "kind": "block"},
                tenants=[cast.acme],
                actor=cast.mo,
            )
    for client in (cast.acme, cast.globex):
        with tenant_scope(Role.PORTAL, [client.id]):
            assert not GatewayRule.objects.exists()
