"""What may stand in a gateway rule: one writing for each value, and no entry that does harm.

``normalise(match, value)``  the value as the gate compares it; raises ``WrongInput``
``check_rule(…)``            raises ``WrongInput`` for a rule that nobody should want
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from datetime import datetime
from functools import lru_cache

from django.utils import timezone
from publicsuffixlist import PublicSuffixList

from incidents.words import MatrixAction
from seg_bridge.gate.policy import normalise_address
from seg_bridge.models import GatewayRule
from tenants.errors import WrongInput

_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
MAX_ADDRESS_CHARS = 320
# A wider network is somebody's whole provider, not a sender.
_SMALLEST_PREFIX = {4: 16, 6: 32}


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _domain(value: str) -> str:
    name = normalise_address(f"@{value.strip().removeprefix('*.').strip('.')}")[1:]
    if not _HOST.match(name):
        raise WrongInput(f"“{value}” is not a domain. It should look like evil.example.")
    return name


def _host(value: str) -> str:
    # A rule covers subdomains: one for "co.uk" would hold a country's mail.
    name = _domain(value)
    if _suffixes().is_public(name):
        raise WrongInput(f"“{value}” is a suffix under which anybody can have a domain.")
    return name


def _address(value: str) -> str:
    address = normalise_address(value.strip().removeprefix("<").removesuffix(">"))
    local, at, domain = address.rpartition("@")
    if not at or not local or re.search(r"[\s<>,;\x00-\x1f]", address):
        raise WrongInput(f"“{value}” is not an address. It should look like eve@evil.example.")
    if len(address) > MAX_ADDRESS_CHARS:
        raise WrongInput("This address is too long to be one.")
    return f"{local}@{_domain(domain)}"


def _network(value: str) -> str:
    try:
        network = ipaddress.ip_network(value.strip(), strict=False)
    except ValueError:
        raise WrongInput(
            f"“{value}” is not an address or network. It should look like 192.0.2.7."
        ) from None
    if network.prefixlen < _SMALLEST_PREFIX[network.version]:
        raise WrongInput(f"“{value}” is too wide a network for one rule.")
    is_one = network.num_addresses == 1
    return str(network.network_address) if is_one else str(network)


def _url_host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value.strip().strip("[]")))
    except ValueError:
        return _host(value)


def _hash(value: str) -> str:
    digest = value.strip().lower()
    if not _SHA256.match(digest):
        raise WrongInput("A SHA-256 has 64 hex digits.")
    return digest


_NORMALISERS: dict[str, Callable[[str], str]] = {
    GatewayRule.Match.SENDER: _address,
    GatewayRule.Match.SENDER_DOMAIN: _host,
    GatewayRule.Match.DKIM_DOMAIN: _host,
    GatewayRule.Match.CLIENT_IP: _network,
    GatewayRule.Match.URL_HOST: _url_host,
    GatewayRule.Match.ATTACHMENT_SHA256: _hash,
    GatewayRule.Match.MAIL: _hash,
}


def normalise(match: str, value: str) -> str:
    """``value`` as the gate compares it.  Raises ``WrongInput``."""
    if match not in _NORMALISERS:
        raise WrongInput(f"A rule matches one of: {', '.join(GatewayRule.Match.values)}.")
    return _NORMALISERS[match](value)


def check_rule(rule: GatewayRule, *, own_domains: Collection[str]) -> None:
    """Raises ``WrongInput``.  ``rule.value`` is normalised; ``own_domains`` are the client's."""
    if rule.kind not in GatewayRule.Kind.values:
        raise WrongInput("A rule allows or blocks.")
    if not rule.reason.strip():
        raise WrongInput("Please say why: the rule is shown with its reason.")
    if (rule.recipient or rule.mailbox_group_id) and rule.tenant_id is None:
        raise WrongInput("An entry for all clients or for a group is for every mailbox.")
    if rule.recipient and rule.recipient.rpartition("@")[2] not in own_domains:
        raise WrongInput(f"{rule.recipient} is not an address or domain of this client.")
    if rule.expires_at is not None:
        _check_end(rule.expires_at)
    elif not rule.no_end_because:
        raise WrongInput("Say why this entry has no end, or give it one.")
    if rule.kind == GatewayRule.Kind.BLOCK:
        _check_block(rule)
    else:
        _check_allow(rule, own_domains)


def _check_end(expires_at: datetime) -> None:
    if expires_at.tzinfo is None:
        raise WrongInput("The end of a rule needs a time zone.")
    if expires_at <= timezone.now():
        raise WrongInput("The end of a rule lies in the future.")


def _check_block(rule: GatewayRule) -> None:
    if rule.action not in (MatrixAction.HOLD, MatrixAction.REJECT):
        raise WrongInput("A block holds or rejects.")
    if rule.beats_threats:
        raise WrongInput("Only an allow entry can be told to let threats pass.")
    if rule.in_mailboxes or rule.match == GatewayRule.Match.MAIL:
        raise WrongInput("Only an allow entry is for both layers, or for one mail.")


def _check_allow(rule: GatewayRule, own_domains: Collection[str]) -> None:
    if rule.action != MatrixAction.DELIVER:
        raise WrongInput("An allow entry delivers.")
    if rule.match in (GatewayRule.Match.SENDER, GatewayRule.Match.SENDER_DOMAIN):
        domain = rule.value.rpartition("@")[2]
        if domain in own_domains:
            raise WrongInput(f"Allowing {rule.value} would let in mail that forges this client.")
    if rule.beats_threats and rule.expires_at is None:
        raise WrongInput("An entry that lets threats pass needs an end.")
    is_one = rule.match == GatewayRule.Match.MAIL
    if (rule.in_mailboxes or is_one) and not (
        rule.expires_at and rule.tenant_id and (rule.recipient or rule.mailbox_group_id or is_one)
    ):
        raise WrongInput(
            "An exception for both layers is for a mailbox, group or domain of one client, and has"
            " an end."
        )
