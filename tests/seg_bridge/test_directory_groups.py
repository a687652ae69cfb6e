"""Entries and policies for a group of the directory: whom they hold for, as people come and go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from console.queries.policies import policy_page
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.words import MatrixAction, Outcome, Place, Verdict
from seg_bridge.changes import rehearse_wish, save_change
from seg_bridge.directory_groups import groups_at_the_gate
from seg_bridge.gate.decide import Decidable, decide
from seg_bridge.gate.policy import GatewayRule as WireRule
from seg_bridge.gate.policy import TenantPolicy
from seg_bridge.models import GatewayRule, PolicyLayer
from seg_bridge.policies.layers import Layers, Target
from seg_bridge.policies.services import ask_change, make_change
from seg_bridge.rule_files import read_rules, render_rules
from seg_bridge.services import add_rule
from seg_bridge.snapshot import KnownGate, current_snapshot, policies_of
from tenants.directory import governing_groups
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.ids import new_id
from tenants.models import Mailbox, MailboxGroup, MailboxGroupMember
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json
from tests.seg_bridge.conftest import Mx

EVE = "eve@evil.example"
CEO, INFO = "ceo@acme.example", "info@acme.example"


@dataclass
class Finance:
    """A group of Acme's directory; its one member is the CEO, with an alias."""

    cast: Cast
    row: MailboxGroup

    def join(self, address: str) -> None:
        box = Mailbox.objects.get(tenant=self.cast.acme, address=address)
        MailboxGroupMember.objects.create(tenant=self.cast.acme, group=self.row, mailbox=box)

    def leave(self, address: str) -> None:
        MailboxGroupMember.objects.filter(mailbox__address=address).delete()

    def policy(self) -> TenantPolicy:
        """As a gate reads it."""
        (policy,) = policies_of([self.cast.acme.id])
        return TenantPolicy.from_json(policy.as_json())

    def action_for(self, address: str, verdict: Verdict = Verdict.CLEAN) -> MatrixAction:
        return decide(mail(verdict), self.policy(), address, timezone.now()).action

    def block(self, **changes: Any) -> GatewayRule:
        given: dict[str, Any] = {
            "tenant_id": self.cast.acme.id,
            "kind": "block",
            "match": "sender",
            "value": EVE,
            "recipient": "group:Finance",
            "reason": "They were written to",
            "actor": self.cast.ana,
        }
        return add_rule(**given | changes)

    @property
    def target(self) -> Target:
        return Target(provider=self.cast.provider, tenant=self.cast.acme, directory=self.row)

    def state(self, **states: str) -> None:
        wanted = {key.replace("_", "."): value for key, value in states.items()}
        asked = ask_change(target=self.target, version=0, actor=self.cast.mo, states=wanted)
        make_change(change=asked, actor=self.cast.mo, reason="agreed", despite=True)


@pytest.fixture
def gate(mx1: Mx) -> KnownGate:
    return mx1.known


def mail(verdict: Verdict = Verdict.CLEAN) -> Decidable:
    return Decidable(
        verdict=verdict,
        score=9.0,
        missing=(),
        is_disowned=False,
        sender=EVE,
        senders=frozenset({EVE}),
        client_ip="192.0.2.7",
        link_hosts=frozenset(),
        attachments=frozenset(),
    )


@pytest.fixture
def finance(cast: Cast):
    ids = [cast.acme.id, cast.globex.id]
    with tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id):
        Mailbox.objects.filter(address=CEO).update(aliases=["boss@acme.example"])
        row = MailboxGroup.objects.create(
            tenant=cast.acme, source_id=new_id(), external_id="g1", name="Finance"
        )
        made = Finance(cast, row)
        made.join(CEO)
        yield made


def test_an_entry_holds_for_who_is_in_the_group_under_each_of_her_addresses(finance: Finance):
    finance.block()
    held = {address: finance.action_for(address) for address in (CEO, "boss@acme.example", INFO)}
    assert list(held.values()) == [MatrixAction.HOLD, MatrixAction.HOLD, MatrixAction.DELIVER]
    decision = decide(mail(), finance.policy(), CEO, timezone.now())
    assert decision.rule.startswith("block of Acme: sender eve@evil.example for the group Finance")
    assert decision.as_json()["recipient"] == "the group Finance"


def test_who_joins_gets_it_and_who_leaves_loses_it_with_the_next_snapshot(
    gate: KnownGate, finance: Finance
):
    finance.block()
    first = current_snapshot(gate).version
    assert current_snapshot(gate).version == first
    finance.join(INFO)
    second = current_snapshot(gate)
    assert second.version != first
    assert finance.action_for(INFO) is MatrixAction.HOLD
    finance.leave(CEO)
    assert current_snapshot(gate).version not in (first, second.version)
    assert finance.action_for(CEO) is MatrixAction.DELIVER


def test_a_group_that_is_gone_or_empty_holds_for_nobody(finance: Finance):
    finance.block()
    MailboxGroup.objects.update(gone_at=timezone.now())
    assert {finance.action_for(each) for each in (CEO, INFO)} == {MatrixAction.DELIVER}
    rule = WireRule(
        id="1", kind="block", match="sender", value=EVE, recipient="the group Finance", also=()
    )
    assert not any(rule.is_for(each) for each in (CEO, "", "the group finance", "finance"))


def test_an_allow_entry_for_both_layers_may_be_for_a_group(finance: Finance):
    end = timezone.now() + timedelta(days=1)
    rule = finance.block(kind="allow", in_mailboxes=True, expires_at=end)
    assert rule.whose_mailboxes == "group:Finance"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipient": "group:Sales"}, "no group called Sales"),
        ({"tenant_id": None}, "for every mailbox"),
    ],
)
def test_what_it_cannot_be(finance: Finance, changes: dict[str, Any], words: str):
    with pytest.raises(WrongInput, match=words):
        finance.block(**changes, actor=finance.cast.mo)


def test_another_clients_group_and_an_ambiguous_name_are_no_scope(finance: Finance):
    cast = finance.cast
    with pytest.raises(WrongInput, match="no group"):
        finance.block(tenant_id=cast.globex.id)
    with pytest.raises(WrongInput, match="no group"):
        finance.block(tenant_id=cast.globex.id, recipient=f"group:{finance.row.id}")
    MailboxGroup.objects.create(
        tenant=cast.acme, source_id=new_id(), external_id="g2", name="finance"
    )
    with pytest.raises(WrongInput, match="Several groups"):
        finance.block()
    assert finance.block(recipient=f"group:{finance.row.id}").mailbox_group == finance.row
    with pytest.raises(Conflict, match="made this rule"):
        finance.block(recipient=f"group:{finance.row.id}")


def test_it_is_rehearsed_over_the_mail_of_its_mailboxes_only(finance: Finance):
    cast = finance.cast
    sender = mail_json(sender={"address": EVE, "name": "", "raw": EVE})
    common = {"action": Outcome.DELIVERED, "place": Place.INBOX, "mail": sender, "verdict": "clean"}
    common |= {"detail": {"missing": [], "mail_from": EVE, "client_ip": "192.0.2.7"}}
    record([gateway_saw(cast.acme, each, **common) for each in (CEO, INFO)])
    make_sense_of_backlog(cast.acme)
    wish = {"do": "add_rule", "kind": "block", "match": "sender", "value": EVE}
    kept = rehearse_wish(
        wish={**wish, "recipient": "group:Finance"}, tenants=[cast.acme], actor=cast.ana
    )
    assert kept[0].counts["newly_held"] == 1
    (rule,) = save_change(rehearsals=kept, actor=cast.ana, reason="They were written to")
    assert rule.mailbox_group == finance.row


def test_a_file_brings_it_out_and_in_again(finance: Finance):
    finance.block()
    found = read_rules(render_rules(GatewayRule.objects.all()))
    assert found["acme"][0]["recipient"] == "group:Finance"


def test_its_members_are_read_with_each_list(finance: Finance):
    acme = finance.cast.acme.id
    assert groups_at_the_gate(acme) == set()
    finance.block()
    assert finance.row.id in governing_groups(acme)


# --- policies


def test_a_policy_holds_for_who_is_in_the_group_and_names_it(finance: Finance):
    finance.state(action_graymail="hold")
    assert finance.action_for(CEO, Verdict.GRAYMAIL) is MatrixAction.HOLD
    assert finance.action_for("boss@acme.example", Verdict.GRAYMAIL) is MatrixAction.HOLD
    assert finance.action_for(INFO, Verdict.GRAYMAIL) is not MatrixAction.HOLD
    box = Mailbox.objects.select_related("domain").get(address=CEO)
    hers = Target(
        provider=finance.cast.provider, tenant=finance.cast.acme, domain=box.domain, mailbox=box
    )
    page = policy_page(hers)
    cell = next(row.action for row in page.rows if row.code == "graymail")
    assert (cell.own, cell.origin) == (None, "the group Finance of the directory")
    assert finance.row.id in {
        each.target.directory.id for each in page.wider if each.target.directory
    }


def test_a_mailbox_that_states_the_same_itself_goes_before_its_group(finance: Finance):
    finance.state(action_graymail="hold")
    box = Mailbox.objects.select_related("domain").get(address=CEO)
    hers = Target(
        provider=finance.cast.provider, tenant=finance.cast.acme, domain=box.domain, mailbox=box
    )
    asked = ask_change(
        target=hers, version=0, actor=finance.cast.ana, states={"action.graymail": "tag"}
    )
    assert {one["before_level"] for one in asked.differences} == {"directory"}
    make_change(change=asked, actor=finance.cast.ana, reason="agreed", despite=True)
    assert finance.action_for(CEO, Verdict.GRAYMAIL) is MatrixAction.TAG


def test_who_joins_a_group_with_a_policy_gets_it_and_who_leaves_loses_it(
    gate: KnownGate, finance: Finance
):
    finance.state(action_graymail="hold")
    first = current_snapshot(gate).version
    finance.join(INFO)
    assert current_snapshot(gate).version != first
    finance.leave(CEO)
    assert finance.action_for(INFO, Verdict.GRAYMAIL) is MatrixAction.HOLD
    assert finance.action_for(CEO, Verdict.GRAYMAIL) is not MatrixAction.HOLD
    MailboxGroup.objects.update(gone_at=timezone.now())
    assert finance.action_for(INFO, Verdict.GRAYMAIL) is not MatrixAction.HOLD


def test_a_group_gives_no_right_that_a_domain_or_an_earlier_group_keeps(finance: Finance):
    """Beside the client's own value nothing changes; for these mailboxes it does."""
    cast = finance.cast
    domain = Mailbox.objects.select_related("domain").get(address=CEO).domain
    of_domain = Target(provider=cast.provider, tenant=cast.acme, domain=domain)
    looser: dict[str, Any] = {
        "version": 0,
        "states": {"release.phish": "analyst", "mark_from": 2.0},
    }

    def keep(target: Target) -> None:
        stricter = {"release.phish": "lead"}
        asked = ask_change(target=target, version=0, actor=cast.mo, states=stricter)
        make_change(change=asked, actor=cast.mo, reason="agreed")

    asked = ask_change(target=finance.target, actor=cast.ana, **looser)
    keep(of_domain)
    for refused in (
        lambda: ask_change(target=finance.target, actor=cast.ana, **looser),
        lambda: make_change(change=asked, actor=cast.ana, reason="I need it"),
    ):
        with pytest.raises(NotAllowed, match="A lead lets more people release"):
            refused()
    PolicyLayer.objects.filter(domain=domain).delete()
    later = MailboxGroup.objects.create(
        tenant=cast.acme, source_id=finance.row.source_id, external_id="g2", name="Board"
    )
    keep(finance.target)
    of_later = Target(provider=cast.provider, tenant=cast.acme, directory=later)
    with pytest.raises(NotAllowed, match="A lead lets more people release"):
        ask_change(target=of_later, actor=cast.ana, **looser)
    assert ask_change(target=of_later, actor=cast.mo, **looser).states == looser["states"]


def test_where_no_group_states_anything_nothing_is_asked_of_the_directory(
    finance: Finance, django_assert_num_queries
):
    with django_assert_num_queries(1):
        Layers([finance.cast.acme.id])
