"""What is wrong with a copy, by what both layers have on record of it.  Pure.

A check answers None where the copy cannot tell anything, else the cause and its value, or ``FINE``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from incidents.interference.pairs import Links, Pair
from incidents.models.interference import Interference
from incidents.models.mail import Match
from incidents.words import HARMLESS, Outcome, Place, is_threat

Kind = Interference.Kind
Cause = tuple[str, str]
FINE: Cause = ("", "")
PROOF = 100
# A copy that its mailbox has not shown is missed once a copy that came so much later was.
SHOWN_WITHIN = timedelta(minutes=30)
_FAILED = ("fail", "softfail")
_PROVEN = (Match.STRONG, Match.WEAK)


@dataclass(slots=True)
class Finding:
    """``proof``: ids of the newest ``PROOF`` copies; times are ISO 8601."""

    cause: str
    value: str
    copies: int = 0
    first_at: str = ""
    last_at: str = ""
    proof: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Result:
    """``copies``: how many could be compared."""

    copies: int = 0
    findings: list[Finding] = field(default_factory=list)


def examine(pairs: Sequence[Pair]) -> dict[str, Result]:
    """What each check finds.  ``pairs``: newest first."""
    shown = _last_shown(pairs)
    checks: dict[str, Callable[[Pair], Cause | None]] = {
        Kind.HEADER: header,
        Kind.CONNECTOR: connector,
        Kind.LINKS: links,
        Kind.DOUBLE_QUARANTINE: lambda pair: double_quarantine(pair, shown),
    }
    return {kind: _collect(pairs, check) for kind, check in checks.items()}


def _collect(pairs: Iterable[Pair], check: Callable[[Pair], Cause | None]) -> Result:
    result, found = Result(), dict[Cause, Finding]()
    for pair in pairs:
        cause = check(pair)
        result.copies += cause is not None
        if not cause or cause == FINE:
            continue
        at = pair.received_at.isoformat()
        finding = found.setdefault(cause, Finding(*cause, last_at=at))
        finding.copies += 1
        finding.first_at = at
        if len(finding.proof) < PROOF:
            finding.proof.append(str(pair.id))
    result.findings = sorted(found.values(), key=lambda one: (-one.copies, one.cause, one.value))
    return result


def header(pair: Pair) -> Cause | None:
    """The gateway's trace is gone or broken, although it is the same mail by another proof."""
    if not pair.is_shown or not pair.trace_state or pair.match not in _PROVEN:
        return None
    if pair.trace_state == "valid":
        return FINE
    return ("missing" if pair.trace_state == "missing" else "broken", "")


def connector(pair: Pair) -> Cause | None:
    """The mail host judged the gateway's address as the sender's; the value is that address.

    With its connector set right it judges the host from which the gateway had the mail.
    """
    auth, host = pair.gateway_auth, pair.host_auth
    if not pair.is_shown or "spf" not in host or "pass" not in (auth.get("spf"), auth.get("dmarc")):
        return None
    is_senders = bool(pair.client_ip) and host.get("ip") == pair.client_ip
    if host["spf"] not in _FAILED or is_senders:
        return FINE
    return ("spf", host.get("ip", ""))


def links(pair: Pair) -> Cause | None:
    """Links lead elsewhere at first than they did at the gateway.

    ``wrapped`` with the service that did it (incidents/mail/rewriters.py), or ``replaced`` with the
    domain to which links of the mailbox's copy lead instead.
    """
    if not pair.has_links:
        return None
    written = {link.get("seen") for link in pair.gateway_links}
    added = [link for link in pair.mailbox_links if link.get("seen") not in written]
    before = {link.get("rewriter") for link in pair.gateway_links}
    wrapped = Counter(name for link in added if (name := link.get("rewriter")) not in before)
    wrapped.pop("", None)
    wrapped.pop(None, None)
    if wrapped:
        return ("wrapped", _most(wrapped))
    here = _hosts(pair.mailbox_links)
    if not added or here >= _hosts(pair.gateway_links):
        return FINE  # written otherwise, or added: all that was there leads where it led
    foreign = here - _hosts(pair.gateway_links)
    domains = Counter(
        str(link.get("domain") or link.get("host")) for link in added if link.get("host") in foreign
    )
    return ("replaced", _most(domains)) if domains else FINE


def _hosts(of: Links) -> set[Any]:
    return {link.get("host") for link in of}


def _most(counted: Counter[Any]) -> str:
    return str(min(counted, key=lambda name: (-counted[name], str(name))))


def double_quarantine(pair: Pair, last_shown: Mapping[str, datetime]) -> Cause | None:
    """What the gateway let through as harmless, or a person released, lay in junk at first sight,
    or has never been shown by a mailbox that has shown later mail.

    What the mailbox layer or a person condemns as well was rightly in junk.
    """
    if not pair.was_released:
        condemned = is_threat(pair.mailbox_verdict) or is_threat(pair.person_verdict)
        if pair.gateway_verdict not in HARMLESS or condemned:
            return None
    if pair.is_shown:
        if pair.first_place != Place.JUNK:
            return FINE
        return ("junked_released" if pair.was_released else "junked", "")
    later = last_shown.get(pair.recipient)
    if pair.outcome != Outcome.DELIVERED or later is None:
        return None
    return ("never_shown", "") if later - pair.received_at >= SHOWN_WITHIN else None


def _last_shown(pairs: Iterable[Pair]) -> dict[str, datetime]:
    """Recipient → when the latest copy came that her mailbox has shown."""
    found: dict[str, datetime] = {}
    for pair in pairs:
        if pair.is_shown:
            found[pair.recipient] = max(
                pair.received_at, found.get(pair.recipient, pair.received_at)
            )
    return found
