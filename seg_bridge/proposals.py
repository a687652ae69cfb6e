"""The narrowest exception for a mail that was stopped: who signed it, for whom, until when.

"Allow this sender" lets in whoever writes that name.  What is proposed instead holds for one
mailbox, and by what the mail proves about itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from incidents.mail.signals.domains import registered_domain
from incidents.models import Delivery, Observation, Sighting
from incidents.models.mail import Layer
from incidents.words import GRAVE
from seg_bridge.models import GatewayRule

Match = GatewayRule.Match


@dataclass(frozen=True, slots=True)
class Way:
    """One allow entry that would fit; ``why`` says what it rests on."""

    match: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """``ways`` from the narrowest on, none where nothing sensible is at hand; ``warning`` "" or
    why an exception will not help.
    """

    recipient: str
    ways: tuple[Way, ...]
    warning: str


def propose_exception(copy: Delivery) -> Proposal:
    """For mail like this one, to this mailbox.  Needs the client's scope."""
    seen = gateways_word(copy)
    if seen is None:
        return Proposal(copy.recipient, (), "The gateway has not seen this mail.")
    warning = ""
    if seen.verdict in GRAVE:
        warning = (
            "The gateway holds it to be a threat: malware and phishing are held whatever an entry"
            " says. Release this one mail instead, or correct the verdict."
        )
    return Proposal(copy.recipient, tuple(_ways(seen)), warning)


def gateways_word(copy: Delivery) -> Observation | None:
    """The whole word about the mail, not a later one about the copy's fate."""
    sights = Sighting.objects.filter(tenant_id=copy.tenant_id, delivery=copy)
    rows = Observation.objects.filter(
        tenant_id=copy.tenant_id,
        id__in=sights.values("observation_id"),
        observed_at__in=sights.values("observed_at"),
        layer=Layer.GATEWAY,
        detail__has_key="client_ip",
    )
    return rows.order_by("observed_at").last()


def _ways(seen: Observation) -> Iterator[Way]:
    facts: dict[str, Any] = seen.mail or {}
    sender = str((facts.get("sender") or {}).get("address", ""))
    domain = sender.rpartition("@")[2]
    auth = [each for each in facts.get("auth", ()) if isinstance(each, dict)]
    for signer in sorted({_signer(each) for each in auth} - {""}):
        # A mailing service signs for all of its customers: its name says nothing about this one.
        if registered_domain(signer) == (registered_domain(domain) or None):
            yield Way(
                Match.DKIM_DOMAIN, signer, f"It is signed by {signer}, which nobody else can do."
            )
    is_disowned = any(e.get("method") == "dmarc" and e.get("result") == "fail" for e in auth)
    if sender and not is_disowned:
        yield Way(Match.SENDER, sender, "By the sender's address, which can be forged.")
    client_ip = str((seen.detail or {}).get("client_ip", ""))
    if client_ip:
        yield Way(Match.CLIENT_IP, client_ip, "By the sending host, which may send for others too.")


def _signer(auth: dict[str, Any]) -> str:
    is_genuine = auth.get("method") == "dkim" and auth.get("result") == "pass"
    return str(auth.get("domain", "")).lower() if is_genuine else ""
