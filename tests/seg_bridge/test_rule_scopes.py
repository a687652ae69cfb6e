"""Entries for all clients, for domains and mailboxes with other names; ends; lists as files."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Delivery
from incidents.words import Outcome, Place, Verdict
from seg_bridge.changes import rehearse_wish, save_change
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.proposals import propose_exception
from seg_bridge.rule_files import MOST_LINES, read_rules, render_rules, state_of
from seg_bridge.rule_scopes import clients_of_list, clients_of_rule
from seg_bridge.rule_scopes import rules_of as entries_of
from seg_bridge.services import (
    RULE_LASTS,
    add_rule,
    remove_rule,
    retire_expired_rules,
)
from seg_bridge.snapshot import policies_of
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.groups import save_group
from tenants.models import AuditEntry, Mailbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json

INFO, CEO = "info@acme.example", "ceo@acme.example"


@pytest.fixture(autouse=True)
def both_clients(cast: Cast):
    ids = [cast.acme.id, cast.globex.id]
    with tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id):
        yield


def add(cast: Cast, **changes: Any) -> GatewayRule:
    given: dict[str, Any] = {
        "tenant_id": cast.acme.id,
        "kind": "block",
        "match": "sender",
        "actor": cast.mo,
        "value": "eve@evil.example",
        "reason": "Acme was hit",
    }
    return add_rule(**given | changes)


def rules_of(cast: Cast) -> dict[str, list[Any]]:
    ids = [cast.acme.id, cast.globex.id]
    return {policy.slug: list(policy.rules) for policy in policies_of(ids)}


def test_an_entry_for_all_clients_reaches_each_of_them_without_its_reason(cast: Cast):
    row = add(cast, tenant_id=None)
    assert row.tenant is None
    found = rules_of(cast)
    for slug in ("acme", "globex"):
        (rule,) = found[slug]
        assert (rule.id, rule.scope, rule.owner, rule.reason) == (
            *(str(row.id), "provider", "Mo"),
            "",
        )


def test_what_holds_for_all_clients_is_a_leads(cast: Cast):
    with pytest.raises(NotAllowed):
        add(cast, tenant_id=None, actor=cast.ana)
    row = add(cast, tenant_id=None)
    with pytest.raises(NotAllowed):
        remove_rule(rule=row, actor=cast.ana, reason="wrong")
    remove_rule(rule=row, actor=cast.mo, reason="wrong")
    assert rules_of(cast) == {"acme": [], "globex": []}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipient": INFO}, "for every mailbox"),
        ({"kind": "allow", "value": "it@globex.example"}, "forges this client"),
    ],
)
def test_what_an_entry_for_all_clients_cannot_be(cast: Cast, changes: dict[str, Any], words: str):
    with pytest.raises(WrongInput, match=words):
        add(cast, tenant_id=None, **changes)


def test_it_is_rehearsed_for_every_client_and_made_once(cast: Cast):
    wish = {"do": "add_rule", "everywhere": True, "kind": "block", "match": "sender"}
    wish |= {"value": "eve@evil.example"}
    kept = rehearse_wish(wish=wish, tenants=[cast.acme], actor=cast.mo)
    assert {each.tenant_id for each in kept} == {cast.acme.id, cast.globex.id}
    (rule,) = save_change(rehearsals=kept, actor=cast.mo, reason="seen")
    assert rule.tenant_id is None
    assert not Rehearsal.objects.filter(saved_at=None).exists()
    wish = {"do": "remove_rule", "rule_id": str(rule.id)}
    kept = rehearse_wish(wish=wish, tenants=clients_of_rule(rule), actor=cast.mo)
    assert len(kept) == 2
    (removed,) = save_change(rehearsals=kept, actor=cast.mo, reason="wrong")
    assert removed.id == rule.id
    assert rules_of(cast) == {"acme": [], "globex": []}


def test_a_list_of_a_client_or_group_has_the_entries_for_all_too(cast: Cast):
    add(cast, tenant_id=None, value="all@evil.example")
    add(cast, value="acme@evil.example")
    add(cast, tenant_id=cast.globex.id, value="globex@evil.example")
    group = save_group(name="Law firms", clients=[cast.globex], actor=cast.mo)
    empty = save_group(name="Nobody yet", clients=[], actor=cast.mo)
    for client, wanted in (
        ("", {"all", "acme", "globex"}),
        ("acme", {"all", "acme"}),
        (f"group:{group.id}", {"all", "globex"}),
        (f"group:{empty.id}", set()),
        ("nobody", set()),
    ):
        found = GatewayRule.objects.filter(entries_of(client)).values_list("value", flat=True)
        assert {value.partition("@")[0] for value in found} == wanted, client


def test_an_entry_for_a_mailbox_is_for_its_other_addresses_too(cast: Cast):
    Mailbox.objects.filter(address=CEO).update(aliases=["Boss@acme.example"])
    add(cast, recipient=CEO)
    (rule,) = rules_of(cast)["acme"]
    assert [rule.is_for(each) for each in (CEO, "boss@acme.example", INFO)] == [True, True, False]


def test_an_entry_for_a_domain(cast: Cast):
    add(cast, recipient="@Acme.example")
    (rule,) = rules_of(cast)["acme"]
    assert rule.is_for(CEO)


def test_who_says_no_end_gets_one_and_who_wants_none_says_why(cast: Cast):
    row = add(cast)
    assert row.expires_at is not None
    assert abs(row.expires_at - timezone.now() - RULE_LASTS) < timedelta(minutes=1)
    endless = add(cast, value="x@evil.example", no_end_because="A sworn enemy")
    assert (endless.expires_at, endless.no_end_because) == (None, "A sworn enemy")
    with pytest.raises(Conflict):
        add(cast)


def test_an_expired_entry_for_all_is_retired_by_any_client(cast: Cast):
    row = add(cast, tenant_id=None)
    GatewayRule.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    retire_expired_rules(ClaimedWork(cast.globex.id, cast.provider.id, 1))
    row.refresh_from_db()
    assert state_of(row, timezone.now()) == "expired"
    assert AuditEntry.objects.filter(action="seg_bridge.rule.expired", tenant=None).count() == 1


# --- files


def as_table(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


def test_what_is_exported_can_be_imported_again(cast: Cast):
    add(cast, reason="=HYPERLINK(1)", recipient="@acme.example")
    add(cast, kind="allow", match="dkim_domain", value="news.example", reason="their, list")
    rows = GatewayRule.objects.select_related("tenant").order_by("id")
    data = render_rules(rows)
    found = read_rules(data)
    GatewayRule.objects.all().delete()
    wish = {"do": "add_rules", "rules": found}
    kept = rehearse_wish(wish=wish, tenants=clients_of_list(found), actor=cast.ana)
    made = save_change(rehearsals=kept, actor=cast.ana, reason="moved")
    told = [(r.kind, r.match, r.value, r.recipient, r.reason, r.expires_at) for r in made]
    assert [row[:5] for row in told] == [
        ("block", "sender", "eve@evil.example", "@acme.example", "=HYPERLINK(1)"),
        ("allow", "dkim_domain", "news.example", "", "their, list"),
    ]
    assert render_rules(made).count(b"\r\n") == data.count(b"\r\n")


@pytest.mark.parametrize("reason", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "＝1", " =1", "|cmd"])
def test_no_cell_of_the_export_is_a_formula(cast: Cast, reason: str):
    row = add(cast)
    GatewayRule.objects.update(reason=reason)
    row.refresh_from_db()
    (line,) = as_table(render_rules([row]))
    assert all(not cell.lstrip()[:1] or cell.lstrip()[0] not in "=+-@|＝" for cell in line.values())


def test_each_client_keeps_its_own_part_of_a_list(cast: Cast):
    lines = "client,kind,match,value\nacme,block,sender,a@b.example\n"
    lines += "globex,block,sender,c@d.example\nacme,block,sender,a@b.example\n"
    found = read_rules(lines.encode())
    wish = {"do": "add_rules", "rules": found}
    kept = rehearse_wish(wish=wish, tenants=clients_of_list(found), actor=cast.ana)
    shares = {each.tenant.slug: set(each.change["rules"]) for each in kept}
    assert shares == {"acme": {"acme"}, "globex": {"globex"}}
    assert len(save_change(rehearsals=kept, actor=cast.ana, reason="a list")) == 2


def test_a_list_for_all_clients(cast: Cast):
    found = read_rules(b"client;kind;match;value\n*;block;sender_domain;evil.example\n")
    wish = {"do": "add_rules", "rules": found}
    kept = rehearse_wish(wish=wish, tenants=clients_of_list(found), actor=cast.mo)
    (rule,) = save_change(rehearsals=kept, actor=cast.mo, reason="a list")
    assert rule.tenant_id is None
    with pytest.raises(NotAllowed):
        rehearse_wish(wish=wish, tenants=clients_of_list(found), actor=cast.ana)


HEAD = "client,kind,match,value,expires_at\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "missing: client"),
        (b"client,kind\nacme,block\n", "missing: match, value"),
        (HEAD.encode(), "no entry"),
        ((HEAD + "acme,block,sender,,\n").encode(), "Line 2: value is empty"),
        ((HEAD + "acme,block,sender,a@b.example,soon\n").encode(), "is no time"),
        ((HEAD + "*,block,sender,a@b.ex,\nacme,block,sender,a@b.ex,\n").encode(), "of their own"),
        (HEAD.encode("utf-16"), "not UTF-8"),
        ((HEAD + "acme,block,sender,\0,\n").encode(), "no text"),
        ((HEAD + "acme,block,sender,x@y.ex,\n" * (MOST_LINES + 1)).encode(), "At most"),
        (b"x" * (2 * 2**20 + 1), "larger than 2 MB"),
    ],
)
def test_a_file_that_makes_no_sense_says_where(data: bytes, words: str):
    with pytest.raises(WrongInput, match=words):
        read_rules(data)


def test_a_client_that_is_not_there_is_named(cast: Cast):
    with pytest.raises(WrongInput, match="no client called nobody"):
        clients_of_list({"acme": [], "nobody": []})


# --- the narrowest exception


def held(cast: Cast, *auth: tuple[str, str, str], verdict: Verdict = Verdict.SPAM) -> Delivery:
    told = [
        {"method": m, "result": r, "domain": d, "authserv_id": "", "detail": ""} for m, r, d in auth
    ]
    sender = {"address": "ann@shop.example", "name": "Ann", "raw": ""}
    record(
        [
            gateway_saw(
                cast.acme,
                CEO,
                verdict=verdict,
                score=9.0,
                action=Outcome.HELD,
                place=Place.HOLD,
                mail=mail_json(sender=sender, from_all=[sender], auth=told),
                detail={"mail_from": "b@mailer.example", "client_ip": "192.0.2.7", "missing": []},
            )
        ]
    )
    make_sense_of_backlog(cast.acme)
    return Delivery.objects.get()


def test_who_signed_it_and_for_whom_is_proposed_first(cast: Cast):
    signed = (("dkim", "pass", "mailer.example"), ("dkim", "pass", "mail.shop.example"))
    proposal = propose_exception(held(cast, *signed, ("dmarc", "pass", "shop.example")))
    assert proposal.recipient == CEO
    assert [(way.match, way.value) for way in proposal.ways] == [
        ("dkim_domain", "mail.shop.example"),
        ("sender", "ann@shop.example"),
        ("client_ip", "192.0.2.7"),
    ]
    assert proposal.warning == ""


def test_a_mailing_service_that_signs_for_all_is_not_proposed(cast: Cast):
    proposal = propose_exception(held(cast, ("dkim", "pass", "mailer.example")))
    assert proposal.ways[0].match == "sender"


def test_a_broken_signature_proves_nothing_and_a_disowned_sender_is_not_proposed(cast: Cast):
    broken = (("dkim", "fail", "shop.example"), ("dmarc", "fail", "shop.example"))
    proposal = propose_exception(held(cast, *broken))
    assert [way.match for way in proposal.ways] == ["client_ip"]


def test_for_a_threat_it_says_that_an_exception_will_not_help(cast: Cast):
    proposal = propose_exception(held(cast, verdict=Verdict.PHISH))
    assert "held whatever an entry says" in proposal.warning
