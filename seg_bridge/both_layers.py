"""Entries that both layers follow: made with a release, for one mailbox, with an end.

``ways_for(copy)``        what such an entry for mail like this copy could rest on
``make_exception(…)``     makes it, rehearsed first as every entry
``entries_of(tenant_id)`` those in force, as the mailbox layer asks them (entries.py)
``foresee(copy)``         how the next mail like this copy would be judged and treated
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils import timezone

from incidents.layers import ExceptionMade, ExceptionWish, Judged, LayerError
from incidents.mail.fingerprint import mail_key
from incidents.models import Delivery, IncidentMessage
from seg_bridge import stored_mail
from seg_bridge.changes import rehearse_wish, save_change
from seg_bridge.entries import EntriesForBoth
from seg_bridge.gate.decide import decide, say_rule
from seg_bridge.gate.policy import normalise_address
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.proposals import gateways_word, propose_exception
from seg_bridge.services import rules_in_force
from seg_bridge.snapshot import policies_of, wire_rules
from tenants.audit import Actor
from tenants.errors import WrongInput
from tenants.models import Person

Match = GatewayRule.Match
DAYS = (1, 7, 30)
# Where the mailbox layer can tell whether an entry fits: it does not know the sending host.
_IN_BOTH = (Match.DKIM_DOMAIN, Match.SENDER)


@dataclass(frozen=True, slots=True)
class ExceptionWay:
    """``label`` says in a few words what it lets in, ``why`` what it rests on."""

    match: str
    value: str
    label: str
    why: str


def ways_for(copy: Delivery) -> list[ExceptionWay]:
    """The narrowest first; none where nothing names the mail.  Needs the client's scope."""
    message = copy.message
    found = []
    key = mail_key(message.internet_message_id, message.sender_address, message.fingerprint)
    if key:
        why = "By its Message-ID, its sender and its content together."
        if _is_disowned(copy):
            why += " Sent again it is held: its sender's domain disowns it (DMARC)."
        found.append(ExceptionWay(Match.MAIL, key, "This one mail only", why))
    ways = [way for way in propose_exception(copy).ways if way.match in _IN_BOTH]
    for way in ways[:1]:
        whose = "signed by" if way.match == Match.DKIM_DOMAIN else "from"
        label = f"Mail {whose} {way.value}, to this mailbox"
        found.append(ExceptionWay(way.match, way.value, label, way.why))
    return found


def _is_disowned(copy: Delivery) -> bool:
    seen = gateways_word(copy)
    told = (seen.mail or {}).get("auth", ()) if seen is not None else ()
    return any(each.get("method") == "dmarc" and each.get("result") == "fail" for each in told)


def make_exception(
    *, delivery: Delivery, wish: ExceptionWish, reason: str, actor: Person | Actor
) -> ExceptionMade:
    """Raises as ``GatewayLayer.make_exception`` says."""
    way = next((each for each in ways_for(delivery) if each.match == wish.match), None)
    if way is None:
        raise WrongInput("This mail is not fit for such an exception; release it alone.")
    if wish.days not in range(1, max(DAYS) + 1):
        raise WrongInput(f"An exception for both layers lasts 1 to {max(DAYS)} days.")
    if wish.beats_threats and wish.match != Match.MAIL:
        raise WrongInput("Only an exception for this one mail lets malware or phishing pass.")
    rule = _same_in_force(delivery, way, wish) or _new_rule(delivery, way, wish, reason, actor)
    return _made(rule)


def _made(rule: GatewayRule) -> ExceptionMade:
    return ExceptionMade(
        rule_id=rule.id,
        owner=rule.owner_name,
        words=say_rule(*wire_rules([rule])),
        beats_threats=rule.beats_threats,
    )


def exceptions_among(rule_ids: Collection[UUID]) -> dict[UUID, ExceptionMade]:
    """Those of these entries that both layers follow and nobody has taken back."""
    rows = GatewayRule.objects.filter(id__in=rule_ids, in_mailboxes=True, removed_at=None)
    return {rule.id: _made(rule) for rule in rows}


def _same_in_force(
    delivery: Delivery, way: ExceptionWay, wish: ExceptionWish
) -> GatewayRule | None:
    return GatewayRule.objects.filter(
        rules_in_force(),
        tenant_id=delivery.tenant_id,
        kind=GatewayRule.Kind.ALLOW,
        match=way.match,
        value=way.value,
        recipient=normalise_address(delivery.recipient),
        in_mailboxes=True,
        beats_threats=wish.beats_threats,
    ).first()


def _new_rule(
    delivery: Delivery,
    way: ExceptionWay,
    wish: ExceptionWish,
    reason: str,
    actor: Person | Actor,
) -> GatewayRule:
    change = {
        "do": "add_rule",
        "kind": "allow",
        "match": way.match,
        "value": way.value,
        "recipient": delivery.recipient,
        "beats_threats": wish.beats_threats,
        "in_mailboxes": True,
        "days": wish.days,
    }
    kept = rehearse_wish(wish=change, tenants=[delivery.tenant], actor=actor)
    despite = wish.despite or _is_about_itself(kept[0], delivery)
    (rule,) = save_change(rehearsals=kept, actor=actor, reason=reason, despite=despite)
    return rule


def _is_about_itself(rehearsal: Rehearsal, delivery: Delivery) -> bool:
    """Would it have let in nothing but the mail that is being let go?  That one a person has just
    decided about; what people have decided otherwise stays an objection.
    """
    if rehearsal.counts["broken"] or rehearsal.counts["newly_held"]:
        return False
    members = IncidentMessage.objects.filter(tenant=delivery.tenant_id, message=delivery.message_id)
    incidents = {str(each) for each in members.values_list("incident_id", flat=True)}
    if set(rehearsal.lists["missed"]) - incidents:
        return False
    ids = rehearsal.lists["newly_delivered"]
    own = Delivery.objects.filter(tenant=delivery.tenant_id, message=delivery.message_id)
    return bool(rehearsal.counts["newly_delivered"] == own.filter(id__in=ids).count())


def note_release(rule_id: UUID, job_id: UUID) -> None:
    """The first release stands: a later one may have used the same entry."""
    GatewayRule.objects.filter(id=rule_id, release=None).update(release_id=job_id)


def entries_of(tenant_id: int) -> EntriesForBoth:
    rows = GatewayRule.objects.filter(
        rules_in_force(), tenant_id=tenant_id, kind=GatewayRule.Kind.ALLOW, in_mailboxes=True
    )
    return EntriesForBoth(wire_rules(list(rows.order_by("id"))))


def foresee(delivery: Delivery) -> Judged:
    """Raises ``LayerError`` where the gateway has not seen the mail, or cannot decide it anew."""
    seen = gateways_word(delivery)
    if seen is None:
        raise LayerError("The gateway has not seen this mail.")
    copies = list(stored_mail.copies_of(delivery.tenant_id, [(seen.id, seen.observed_at)]))
    if not copies:
        raise LayerError("No engine gave a verdict on it, or the gate kept no facts of it.")
    (policy,) = policies_of([delivery.tenant_id])
    decision = decide(copies[0].mail, policy, delivery.recipient, timezone.now())
    return Judged(
        verdict=seen.verdict or "",
        confidence=seen.confidence,
        reasons=tuple(_texts(seen.reasons)),
        action=str(decision.action),
        rule=decision.rule,
        entry=decision.as_json() if decision.entry is not None else {},
    )


def _texts(reasons: Sequence[dict[str, Any]]) -> list[str]:
    heavy = sorted(reasons, key=lambda reason: -abs(reason.get("weight") or 0))
    return [str(reason.get("text", "")) for reason in heavy[:5] if (reason.get("weight") or 0) > 0]
