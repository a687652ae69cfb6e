"""Whatever mail came, whatever is changed and for whom: the gates then do what was forecast.

Mail goes through the gate's core by the policy in force, and is stored.  A change is rehearsed and
made by the services that people use; then the same mail goes through by the policy that a gate is
given now, written and read as it travels.  What differs is what the forecast has said.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.mail import read_mail
from incidents.mail.facts import AuthResult
from incidents.models import Delivery
from incidents.observations import Observation
from incidents.words import Direction, MatrixAction, Outcome, Verdict
from seg_bridge.changes import rehearse_wish, save_change
from seg_bridge.gate.decide import decidable
from seg_bridge.gate.hop import HopAnswer
from seg_bridge.gate.outbound.decide import decide_outbound
from seg_bridge.gate.policy import PolicySnapshot, Route, TenantPolicy
from seg_bridge.gate.records import Copy, SeenMail, done_record, facts_told, observations
from seg_bridge.gate.spool import follow_up
from seg_bridge.gate.spool_entry import SpoolEntry
from seg_bridge.models import Rehearsal
from seg_bridge.policies.layers import Target
from seg_bridge.policies.services import NothingToChange, ask_change, make_change, own_row
from seg_bridge.proposals import gateways_word
from seg_bridge.rehearsal import AddRule, rehearse
from seg_bridge.services import add_rule
from seg_bridge.snapshot import policies_of
from tenants.groups import save_group
from tenants.models import Mailbox
from tenants.scope import Role, Scope, tenant_scope
from tests.factories import Cast, state_policy
from tests.seg_bridge.gate.parts import snapshot_of, tenant
from tests.seg_bridge.test_rehearsal import Letter, policy_of, rule, states

NAMES = ("info", "ceo")
EVE, ANN = "eve@evil.example", "ann@sender.example"
Stopped = set[tuple[str, str]]


def staff(cast: Cast) -> AbstractContextManager[Scope]:
    ids = [cast.acme.id, cast.globex.id]
    return tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id)


def as_gates_are_told(cast: Cast) -> PolicySnapshot:
    """Of both clients, as it stands in the database now and as it travels."""
    found = [
        replace(each, domains=tenant(each.slug, each.tenant_id, "127.0.0.1:25").domains)
        for each in policies_of([cast.acme.id, cast.globex.id])
    ]
    return PolicySnapshot.from_json(snapshot_of(*found).as_json())


def through(letter: Letter, snapshot: PolicySnapshot, at: datetime) -> list[dict[str, Any]]:
    """To all of its recipients, each client by its own policy."""
    found: list[dict[str, Any]] = []
    for policy in snapshot.tenants:
        mine = [
            one for one in letter.envelope.recipients if one.endswith(f"@{policy.slug}.example")
        ]
        if mine:
            part = Letter.__new__(Letter)
            part.__dict__ |= letter.__dict__ | {
                "envelope": replace(letter.envelope, recipients=tuple(mine))
            }
            found += part.through(policy, at).values()
    return found


def stopped(letters: Sequence[Letter], snapshot: PolicySnapshot) -> Stopped:
    return {
        (each["trace_ulid"], each["recipient"])
        for letter in letters
        for each in through(letter, snapshot, datetime.now(UTC))
        if each["action"] in ("held", "rejected")
    }


def forecast(kept: Sequence[Rehearsal], name: str) -> Stopped:
    ids = [one for each in kept for one in each.lists[name]]
    rows = Delivery.objects.filter(id__in=ids).values_list("message__trace_ulid", "recipient")
    assert len(rows) == sum(each.counts[name] for each in kept), "a number without its list"
    return set(rows)


# --- what may come, be in force, and be changed

ADDRESSES = st.sampled_from([EVE, ANN, "x@sub.evil.example", "Bob@Good.Example"])
RECIPIENTS = st.lists(
    st.sampled_from([f"{name}@{slug}.example" for slug in ("acme", "globex") for name in NAMES]),
    min_size=1,
    max_size=4,
    unique=True,
)
AUTH = st.sampled_from(
    [
        (),
        (AuthResult("gate1", "dmarc", "fail", "sender.example"),),
        (AuthResult("gate1", "dkim", "pass", "sender.example"),),
        (AuthResult("gate1", "dkim", "pass", "mail.evil.example"),),
    ]
)
LETTER = st.fixed_dictionaries(
    {
        "verdict": st.sampled_from(Verdict),
        "score": st.sampled_from([0.0, 3.0, 6.0, 9.0, 20.0]),
        "sender": ADDRESSES,
        "mail_from": st.one_of(st.just(""), ADDRESSES),
        "link": st.sampled_from(["", "bad.example", "www.bad.example"]),
        "client_ip": st.sampled_from(["203.0.113.9", "198.51.100.7"]),
        "auth": AUTH,
        "to": RECIPIENTS.map(tuple),
    }
)
WHAT = st.one_of(
    st.tuples(st.just("sender"), st.sampled_from([EVE, ANN, "bob@good.example"])),
    st.tuples(st.just("sender_domain"), st.sampled_from(["evil.example", "sender.example"])),
    st.tuples(st.just("dkim_domain"), st.sampled_from(["evil.example", "sender.example"])),
    st.tuples(st.just("url_host"), st.just("bad.example")),
    st.tuples(st.just("client_ip"), st.sampled_from(["198.51.100.7", "203.0.113.0/24"])),
)
WHOSE = st.sampled_from(["acme", "globex", "group", "everywhere"])


@dataclass(frozen=True)
class Entry:
    kind: str
    what: tuple[str, str]
    whose: str
    recipient: str
    action: str
    beats_threats: bool
    has_ended: bool = False

    def fields(self, cast: Cast, group_id: Any) -> dict[str, Any]:
        match, value = self.what
        found: dict[str, Any] = {"kind": self.kind, "match": match, "value": value}
        if self.whose in ("acme", "globex") and self.recipient:
            found["recipient"] = self.recipient.format(self.whose)
        if self.kind == "block":
            found["action"] = self.action
        else:
            found["beats_threats"] = self.beats_threats
        return found


ENTRY = st.builds(
    Entry,
    kind=st.sampled_from(["block", "allow"]),
    what=WHAT,
    whose=WHOSE,
    recipient=st.sampled_from(["", "ceo@{}.example", "@{}.example"]),
    action=st.sampled_from(["hold", "reject"]),
    beats_threats=st.booleans(),
    has_ended=st.booleans(),
)
STATED = st.fixed_dictionaries(
    {},
    optional={
        "act_from": st.sampled_from([2.5, 6.0, 20.0]),
        "action_spam": st.sampled_from(["tag", "hold", "deliver", "reject"]),
        "action_suspicious": st.sampled_from(["tag", "hold", "deliver"]),
    },
)


class World:
    """The provider's two clients; the group has Globex alone."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.group = save_group(name="Banks", clients=[cast.globex], actor=cast.mo)

    def enter(self, entry: Entry) -> Any:
        whose = getattr(self.cast, entry.whose, None)
        row = add_rule(
            tenant_id=whose.id if whose else None,
            group_id=self.group.id if entry.whose == "group" else None,
            reason="seen",
            actor=self.cast.mo,
            **entry.fields(self.cast, self.group.id),
        )
        if entry.has_ended:
            type(row).objects.filter(id=row.id).update(expires_at=timezone.now())
        return row

    def come(self, letters: Sequence[Letter]) -> None:
        at = datetime.now(UTC) - timedelta(days=1)
        snapshot = as_gates_are_told(self.cast)
        for client in (self.cast.acme, self.cast.globex):
            seen = [
                Observation.from_json(each)
                for letter in letters
                for each in through(letter, snapshot, at)
                if each["tenant_id"] == client.id
            ]
            with tenant_scope(Role.WORKER, [client.id], provider_id=client.provider_id):
                record(seen)
                make_sense_of_backlog(client)

    def add(self, entry: Entry) -> list[Rehearsal]:
        wish = {"do": "add_rule", "days": 30, **entry.fields(self.cast, self.group.id)}
        wish |= {"everywhere": True} if entry.whose == "everywhere" else {}
        wish |= {"group": str(self.group.id)} if entry.whose == "group" else {}
        named = getattr(self.cast, entry.whose, self.cast.globex)
        return rehearse_wish(wish=wish, tenants=[named], actor=self.cast.mo)

    def take_away(self, row: Any) -> list[Rehearsal]:
        named = row.tenant or self.cast.globex
        wish = {"do": "remove_rule", "rule_id": str(row.id)}
        return rehearse_wish(wish=wish, tenants=[named], actor=self.cast.mo)


def clients_of(cast: Cast, whose: str) -> set[int]:
    everywhere, banks = {cast.acme.id, cast.globex.id}, {cast.globex.id}
    return {"everywhere": everywhere, "group": banks, "acme": {cast.acme.id}}.get(whose, banks)


# The cast stays the same from one example to the next: what each made is rolled back.
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    mails=st.lists(LETTER, min_size=2, max_size=6),
    in_force=st.lists(ENTRY, max_size=2, unique_by=lambda each: (each.what, each.whose)),
    stated=st.tuples(STATED, STATED),
    change=ENTRY,
    is_removal=st.booleans(),
)
def test_the_forecast_of_an_entry_is_what_the_gates_then_do(
    cast: Cast,
    mails: list[dict[str, Any]],
    in_force: list[Entry],
    stated: tuple[dict[str, Any], dict[str, Any]],
    change: Entry,
    is_removal: bool,
):
    letters = [Letter(number, **mail) for number, mail in enumerate(mails)]
    with staff(cast):
        mark = transaction.savepoint()
        world = World(cast)
        for client, values in zip((cast.acme, cast.globex), stated, strict=True):
            state_policy(client, **values)
        change = replace(change, has_ended=False)
        is_same = {(each.what, each.whose) for each in in_force} & {(change.what, change.whose)}
        for entry in in_force:
            world.enter(entry)
        row = world.enter(change) if is_removal and not is_same else None
        world.come(letters)
        before = stopped(letters, as_gates_are_told(cast))
        if not is_same:
            kept = world.take_away(row) if row else world.add(change)
            save_change(rehearsals=kept, actor=cast.mo, reason="seen", despite=True)
            after = stopped(letters, as_gates_are_told(cast))
            assert forecast(kept, "newly_held") == after - before
            assert forecast(kept, "newly_delivered") == before - after
            touched = {each.tenant_id for each in kept}
            assert touched == clients_of(cast, change.whose)
        transaction.savepoint_rollback(mark)


LEVELS = st.sampled_from(["acme", "acme's ceo", "acme's domain", "all clients", "the group"])
STATES = st.fixed_dictionaries(
    {},
    optional={
        "act_from": st.sampled_from([2.5, 6.0, 20.0]),
        "action.spam": st.sampled_from(["tag", "hold", "deliver"]),
        "action.suspicious": st.sampled_from(["hold", "deliver"]),
        "action.clean": st.sampled_from(["hold", "tag"]),
    },
).filter(bool)


def target_of(world: World, level: str) -> Target:
    cast = world.cast
    found = Target(provider=cast.provider)
    if level == "the group":
        return replace(found, group=world.group)
    if level == "all clients":
        return found
    found = replace(found, tenant=cast.acme)
    if level == "acme":
        return found
    box = Mailbox.objects.select_related("domain").get(address="ceo@acme.example")
    found = replace(found, domain=box.domain)
    return replace(found, mailbox=box) if level == "acme's ceo" else found


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    mails=st.lists(LETTER, min_size=2, max_size=6),
    in_force=st.lists(ENTRY, max_size=2, unique_by=lambda each: (each.what, each.whose)),
    before=st.tuples(LEVELS, STATES),
    wanted=st.tuples(LEVELS, STATES),
)
def test_the_forecast_of_a_policy_of_any_level_is_what_the_gates_then_do(
    cast: Cast,
    mails: list[dict[str, Any]],
    in_force: list[Entry],
    before: tuple[str, dict[str, Any]],
    wanted: tuple[str, dict[str, Any]],
):
    letters = [Letter(number, **mail) for number, mail in enumerate(mails)]
    with staff(cast):
        mark = transaction.savepoint()
        world = World(cast)
        for entry in in_force:
            world.enter(entry)
        state(world, *before)
        world.come(letters)
        was = stopped(letters, as_gates_are_told(cast))
        kept = state(world, *wanted)
        now = stopped(letters, as_gates_are_told(cast))
        assert forecast(kept, "newly_held") == now - was
        assert forecast(kept, "newly_delivered") == was - now
        transaction.savepoint_rollback(mark)


def state(world: World, level: str, values: dict[str, Any]) -> list[Rehearsal]:
    """Rehearsed and made as a person does; nothing where the level says it already."""
    target = target_of(world, level)
    row = own_row(target)
    try:
        change = ask_change(
            target=target, version=row.version if row else 0, actor=world.cast.mo, states=values
        )
    except NothingToChange:
        return []
    make_change(change=change, actor=world.cast.mo, reason="seen", despite=True)
    return list(Rehearsal.objects.filter(batch=change.batch)) if change.batch else []


# --- what is no mail of its own, and mail that goes out


def copy_that_was_tried_again(cast: Cast, letter: Letter, at: datetime) -> list[Observation]:
    """The next hop was away: spooled, and handed on later."""
    (policy,) = (one for one in as_gates_are_told(cast).tenants if one.tenant_id == cast.acme.id)
    (told,) = letter.through(policy, at).values()
    told |= {"action": "deferred", "detail": {**told["detail"], "is_spooled": True}}
    entry = SpoolEntry(
        ulid=letter.ulid,
        name="1",
        tenant_id=cast.acme.id,
        internet_message_id=told["internet_message_id"],
        sha256="",
        mail_from=letter.envelope.mail_from,
        recipients=letter.envelope.recipients,
        is_smtputf8=False,
        is_8bit=False,
        spooled_at_s=0.0,
        due_at_s=0.0,
    )
    later = follow_up(
        source=told["source"],
        entry=entry,
        recipient=told["recipient"],
        outcome=Outcome.DELIVERED,
        rule="handed on at the second try",
        next_hop="127.0.0.1:25",
        answer=HopAnswer("accepted", "250 taken"),
    )
    return [Observation.from_json(told), replace(later, observed_at=at + timedelta(minutes=1))]


def test_a_copy_that_is_tried_again_is_one_copy(cast: Cast):
    letter = Letter(1, sender=EVE)
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record(copy_that_was_tried_again(cast, letter, datetime.now(UTC) - timedelta(days=1)))
        make_sense_of_backlog(cast.acme)
        (found,) = rehearse(AddRule(rule(value=EVE)), [cast.acme.id]).clients
        assert (found.looked_at, found.undecidable, found.counts["newly_held"]) == (1, 0, 1)
        word = gateways_word(Delivery.objects.get())
        assert word is not None
        assert word.verdict == Verdict.CLEAN, "what became of it says nothing of the mail"


def goes_out(
    cast: Cast, letter: Letter, policy: TenantPolicy, recipient: str
) -> tuple[dict[str, Any], MatrixAction]:
    """As the outbound listener decides and tells it."""
    facts = read_mail(letter.raw, envelope_from=letter.envelope.mail_from)
    seen = decidable(letter.result, facts, letter.envelope)
    sender = letter.envelope.mail_from
    decision = decide_outbound(seen, policy, sender, recipient, datetime.now(UTC))
    route = Route(recipient, policy, policy.domains[0], is_listed=True)
    copy = Copy(route, decision.action, decision.rule, decided=decision.as_json())
    copy.outcome = Outcome.DELIVERED if decision.action is MatrixAction.DELIVER else Outcome.HELD
    mail = SeenMail(
        ulid=letter.ulid,
        raw=letter.raw,
        sha256=facts.raw_sha256,
        envelope=letter.envelope,
        facts=facts,
        result=letter.result,
        copies=(copy,),
        policy_version="v1",
        source="gate:mx1",
        facts_json=facts_told(facts, letter.result),
        is_in_circle=False,
        direction=Direction.OUTBOUND,
        sent_by={"mailbox": sender, "visible": sender, "by": "", "dkim": ""},
    )
    told = done_record(
        mail, kept_for=frozenset(), at=datetime.now(UTC) - timedelta(days=1), reply="250 taken"
    )
    return next(iter(observations(told))), decision.action


@pytest.mark.parametrize(
    "wanted",
    [
        AddRule(rule(match="sender", value="ceo@acme.example")),
        AddRule(rule(match="sender_domain", value="acme.example")),
        AddRule(rule(match="url_host", value="bad.example")),
        AddRule(rule(kind="allow", match="url_host", value="bad.example", beats_threats=True)),
        {"act_from": 2.5},
        {"act_from": 20.0},
        {"action.spam": "tag"},
        {"action.clean": "hold"},
    ],
    ids=str,
)
@pytest.mark.parametrize("mailbox", ["", "ceo@acme.example"])
def test_mail_that_goes_out_is_forecast_by_the_law_for_it(cast: Cast, wanted: Any, mailbox: str):
    """Its sender's policy counts, spam is never let out, and of the list only blocks of content."""
    letters = [
        Letter(number, verdict, score, sender=sender, link=link)
        for number, (verdict, score, sender, link) in enumerate(
            [
                (Verdict.CLEAN, 0.0, "ceo@acme.example", ""),
                (Verdict.SPAM, 4.0, "ceo@acme.example", "bad.example"),
                (Verdict.SPAM, 9.0, "info@acme.example", ""),
                (Verdict.PHISH, 9.0, "ceo@acme.example", "bad.example"),
                (Verdict.SUSPICIOUS, 3.0, "info@acme.example", ""),
            ]
        )
    ]
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        change = wanted if isinstance(wanted, AddRule) else states(cast, wanted, mailbox=mailbox)
        policies = [policy_of(cast), policy_of(cast, change)]
        sent = [
            [goes_out(cast, letter, policy, "ann@sender.example") for letter in letters]
            for policy in policies
        ]
        record([Observation.from_json(told) for told, _ in sent[0]])
        make_sense_of_backlog(cast.acme)
        clients = rehearse(change, [cast.acme.id]).clients
        held = [
            {told["trace_ulid"] for told, action in each if action in _STOPPED} for each in sent
        ]
        found = clients[0] if clients else None
        assert named(found.newly_held if found else ()) == held[1] - held[0]
        assert named(found.newly_delivered if found else ()) == held[0] - held[1]


_STOPPED = (MatrixAction.HOLD, MatrixAction.REJECT)


def named(delivery_ids: Any) -> set[str]:
    rows = Delivery.objects.filter(id__in=list(delivery_ids))
    return set(rows.values_list("message__trace_ulid", flat=True))
