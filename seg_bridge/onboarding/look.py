"""What DNS says of a domain on its way to us.  Asks the network, so never inside a scope.

``state`` of each answer: ``seen``, ``partly`` (ours, and others beside them), ``not_seen``, or
``no_answer`` (the resolver failed: nothing is known).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from seg_bridge.engines.embedded.resolver import Lookup, ResolverFailed

OWNER_LABEL = "_bailey"
OWNER_PREFIX = "bailey-domain="


@dataclass(frozen=True, slots=True)
class Found:
    """``found``: the records as DNS gave them."""

    state: str
    words: str
    found: tuple[str, ...] = ()


def owner_record(domain: str, token: str) -> tuple[str, str]:
    """Name and text of the TXT record that proves the domain."""
    return f"{OWNER_LABEL}.{domain}", f"{OWNER_PREFIX}{token}"


def look_for_owner(lookup: Lookup, domain: str, token: str) -> Found:
    name, wanted = owner_record(domain, token)
    try:
        texts = lookup(name, "TXT")
    except ResolverFailed as error:
        return _silent(error)
    if any(text.strip() == wanted for text in texts):
        return Found(
            "seen", "The record is there: whoever runs the domain's DNS wants this.", texts
        )
    if texts:
        return Found("not_seen", f"{name} says something else.", texts)
    return Found("not_seen", f"There is no TXT record {name} yet.")


def look_for_mx(lookup: Lookup, domain: str, gates: Collection[str]) -> Found:
    """``gates``: the host names of the gates that take the domain's mail."""
    ours = {gate.rstrip(".").lower() for gate in gates}
    try:
        records = lookup(domain, "MX")
    except ResolverFailed as error:
        return _silent(error)
    hosts = {record.split()[-1].rstrip(".").lower() for record in records if record.split()}
    others = sorted(hosts - ours)
    if not hosts:
        return Found("not_seen", "The domain has no MX record.")
    if not hosts & ours:
        return Found("not_seen", f"Mail still goes to {', '.join(others)}.", records)
    if others:
        words = f"Mail may still go past the gates, to {', '.join(others)}."
        return Found("partly", words, records)
    return Found("seen", "All mail comes to the gates.", records)


def look_for_addresses(lookup: Lookup, host: str) -> tuple[str, ...]:
    """IPv4 and IPv6 addresses of a gate; () where it has none or the resolver failed."""
    try:
        return (*lookup(host, "A"), *lookup(host, "AAAA"))
    except ResolverFailed:
        return ()


def look_at(lookup: Lookup, domain: str, token: str, gates: Collection[str]) -> dict[str, Any]:
    """All of it, as ``DomainCheck.found`` keeps it."""
    addresses: Mapping[str, list[str]] = {
        host: list(look_for_addresses(lookup, host)) for host in sorted(gates)
    }
    return {
        "owner": asdict(look_for_owner(lookup, domain, token)),
        "mx": asdict(look_for_mx(lookup, domain, gates)),
        "gates": addresses,
    }


def _silent(error: ResolverFailed) -> Found:
    return Found("no_answer", f"DNS did not answer: {str(error)[:200]}")
