"""The forecast of a change equals what the gate then does with the same mail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ulid import ULID

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.mail import read_mail
from incidents.mail.facts import AuthResult
from incidents.models import Delivery, Incident
from incidents.observations import Observation
from incidents.words import MatrixAction, Outcome, Verdict
from seg_bridge.gate.core import _decide_copy
from seg_bridge.gate.decide import decidable
from seg_bridge.gate.outcome import conclude, refuse_by_policy, settle_mixed
from seg_bridge.gate.policy import GatewayRule, TenantPolicy
from seg_bridge.gate.records import SeenMail, done_record, facts_told, observations
from seg_bridge.gate.scanning import ScanResult
from seg_bridge.policies.effective import Layer, Stated
from seg_bridge.policies.layers import Layers, Target
from seg_bridge.rehearsal import (
    AddRule,
    Change,
    ChangePolicy,
    RemoveRule,
    rehearse,
    with_rules,
)
from seg_bridge.services import add_rule
from seg_bridge.snapshot import policies_of, wire_rules
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, mailbox_saw, state_policy
from tests.seg_bridge.gate.parts import envelope, snapshot_of, tenant

INFO, CEO = "info@acme.example", "ceo@acme.example"


@pytest.fixture
def acme_scope(cast: Cast):
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        yield


def policy_of(cast: Cast, change: Change | None = None) -> TenantPolicy:
    """Acme's, as it is or as it would be."""
    layers = change.layers if isinstance(change, ChangePolicy) else None
    (policy,) = policies_of([cast.acme.id], layers=layers)
    if isinstance(change, AddRule | RemoveRule):
        policy = with_rules(policy, change)
    route = tenant("acme", cast.acme.id, "127.0.0.1:25").domains
    return replace(policy, domains=route)


class Letter:
    """One mail with what an engine says of it."""

    def __init__(
        self,
        number: int,
        verdict: Verdict | None = Verdict.CLEAN,
        score: float = 0.0,
        *,
        sender: str = "ann@sender.example",
        link: str = "",
        client_ip: str = "203.0.113.9",
        mail_from: str = "",
        auth: tuple[AuthResult, ...] = (),
        missing: tuple[str, ...] = (),
        to: tuple[str, ...] = (INFO,),
    ) -> None:
        body = f"See http://{link}/x for letter {number}.\r\n" if link else f"Letter {number}.\r\n"
        self.raw = (
            f"From: {sender}\r\nTo: info@acme.example\r\nSubject: Letter {number}\r\n"
            f"Message-ID: <{number}@sender.example>\r\n\r\n{body}"
        ).encode()
        self.result = ScanResult(
            verdict=verdict, score=score, auth=auth, missing=missing, engine="e", version="1"
        )
        self.envelope = envelope(client_ip=client_ip, mail_from=mail_from or sender, recipients=to)
        self.ulid = str(ULID.from_timestamp(1_700_000_000 + number))

    def through(self, policy: TenantPolicy, at: datetime) -> dict[str, dict[str, Any]]:
        """Through the gate's core with this policy: recipient → its observation."""
        facts = read_mail(self.raw, envelope_from=self.envelope.mail_from)
        snapshot = snapshot_of(policy)
        seen = decidable(self.result, facts, self.envelope)
        routes = [snapshot.find(address) for address in self.envelope.recipients]
        copies = tuple(_decide_copy(route, snapshot, seen) for route in routes if route)
        settle_mixed(copies)
        mail = SeenMail(
            ulid=self.ulid,
            raw=self.raw,
            sha256=facts.raw_sha256,
            envelope=self.envelope,
            facts=facts,
            result=self.result,
            copies=copies,
            policy_version="v1",
            source="gate:mx1",
            facts_json=facts_told(facts, self.result),
            is_in_circle=False,
        )
        reply = refuse_by_policy(mail)
        if reply is None:
            for copy in copies:
                if copy.is_relayed:
                    copy.outcome, copy.hop_reply = Outcome.DELIVERED, "250 taken"
            reply = conclude(mail)
        told = done_record(mail, kept_for=frozenset(), at=at, reply=reply)
        return {each["recipient"]: each for each in observations(told)}


def happened(cast: Cast, letters: Iterable[Letter], days_ago: int = 1) -> None:
    at = datetime.now(UTC) - timedelta(days=days_ago)
    policy = policy_of(cast)
    seen = [
        Observation.from_json(each)
        for letter in letters
        for each in letter.through(policy, at).values()
    ]
    record(seen)
    make_sense_of_backlog(cast.acme)


def stopped(letters: Iterable[Letter], policy: TenantPolicy) -> set[tuple[str, str]]:
    """(ulid, recipient) of what the gate stops by this policy."""
    return {
        (letter.ulid, recipient)
        for letter in letters
        for recipient, seen in letter.through(policy, datetime.now(UTC)).items()
        if seen["action"] in ("held", "rejected")
    }


def named(delivery_ids: Iterable[Any]) -> set[tuple[str, str]]:
    rows = Delivery.objects.filter(id__in=list(delivery_ids))
    return set(rows.values_list("message__trace_ulid", "recipient"))


DISOWNED = (AuthResult("gate1", "dmarc", "fail", "sender.example"),)
LETTERS = [
    Letter(1),
    Letter(2, Verdict.SPAM, 9.0),
    Letter(3, Verdict.SPAM, 5.0, to=(INFO, CEO)),
    Letter(4, Verdict.PHISH, 9.0, to=(INFO, CEO)),
    Letter(5, Verdict.PHISH, 3.0),
    Letter(6, Verdict.MALWARE, 0.0, sender="eve@evil.example"),
    Letter(7, sender="eve@evil.example", to=(INFO, CEO)),
    Letter(8, sender="eve@sub.evil.example", link="files.bad.example"),
    Letter(9, sender="bob@good.example", mail_from="bounce@evil.example"),
    Letter(10, Verdict.SPAM, 8.0, auth=DISOWNED),
    Letter(11, Verdict.SUSPICIOUS, 7.0, client_ip="198.51.100.7", link="bad.example"),
    Letter(12, Verdict.UNSCANNABLE, 0.0),
]


def rule(**changes: Any) -> GatewayRule:
    values: dict[str, Any] = {"id": "new", "kind": "block", "match": "sender", "owner": "Ana"}
    return GatewayRule(**{**values, **changes})


def states(cast: Cast, values: dict[str, Any], *, mailbox: str = "") -> ChangePolicy:
    """Acme, or one of its mailboxes, states these values."""
    target = Target(provider=cast.provider, tenant=cast.acme)
    if mailbox:
        box = Mailbox.objects.select_related("domain").get(address=mailbox)
        target = replace(target, domain=box.domain, mailbox=box)
    layer = Layer(target.level, "Acme", {key: Stated(value) for key, value in values.items()})
    return ChangePolicy(Layers([cast.acme.id]).replaced(target, layer))


CHANGES: dict[str, AddRule] = {
    "block a sender": AddRule(rule(value="eve@evil.example")),
    "block a sender for one mailbox": AddRule(rule(value="eve@evil.example", recipient=CEO)),
    "refuse a sender for one mailbox": AddRule(
        rule(value="eve@evil.example", recipient=CEO, action=MatrixAction.REJECT)
    ),
    "block a domain": AddRule(rule(match="sender_domain", value="evil.example")),
    "block a link": AddRule(rule(match="url_host", value="bad.example")),
    "block a network": AddRule(rule(match="client_ip", value="198.51.100.0/24")),
    "allow a sender": AddRule(rule(kind="allow", value="ann@sender.example")),
    "allow threats too": AddRule(
        rule(kind="allow", value="ann@sender.example", beats_threats=True)
    ),
    "an entry that has ended": AddRule(
        rule(value="eve@evil.example", expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    ),
}
STATED: dict[str, dict[str, Any]] = {
    "act earlier": {"act_from": 2.5},
    "act later": {"act_from": 20.0},
    "let spam pass": {"action.spam": "tag"},
    "hold what is suspicious": {"action.suspicious": "hold"},
    "monitor only": {f"action.{verdict}": "deliver" for verdict in Verdict},
}


@pytest.mark.parametrize("mailbox", ["", CEO])
@pytest.mark.parametrize("values", STATED.values(), ids=STATED)
def test_the_forecast_of_a_policy_is_what_the_gate_then_does(
    cast: Cast, acme_scope: None, values: dict[str, Any], mailbox: str
):
    the_gate_then_does(cast, states(cast, values, mailbox=mailbox))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_forecast_is_what_the_gate_then_does(cast: Cast, acme_scope: None, change: AddRule):
    the_gate_then_does(cast, change)


def the_gate_then_does(cast: Cast, change: Change) -> None:
    happened(cast, LETTERS)
    (client,) = rehearse(change, [cast.acme.id]).clients
    before, after = stopped(LETTERS, policy_of(cast)), stopped(LETTERS, policy_of(cast, change))
    assert named(client.newly_held) == after - before
    assert named(client.newly_delivered) == before - after
    assert client.counts["newly_held"] == len(after - before)
    assert client.counts["newly_delivered"] == len(before - after)
    assert (client.looked_at, client.undecidable) == (15, 0)


def test_removing_an_entry_is_forecast_too(cast: Cast, acme_scope: None):
    row = add_rule(
        tenant_id=cast.acme.id,
        kind="block",
        match="sender_domain",
        value="evil.example",
        reason="seen",
        actor=cast.ana,
    )
    happened(cast, LETTERS)
    change = RemoveRule(*wire_rules([row]))
    (client,) = rehearse(change, [cast.acme.id]).clients
    before = stopped(LETTERS, policy_of(cast))
    after = stopped(LETTERS, policy_of(cast, change))
    assert before - after
    assert named(client.newly_delivered) == before - after
    assert client.newly_held == ()


def test_what_was_not_scanned_is_said_and_not_guessed(cast: Cast, acme_scope: None):
    silent = Letter(20, None, missing=("clamav",))
    state_policy(cast.acme, action_not_scanned="deliver")
    happened(cast, [Letter(21), silent, Letter(22, Verdict.SUSPICIOUS, 1.0, missing=("clamav",))])
    change = AddRule(rule(match="sender_domain", value="sender.example"))
    (client,) = rehearse(change, [cast.acme.id]).clients
    assert (client.looked_at, client.undecidable, client.counts["newly_held"]) == (3, 2, 1)
    (client,) = rehearse(
        states(cast, {"act_from": 0.5, "action.not_scanned": "deliver"}), [cast.acme.id]
    ).clients
    assert (client.looked_at, client.undecidable, client.counts["newly_held"]) == (3, 2, 0)


def test_what_was_put_off_is_no_mail(cast: Cast, acme_scope: None):
    happened(cast, [Letter(30, None, missing=("clamav",)), Letter(31)])
    (client,) = rehearse(CHANGES["block a sender"], [cast.acme.id]).clients
    assert (client.looked_at, client.undecidable) == (1, 0)


def test_older_mail_and_other_clients_do_not_count(cast: Cast, acme_scope: None):
    happened(cast, [Letter(40)], days_ago=8)
    happened(cast, [Letter(41)], days_ago=6)
    change = AddRule(rule(value="ann@sender.example"))
    (client,) = rehearse(change, [cast.acme.id, cast.globex.id], days=7).clients
    assert (client.tenant_id, client.counts["newly_held"]) == (cast.acme.id, 1)


def test_where_there_is_too_much_it_says_since_when_it_looked(
    cast: Cast, acme_scope: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("seg_bridge.rehearsal.MOST_COPIES", 1)
    monkeypatch.setattr("seg_bridge.rehearsal.FEWEST_COPIES", 2)
    for number in range(5):
        happened(cast, [Letter(50 + number)], days_ago=20 - number)
    (client,) = rehearse(AddRule(rule(value="ann@sender.example")), [cast.acme.id]).clients
    assert client.looked_at <= 3
    assert client.counts["newly_held"] == client.looked_at
    assert client.since > datetime.now(UTC) - timedelta(days=19)


def condemned(cast: Cast, letter: Letter, item: str) -> Incident:
    """The mailbox layer condemns it: an incident."""
    happened(cast, [letter])
    record(
        [
            mailbox_saw(
                cast.acme, INFO, item=item, verdict=Verdict.PHISH, trace_ulid=letter.ulid, mail={}
            )
        ]
    )
    make_sense_of_backlog(cast.acme)
    return Incident.objects.get(memberships__message__trace_ulid=letter.ulid)


def test_a_block_that_would_have_caught_an_incident_says_so(cast: Cast, acme_scope: None):
    incident = condemned(cast, Letter(60, sender="eve@evil.example"), "i60")
    (client,) = rehearse(CHANGES["block a sender"], [cast.acme.id]).clients
    assert client.caught == (incident.id,)
    assert client.stops == ()


def test_an_incident_that_would_be_missed_stops_the_change(cast: Cast, acme_scope: None):
    state_policy(cast.acme, act_from=20.0)
    incident = condemned(cast, Letter(61, Verdict.BEC, 8.0), "i61")
    state_policy(cast.acme)
    (client,) = rehearse(CHANGES["allow a sender"], [cast.acme.id]).clients
    assert client.missed == (incident.id,)
    assert "one incident would have been missed" in " ".join(client.stops)


@pytest.mark.parametrize(
    ("classification", "is_broken"), [("false_positive", True), ("true_positive", False)]
)
def test_what_people_have_decided_is_a_regression_case(
    cast: Cast, acme_scope: None, classification: str, is_broken: bool
):
    incident = condemned(cast, Letter(62, sender="eve@evil.example"), "i62")
    Incident.objects.update(
        state="resolved", classification=classification, resolved_at=datetime.now(UTC)
    )
    (client,) = rehearse(CHANGES["block a sender"], [cast.acme.id]).clients
    assert client.cases == 1
    assert client.broken == ((incident.id,) if is_broken else ())
    assert bool(client.stops) == is_broken
    assert bool(client.caught) != is_broken


def test_a_change_that_stops_a_great_share_asks_again(cast: Cast, acme_scope: None):
    happened(cast, [Letter(100 + number) for number in range(25)])
    (client,) = rehearse(AddRule(rule(value="ann@sender.example")), [cast.acme.id]).clients
    assert client.stops == ("Acme: it would stop 25 of 25 copies (100.0%).",)
