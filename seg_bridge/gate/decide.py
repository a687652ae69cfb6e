"""What happens with one copy: the client's rules, then its policy for the verdict.

1. A block rule that fits acts.
2. An allow rule that fits delivers, but never malware or phish unless it says so, and never a
   sender that the sender's own domain disowns (DMARC fails).
3. Not scanned: the client's policy for that.
4. Malware and unscannable act at any score, other verdicts from the client's score on.
5. Everything else is delivered.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from incidents.mail.facts import MailFacts
from incidents.words import MatrixAction, Verdict
from seg_bridge.engines import Envelope
from seg_bridge.gate.policy import GatewayRule, Route, TenantPolicy
from seg_bridge.gate.scanning import ScanResult

_ALWAYS_ACTS = (Verdict.MALWARE, Verdict.UNSCANNABLE)
_IN_WORDS = {
    MatrixAction.DELIVER: "delivered",
    MatrixAction.TAG: "delivered with a mark",
    MatrixAction.HOLD: "held",
    MatrixAction.REJECT: "rejected",
    MatrixAction.DEFER: "deferred",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """``rule`` names what decided, in words with its origin."""

    action: MatrixAction
    rule: str


def decide(
    *, result: ScanResult, facts: MailFacts, envelope: Envelope, route: Route, now: datetime
) -> Decision:
    tenant = route.tenant
    live = [rule for rule in tenant.rules if _is_live(rule, route.address, now)]
    for rule in live:
        if rule.kind == "block" and _fits(rule, facts, envelope):
            return Decision(rule.action, f"block of {tenant.name}: {_describe(rule)}")
    for rule in live:
        if rule.kind == "allow" and _may_allow(rule, result, facts, envelope):
            return Decision(MatrixAction.DELIVER, f"allow of {tenant.name}: {_describe(rule)}")
    return _by_verdict(tenant, result)


def _by_verdict(tenant: TenantPolicy, result: ScanResult) -> Decision:
    verdict = result.verdict
    if verdict is not None and (verdict in _ALWAYS_ACTS or result.score >= tenant.act_from):
        action = tenant.matrix.get(verdict, MatrixAction.HOLD)
        return Decision(action, f"policy of {tenant.name}: {verdict} is {_IN_WORDS[action]}")
    if verdict is None or result.missing:
        missing = ", ".join(result.missing)
        words = f"not scanned ({missing} did not answer) is {_IN_WORDS[tenant.on_not_scanned]}"
        return Decision(tenant.on_not_scanned, f"policy of {tenant.name}: {words}")
    words = f"{verdict} is delivered"
    if verdict.is_threat:
        words = (
            f"{verdict} with {result.score:.1f} points is delivered, "
            f"it acts from {tenant.act_from:.1f}"
        )
    return Decision(MatrixAction.DELIVER, f"policy of {tenant.name}: {words}")


def _is_live(rule: GatewayRule, recipient: str, now: datetime) -> bool:
    has_ended = rule.expires_at is not None and rule.expires_at <= now
    return not has_ended and rule.recipient in ("", recipient)


def _may_allow(rule: GatewayRule, result: ScanResult, facts: MailFacts, envelope: Envelope) -> bool:
    if result.verdict in (Verdict.MALWARE, Verdict.PHISH) and not rule.beats_threats:
        return False
    if rule.match in ("sender", "sender_domain") and result.has_failed("dmarc"):
        return False
    return _fits(rule, facts, envelope)


def _fits(rule: GatewayRule, facts: MailFacts, envelope: Envelope) -> bool:
    match rule.match:
        case "sender":
            return rule.value in _senders(rule, facts, envelope)
        case "sender_domain":
            domains = {sender.rpartition("@")[2] for sender in _senders(rule, facts, envelope)}
            if rule.kind == "allow":
                return rule.value in domains
            return any(_is_under(domain, rule.value) for domain in domains)
        case "client_ip":
            return _is_in_network(envelope.client_ip, rule.value)
        case "url_host":
            return any(_is_under(link.host, rule.value) for link in facts.links)
        case "attachment_sha256":
            return any(each.sha256 == rule.value for each in facts.attachments)


def _senders(rule: GatewayRule, facts: MailFacts, envelope: Envelope) -> Iterator[str]:
    """An allow looks at the one sender that the reader sees; a block at every name given.

    The envelope sender costs an attacker nothing and passes no test of the visible one.
    """
    if rule.kind == "allow":
        if facts.sender is not None:
            yield facts.sender.address
        return
    yield envelope.mail_from.lower()
    for each in facts.from_all:
        yield each.address
    if facts.sender is not None:
        yield facts.sender.address


def _is_under(host: str, domain: str) -> bool:
    return bool(domain) and (host == domain or host.endswith("." + domain))


def _is_in_network(client_ip: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(client_ip) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _describe(rule: GatewayRule) -> str:
    kind = rule.match.replace("_", " ")
    scope = f" for {rule.recipient}" if rule.recipient else ""
    owner = f", set by {rule.owner}" if rule.owner else ""
    reason = f" ({rule.reason})" if rule.reason else ""
    return f"{kind} {rule.value}{scope}{owner}{reason}"
