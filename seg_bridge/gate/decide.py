"""What happens with one copy: the client's rules, then its policy for the verdict.

1. A block rule that fits acts.
2. An allow rule that fits delivers, but never malware or phish unless it says so, never a sender
   that the sender's own domain disowns (DMARC fails), and nothing that an engine has not looked at
   where the policy keeps such mail back: nobody knows whether it is malware, or whose it is.
3. Not scanned: the policy for that, unless what another engine found is kept back anyhow.
4. Malware and unscannable act at any score, other threats from the policy's score on; a weaker
   threat is marked from another score on, if the policy has one.
5. Everything else is delivered, but where the policy wants something else for what is harmless: a
   score says nothing of that.
6. Kinds of files that the policy names: where it wants more than the verdict does, that is done.

The policy is the recipient's: of the mailbox, else the domain, else the client.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from datetime import datetime

from incidents.mail.facts import MailFacts
from incidents.mail.fingerprint import mail_key
from incidents.words import PASSING, MatrixAction, Verdict
from seg_bridge.engines import Envelope
from seg_bridge.gate.policy import GatewayRule, TenantPolicy
from seg_bridge.gate.scanning import ScanResult
from seg_bridge.gate.treatment import FileTrait, Treatment, traits_of

MAX_REASON_CHARS = 300
_ALWAYS_ACTS = (Verdict.MALWARE, Verdict.UNSCANNABLE)
# Put off comes before held: the engine that was missing may find worse the next time.
_HARSHER = (
    *(MatrixAction.DELIVER, MatrixAction.TAG, MatrixAction.HOLD, MatrixAction.DEFER),
    MatrixAction.REJECT,
)
_IN_WORDS = {
    MatrixAction.DELIVER: "delivered",
    MatrixAction.TAG: "delivered with a mark",
    MatrixAction.HOLD: "held",
    MatrixAction.REJECT: "rejected",
    MatrixAction.DEFER: "deferred",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """``rule`` names what decided, in words with its origin.

    ``by``: ``block`` or ``allow`` for an entry of the client's list, which is then ``entry``;
    ``verdict``, ``score`` (below the policy's), ``not_scanned`` or ``file`` for her policy;
    ``notice``: Bailey wrote the mail itself (notices.py).
    """

    action: MatrixAction
    rule: str
    by: str
    entry: GatewayRule | None = None

    def as_json(self) -> dict[str, str]:
        """For an observation's detail: what decided and whose entry it was, as of then."""
        told = {"by": self.by, "action": str(self.action)}
        if self.entry is not None:
            told |= {
                "rule_id": self.entry.id,
                "owner": self.entry.owner,
                "match": self.entry.match,
                "value": self.entry.value,
                "recipient": self.entry.recipient,
                "reason": self.entry.reason[:MAX_REASON_CHARS],
            }
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Decidable:
    """All that a decision reads of a mail; made of what the gate has at hand, or of stored facts.

    Addresses and hosts are in small letters.  ``sender`` is the one visible sender, "" where there
    is none; ``senders`` are all names given, the envelope's among them.
    """

    verdict: Verdict | None
    score: float
    missing: tuple[str, ...]
    is_disowned: bool
    sender: str
    senders: frozenset[str]
    client_ip: str
    link_hosts: frozenset[str]
    attachments: frozenset[str]
    file_traits: frozenset[FileTrait] = frozenset()
    dkim_domains: frozenset[str] = frozenset()
    mail_key: str = ""


def decidable(result: ScanResult, facts: MailFacts, envelope: Envelope) -> Decidable:
    sender = facts.sender.address if facts.sender is not None else ""
    named = (each.address for each in facts.from_all)
    visible = (sender,) if facts.sender is not None else ()
    return Decidable(
        verdict=result.verdict,
        score=result.score,
        missing=result.missing,
        is_disowned=result.has_failed("dmarc"),
        sender=sender,
        senders=frozenset((envelope.mail_from.lower(), *named, *visible)),
        client_ip=envelope.client_ip,
        link_hosts=frozenset(link.host for link in facts.links),
        attachments=frozenset(each.sha256 for each in facts.attachments),
        dkim_domains=frozenset(
            each.domain.lower()
            for each in result.auth
            if each.method == "dkim" and each.result == "pass" and each.domain
        ),
        file_traits=traits_of((one.kind, one.is_inline, one.flags) for one in facts.attachments),
        mail_key=mail_key(facts.internet_message_id, sender, facts.fingerprint),
    )


def decide(mail: Decidable, tenant: TenantPolicy, recipient: str, now: datetime) -> Decision:
    """The one function that decides: the gate's core and the rehearsal both call it."""
    live = [rule for rule in tenant.rules if is_live(rule, recipient, now)]
    for rule in live:
        if rule.kind == "block" and fits(rule, mail):
            words = f"block of {_whose(rule, tenant)}: {say_rule(rule)}"
            return Decision(rule.action, words, "block", rule)
    treatment = tenant.treatment_for(recipient)
    is_kept_back = _is_unscanned(mail) and treatment.on_not_scanned not in PASSING
    for rule in live:
        if rule.kind == "allow" and not is_kept_back and may_allow(rule, mail):
            words = f"allow of {_whose(rule, tenant)}: {say_rule(rule)}"
            return Decision(MatrixAction.DELIVER, words, "allow", rule)
    decided = _by_verdict(treatment, mail)
    by_file = _by_file(treatment, mail)
    if by_file is not None and _is_harsher(by_file.action, decided.action):
        decided = by_file
    return replace(decided, rule=f"policy of {tenant.whose(recipient)}: {decided.rule}")


def _is_unscanned(mail: Decidable) -> bool:
    """Is an engine's word about it missing, whatever the others said?"""
    return mail.verdict is None or bool(mail.missing)


def _is_harsher(action: MatrixAction, than: MatrixAction) -> bool:
    return _HARSHER.index(action) > _HARSHER.index(than)


def _by_verdict(policy: Treatment, mail: Decidable) -> Decision:
    verdict = mail.verdict
    if verdict is not None and (verdict in _ALWAYS_ACTS or mail.score >= policy.act_from):
        action = policy.matrix.get(verdict, MatrixAction.HOLD)
        # What one engine found and the policy lets pass says nothing for the one that is away.
        if not (mail.missing and action in PASSING and _is_harsher(policy.on_not_scanned, action)):
            return Decision(action, f"{verdict} is {_IN_WORDS[action]}", "verdict")
    if verdict is None or mail.missing:  # as _is_unscanned, which narrows no type
        missing = ", ".join(mail.missing)
        words = f"not scanned ({missing} did not answer) is {_IN_WORDS[policy.on_not_scanned]}"
        return Decision(policy.on_not_scanned, words, "not_scanned")
    action, words = MatrixAction.DELIVER, f"{verdict} is delivered"
    if not verdict.is_threat:
        wanted = policy.matrix.get(verdict, action)
        if wanted is not action:
            return Decision(wanted, f"{verdict} is {_IN_WORDS[wanted]}", "verdict")
    else:
        if policy.mark_from is not None and mail.score >= policy.mark_from:
            action = MatrixAction.TAG
        words = (
            f"{verdict} with {mail.score:.1f} points is {_IN_WORDS[action]}, "
            f"it acts from {policy.act_from:.1f}"
        )
    return Decision(action, words, "score")


def _by_file(policy: Treatment, mail: Decidable) -> Decision | None:
    """The harshest of what the policy wants for these kinds of files; None: it names none."""
    wanted = [(policy.files[trait], trait) for trait in mail.file_traits if trait in policy.files]
    if not wanted:
        return None
    action, trait = max(wanted, key=lambda each: (_HARSHER.index(each[0]), each[1]))
    words = str(trait).replace("_", " ")
    return Decision(action, f"a file of the kind {words} is {_IN_WORDS[action]}", "file")


def is_live(rule: GatewayRule, recipient: str, now: datetime) -> bool:
    has_ended = rule.expires_at is not None and rule.expires_at <= now
    return not has_ended and rule.is_for(recipient)


def may_allow(rule: GatewayRule, mail: Decidable) -> bool:
    """The law of allow entries, in both layers: the mailbox layer's verdict is asked of it too."""
    if mail.verdict in (Verdict.MALWARE, Verdict.PHISH) and not rule.beats_threats:
        return False
    if rule.match in ("sender", "sender_domain", "mail") and mail.is_disowned:
        return False
    return fits(rule, mail)


def fits(rule: GatewayRule, mail: Decidable) -> bool:
    """Does the entry name this mail, whatever is then done with it?"""
    match rule.match:
        case "sender":
            return rule.value in _senders(rule, mail)
        case "sender_domain":
            domains = {sender.rpartition("@")[2] for sender in _senders(rule, mail)}
            if rule.kind == "allow":
                return rule.value in domains
            return any(_is_under(domain, rule.value) for domain in domains)
        case "dkim_domain":
            if rule.kind == "allow":
                return rule.value in mail.dkim_domains
            return any(_is_under(domain, rule.value) for domain in mail.dkim_domains)
        case "client_ip":
            return _is_in_network(mail.client_ip, rule.value)
        case "url_host":
            return any(_is_under(host, rule.value) for host in mail.link_hosts)
        case "attachment_sha256":
            return rule.value in mail.attachments
        case "mail":
            return bool(mail.mail_key) and rule.value == mail.mail_key


def _senders(rule: GatewayRule, mail: Decidable) -> frozenset[str]:
    """An allow looks at the one sender that the reader sees; a block at every name given.

    The envelope sender costs an attacker nothing and passes no test of the visible one.
    """
    if rule.kind == "allow":
        return frozenset({mail.sender} - {""})
    return mail.senders


def _is_under(host: str, domain: str) -> bool:
    return bool(domain) and (host == domain or host.endswith("." + domain))


def _is_in_network(client_ip: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(client_ip) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _whose(rule: GatewayRule, tenant: TenantPolicy) -> str:
    match rule.scope:
        case "provider":
            return "all clients"
        case "group":
            return "a group of clients"
    return tenant.name


def say_rule(rule: GatewayRule) -> str:
    kind = rule.match.replace("_", " ")
    if rule.match == "mail":
        # Its value tells a reader nothing.
        kind, value = "one mail", rule.value[:12] + "…"
    else:
        value = rule.value
    scope = f" for {rule.recipient}" if rule.recipient else ""
    owner = f", set by {rule.owner}" if rule.owner else ""
    reason = f" ({rule.reason})" if rule.reason else ""
    return f"{kind} {value}{scope}{owner}{reason}"
