"""Entries that both layers follow, as the mailbox layer asks them: the gate's own law, no database.

``EntriesForBoth``        ``incidents.layers.Entries``
``condemned_inside(…)``   what the mailbox layer has condemned that such an entry would have let be
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from incidents.layers import SeenMail
from incidents.mail.facts import Address, AuthResult, MailFacts
from incidents.mail.fingerprint import mail_key
from incidents.models import Observation, Sighting
from incidents.models.mail import Layer
from incidents.words import THREATS, MatrixAction, Verdict
from seg_bridge.gate.decide import Decidable, Decision, is_live, may_allow
from seg_bridge.gate.policy import GatewayRule as WireRule
from seg_bridge.gate.policy import normalise_address

MOST_LOOKED_AT = 1_000


class EntriesForBoth:
    """``incidents.layers.Entries``."""

    def __init__(self, rules: Sequence[WireRule]) -> None:
        self._rules = rules

    def allowing(self, mail: SeenMail, now: datetime) -> dict[str, str]:
        if not self._rules:
            return {}
        seen = _decidable(mail)
        names = [normalise_address(name) for name in mail.names]
        for rule in self._rules:
            # A genuine trace vouches for this very mail, and not for who is named in it.
            is_one = rule.match == "mail" and mail.is_proven
            asked = replace(seen, is_disowned=_has_failed(mail)) if is_one else seen
            is_for_it = any(is_live(rule, name, now) for name in names)
            if is_for_it and may_allow(rule, asked):
                told = Decision(MatrixAction.DELIVER, "", "allow", rule).as_json()
                return told | ({"beats_threats": "yes"} if rule.beats_threats else {})
        return {}


def _has_failed(mail: SeenMail) -> bool:
    found = mail.facts.auth_results
    return any(each.method == "dmarc" and each.result == "fail" for each in found)


def _decidable(mail: SeenMail) -> Decidable:
    """Where our own gate has not vouched for the mail, nobody's name on it is proven."""
    facts = mail.facts
    auth = facts.auth_results if mail.is_proven else ()
    sender = facts.sender.address if facts.sender is not None else ""
    return Decidable(
        verdict=mail.verdict,
        score=0.0,
        missing=(),
        is_disowned=_has_failed(mail) or not auth,
        sender=sender,
        senders=frozenset({sender} - {""}),
        client_ip="",
        link_hosts=frozenset(link.host for link in facts.links),
        attachments=frozenset(each.sha256 for each in facts.attachments),
        dkim_domains=frozenset(
            each.domain.lower()
            for each in auth
            if each.method == "dkim" and each.result == "pass" and each.domain
        ),
        mail_key=mail_key(facts.internet_message_id, sender, facts.fingerprint),
    )


def condemned_inside(tenant_id: int, rule: WireRule, since: datetime, now: datetime) -> list[UUID]:
    """Deliveries, newest first: of the newest ``MOST_LOOKED_AT`` that the mailbox layer condemned
    in the mailboxes that the entry is for.
    """
    rows = Observation.objects.filter(
        tenant_id=tenant_id,
        layer=Layer.MAILBOX,
        verdict__in=THREATS,
        observed_at__gte=since,
    )
    if rule.recipient.startswith("@"):
        rows = rows.filter(recipient__endswith=rule.recipient)
    elif rule.recipient:
        rows = rows.filter(recipient__in=[rule.recipient, *rule.also])
    entries = EntriesForBoth([rule])
    found = [
        seen.id
        for seen in rows.order_by("-observed_at")[:MOST_LOOKED_AT]
        if entries.allowing(_seen(seen), now)
    ]
    copies = dict(
        Sighting.objects.filter(tenant_id=tenant_id, observation_id__in=found).values_list(
            "observation_id", "delivery_id"
        )
    )
    return list(dict.fromkeys(copies[each] for each in found if each in copies))


def _seen(seen: Observation) -> SeenMail:
    """As the mailbox layer saw it, from the facts that it left."""
    sender = (seen.mail.get("sender") or {}).get("address", "")
    facts = MailFacts(
        size_bytes=0,
        raw_sha256="",
        internet_message_id=seen.internet_message_id,
        sender=Address(sender) if sender else None,
        fingerprint=seen.fingerprint,
        auth_results=tuple(_auth(seen)),
    )
    return SeenMail(
        verdict=Verdict(seen.verdict or Verdict.CLEAN),
        facts=facts,
        names=(seen.recipient,),
        is_proven=seen.trace_state == "valid",
    )


def _auth(seen: Observation) -> Iterator[AuthResult]:
    for each in seen.mail.get("auth_results") or ():
        yield AuthResult(
            authserv_id=str(each.get("authserv_id", "")),
            method=str(each.get("method", "")),
            result=str(each.get("result", "")),
            domain=str(each.get("domain", "")),
        )
