"""Entries that both layers follow: made with a release, with an end; for one mailbox, or for those
of several copies that are let go together.

``ways_for(copies)``      what one such entry for mail like these copies could rest on
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

from incidents.gateway_asked import ExceptionMade, ExceptionWish
from incidents.layers import Judged, LayerError
from incidents.mail.fingerprint import mail_key
from incidents.models import Delivery, IncidentMessage
from incidents.words import Direction
from seg_bridge import stored_mail
from seg_bridge.changes import rehearse_wish, save_change
from seg_bridge.entries import EntriesForBoth
from seg_bridge.gate.decide import say_rule
from seg_bridge.gate.policy import normalise_address
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.proposals import Way, gateways_word, propose_exception
from seg_bridge.services import rules_in_force
from seg_bridge.snapshot import policies_of, wire_rules
from tenants.audit import Actor
from tenants.errors import Conflict, WrongInput
from tenants.models import Person

Match = GatewayRule.Match
DAYS = (1, 7, 30)
# Where the mailbox layer can tell whether an entry fits: it does not know the sending host.
_IN_BOTH = (Match.DKIM_DOMAIN, Match.SENDER)
LIKE = "like"  # of ``ExceptionWish.match``


@dataclass(frozen=True, slots=True)
class ExceptionWay:
    """``label`` says in a few words what it lets in, ``why`` what it rests on; ``recipient`` for
    whom: one mailbox, ``@acme.example`` those of a domain, "" all of the client's.
    """

    match: str
    value: str
    recipient: str
    label: str
    why: str


def ways_for(copies: Sequence[Delivery]) -> list[ExceptionWay]:
    """That all of these copies of one client fit, the narrowest first; none where nothing names
    them all, or one is outbound.  Needs the client's scope.
    """
    if not copies or any(copy.direction == Direction.OUTBOUND for copy in copies):
        return []
    recipient = _scope_of(copies)
    whom = _whom(recipient, len({copy.recipient for copy in copies}))
    found = []
    keys = {_key_of(copy) for copy in copies}
    if len(keys) == 1 and (key := keys.pop()):
        why = "By its Message-ID, its sender and its content together."
        if any(map(_is_disowned, _one_of_each_mail(copies))):
            why += " Sent again it is held: its sender's domain disowns it (DMARC)."
        label = "This one mail only" + (f", {whom}" if len(copies) > 1 else "")
        found.append(ExceptionWay(Match.MAIL, key, recipient, label, why))
    # For all mailboxes nothing is let in but one mail.
    for way in _common_ways(copies)[: 1 if recipient else 0]:
        whose = "signed by" if way.match == Match.DKIM_DOMAIN else "from"
        label = f"Mail {whose} {way.value}, {whom}"
        found.append(ExceptionWay(way.match, way.value, recipient, label, way.why))
    return found


def _scope_of(copies: Sequence[Delivery]) -> str:
    """The narrowest recipient that an entry can name for all of them."""
    addresses = {normalise_address(copy.recipient) for copy in copies}
    if len(addresses) == 1:
        return addresses.pop()
    domains = {each.rpartition("@")[2] for each in addresses}
    return f"@{domains.pop()}" if len(domains) == 1 else ""


def _whom(recipient: str, mailboxes: int) -> str:
    if mailboxes == 1:
        return "to this mailbox"
    return f"to mailboxes of {recipient[1:]}" if recipient else "to mailboxes of this client"


def _key_of(copy: Delivery) -> str:
    mail = copy.message
    return mail_key(mail.internet_message_id, mail.sender_address, mail.fingerprint)


def _one_of_each_mail(copies: Sequence[Delivery]) -> list[Delivery]:
    return list({copy.message_id: copy for copy in copies}.values())


def _common_ways(copies: Sequence[Delivery]) -> list[Way]:
    """Those that each of the mails names."""
    common: list[Way] | None = None
    for copy in _one_of_each_mail(copies):
        own = [way for way in propose_exception(copy).ways if way.match in _IN_BOTH]
        named = {(way.match, way.value) for way in own}
        kept = own if common is None else common
        common = [way for way in kept if (way.match, way.value) in named]
    return common or []


def _is_disowned(copy: Delivery) -> bool:
    seen = gateways_word(copy)
    told = (seen.mail or {}).get("auth", ()) if seen is not None else ()
    return any(each.get("method") == "dmarc" and each.get("result") == "fail" for each in told)


def make_exception(
    *,
    deliveries: Sequence[Delivery],
    wish: ExceptionWish,
    reason: str,
    actor: Person | Actor,
) -> ExceptionMade:
    """Raises as ``GatewayLayer.make_exception`` says."""
    way = next((each for each in ways_for(deliveries) if _is_wanted(each, wish)), None)
    if way is None:
        which = "This mail is" if len(deliveries) == 1 else "Together these mails are"
        raise WrongInput(f"{which} not fit for such an exception; release without one.")
    if wish.days not in range(1, max(DAYS) + 1):
        raise WrongInput(f"An exception for both layers lasts 1 to {max(DAYS)} days.")
    if wish.beats_threats and way.match != Match.MAIL:
        raise WrongInput("Only an exception for this one mail lets malware or phishing pass.")
    rule = _same_in_force(deliveries[0], way, wish)
    try:
        return _made(rule or _new_rule(deliveries, way, wish, reason, actor))
    except Conflict:  # somebody else made it at the same moment
        if (rule := _same_in_force(deliveries[0], way, wish)) is None:
            raise
        return _made(rule)


def _is_wanted(way: ExceptionWay, wish: ExceptionWish) -> bool:
    return wish.match == way.match or (wish.match == LIKE and way.match in _IN_BOTH)


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
        recipient=way.recipient,
        in_mailboxes=True,
        beats_threats=wish.beats_threats,
    ).first()


def _new_rule(
    deliveries: Sequence[Delivery],
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
        "recipient": way.recipient,
        "beats_threats": wish.beats_threats,
        "in_mailboxes": True,
        "days": wish.days,
    }
    kept = rehearse_wish(wish=change, tenants=[deliveries[0].tenant], actor=actor)
    despite = wish.despite or _is_about_itself(kept[0], deliveries)
    (rule,) = save_change(rehearsals=kept, actor=actor, reason=reason, despite=despite)
    return rule


def _is_about_itself(rehearsal: Rehearsal, deliveries: Sequence[Delivery]) -> bool:
    """Would it have let in nothing but the mails that are being let go?  Those a person has just
    decided about; what people have decided otherwise stays an objection.
    """
    if rehearsal.counts["broken"] or rehearsal.counts["newly_held"]:
        return False
    tenant_id, mails = deliveries[0].tenant_id, {copy.message_id for copy in deliveries}
    members = IncidentMessage.objects.filter(tenant=tenant_id, message__in=mails)
    incidents = {str(each) for each in members.values_list("incident_id", flat=True)}
    if set(rehearsal.lists["missed"]) - incidents:
        return False
    ids = rehearsal.lists["newly_delivered"]
    own = Delivery.objects.filter(tenant=tenant_id, message__in=mails)
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
    decision = copies[0].decide(policy, timezone.now())
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
