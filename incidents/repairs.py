"""The one repair that is proposed for a contradiction: a visible rule in the other layer.

Pure.  A repair is a plain dict, as ``Disagreement.proposal`` stores and the API shows it:

``layer``    where it acts: ``gateway`` or ``mailbox``
``action``   ``add_rule``, ``remove_rule`` (gateway); ``pull``, ``leave`` (mailbox: standing orders)
``text``     what it does, in a sentence
``why``      why this and nothing wider
``days``     how long it holds; 0 where it does not end by itself
``kind``, ``match``, ``value``, ``recipient``   of a gateway rule
``rule_id``  of the entry to remove
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from incidents.assessment import copies_within_reach
from incidents.mail.signals.domains import registered_domain
from incidents.models import Delivery, Disagreement, Message
from incidents.sides import Side
from incidents.words import GRAVE, HARMLESS, Layer, Verdict, is_threat

RULE_DAYS = 30
ORDER_DAYS = 7
# An attachment that half the world sends (a logo) names no attack.
SMALL_FILE_BYTES = 2_000

Kind = Disagreement.Kind
Repair = dict[str, Any]


def mark_of(repair: Repair) -> str:
    """Names what a repair does, whatever the words say of it; the same for the same rule or act."""
    does = ("layer", "action", "kind", "match", "value", "recipient", "rule_id", "days")
    text = json.dumps([repair.get(name) for name in does])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def repair_for(
    kind: str,
    messages: Sequence[Message],
    copies: Sequence[Delivery],
    sides: Sequence[Side],
    *,
    own_domains: frozenset[str],
    reach: int,
    days: int = RULE_DAYS,
) -> Repair:
    """{} where nothing sensible is at hand.  ``messages`` are those of ``copies``, not empty;
    ``reach``: how many of all their copies are within reach.
    """
    if kind == Kind.LATE:
        return _pull(reach)
    if kind == Kind.HELD:
        return _after_a_hold(messages, copies, sides, own_domains, reach, days)
    if kind == Kind.PERSON and all(copy.person_verdict in HARMLESS for copy in copies):
        return _person_says_harmless(messages, copies, own_domains, days)
    if entry := _allowing_entry(sides):
        return _remove(entry)
    if kind in (Kind.PERSON, Kind.VENDOR) and copies_within_reach(copies):
        return _pull(reach)
    return next(_blocks(messages, sides, own_domains, days), {})


def lets_mail_in(kind: str, repair: Repair) -> bool:
    """At the gateway; the others act against the mail, or ask Bailey to let it lie."""
    if repair.get("action") == "remove_rule":
        return kind == Kind.HELD  # a block entry; else one that allows
    return repair.get("kind") == "allow"


def _after_a_hold(
    messages: Sequence[Message],
    copies: Sequence[Delivery],
    sides: Sequence[Side],
    own_domains: frozenset[str],
    reach: int,
    days: int,
) -> Repair:
    """Who is right?  A grave verdict is believed, and acts inside; a mild one gives way."""
    gateway = next((side for side in sides if side.layer == Layer.GATEWAY), None)
    if gateway is not None and gateway.by == "block":
        return _remove(gateway)
    if any(copy.gateway_verdict in GRAVE for copy in copies):
        inside = [copy for copy in copies if not copy.was_released and copy.mailbox_verdict]
        return _pull(reach) if inside else {}
    return _allow(messages, copies, own_domains, days)


def _person_says_harmless(
    messages: Sequence[Message],
    copies: Sequence[Delivery],
    own_domains: frozenset[str],
    days: int,
) -> Repair:
    if all(is_threat(copy.mailbox_verdict) for copy in copies):
        return {
            "layer": Layer.MAILBOX.value,
            "action": "leave",
            "days": ORDER_DAYS,
            "text": f"Bailey pulls no copy of it by itself for {ORDER_DAYS} days.",
            "why": "A person has called it harmless; the mailbox layer condemns it.",
        }
    # No repair lets these in: an allow entry does not beat two of them, and fraud costs money.
    if any(copy.gateway_verdict in GRAVE for copy in copies):
        return {}
    return _allow(messages, copies, own_domains, days)


def _pull(reach: int) -> Repair:
    now = f"{reach} of this mail now" if reach else "none of this mail now"
    return {
        "layer": Layer.MAILBOX.value,
        "action": "pull",
        "days": ORDER_DAYS,
        "text": (
            f"Pull every copy of the incident that is within reach ({now}), and later ones for"
            f" {ORDER_DAYS} days. Reversible."
        ),
        "why": "The verdict is grave, the copies are within reach, and a pull can be undone.",
    }


def _allowing_entry(sides: Sequence[Side]) -> Side | None:
    return next((side for side in sides if side.by == "allow" and side.rule_id), None)


def _remove(entry: Side) -> Repair:
    whose = f", set by {entry.owner}" if entry.owner else ""
    word = "allow" if entry.by == "allow" else "block"
    return {
        "layer": Layer.GATEWAY.value,
        "action": "remove_rule",
        "rule_id": entry.rule_id,
        "days": 0,
        "text": f"Remove the {word} entry that decided{whose}.",
        "why": entry.rule,
    }


def _blocks(
    messages: Sequence[Message],
    sides: Sequence[Side],
    own_domains: frozenset[str],
    days: int,
) -> Iterator[Repair]:
    """Narrowest first; each fits every one of the mails."""
    if any(side.verdict == Verdict.MALWARE for side in sides):
        for digest in sorted(_common(messages, _files)):
            yield _rule("block", "attachment_sha256", digest, "", days, "the file that all carry")
    senders = _common(messages, _senders)
    for sender in sorted(senders):
        if sender.rpartition("@")[2] not in own_domains:
            yield _rule("block", "sender", sender, "", days, "the one sender of all of them")
    for host in sorted(_common(messages, _link_hosts)):
        if not any(host == own or host.endswith("." + own) for own in own_domains):
            yield _rule("block", "url_host", host, "", days, "the link that all share")


def _allow(
    messages: Sequence[Message],
    copies: Sequence[Delivery],
    own_domains: frozenset[str],
    days: int,
) -> Repair:
    """For the one mailbox where there is only one; never for the client's own domains."""
    recipients = {copy.recipient for copy in copies}
    recipient = recipients.pop() if len(recipients) == 1 else ""
    for signer in sorted(_common(messages, _signers) - own_domains):
        why = "the domain of the sender, which signed all of them"
        return _rule("allow", "dkim_domain", signer, recipient, days, why)
    for sender in sorted(_common(messages, _senders)):
        if sender.rpartition("@")[2] in own_domains:
            continue
        return _rule("allow", "sender", sender, recipient, days, "the one sender of all of them")
    return {}


def _rule(kind: str, match: str, value: str, recipient: str, days: int, why: str) -> Repair:
    does = "The gateway holds" if kind == "block" else "The gateway delivers"
    what = {
        "sender": f"mail of {value}",
        "dkim_domain": f"mail that {value} has signed",
        "url_host": f"mail with links to {value}",
        "attachment_sha256": f"mail with the file {value[:12]}…",
    }[match]
    whom = f" for {recipient}" if recipient else ""
    but = "" if kind == "block" else "; malware and phishing are held nevertheless"
    return {
        "layer": Layer.GATEWAY.value,
        "action": "add_rule",
        "kind": kind,
        "match": match,
        "value": value,
        "recipient": recipient,
        "days": days,
        "text": f"{does} {what}{whom} for {days} days{but}.",
        "why": f"The narrowest rule that fits: {why}.",
    }


def _common(messages: Sequence[Message], values_of: Any) -> set[str]:
    """What every one of the mails has."""
    shared: set[str] | None = None
    for message in messages:
        values = {value for value in values_of(message) if value}
        shared = values if shared is None else shared & values
    return shared or set()


def _senders(message: Message) -> Iterator[str]:
    yield message.sender_address


def _signers(message: Message) -> Iterator[str]:
    """Domains that signed the mail, and are the sender's own: a mailing service signs for all."""
    domain = registered_domain(message.sender_address.rpartition("@")[2])
    for auth in message.facts.get("auth", ()):
        signer = str(auth.get("domain", "")).lower()
        is_genuine = auth.get("method") == "dkim" and auth.get("result") == "pass"
        if is_genuine and domain and registered_domain(signer) == domain:
            yield signer


def _files(message: Message) -> Iterator[str]:
    for attachment in message.facts.get("attachments", ()):
        if not attachment.get("is_inline") and attachment.get("size_bytes", 0) > SMALL_FILE_BYTES:
            yield str(attachment.get("sha256", ""))


def _link_hosts(message: Message) -> Iterator[str]:
    for link in message.facts.get("links", ()):
        yield str(link.get("host", ""))
