"""Values that everybody's mail shares and that therefore join nothing.

Large hosts, free mail, link shorteners, bulk senders: kept by hand, because a new client has not
yet seen enough mail to count them.  What is merely frequent at the client is the count's business.
"""

from __future__ import annotations

from functools import cache

from incidents.campaigns.traits import Trait, is_free_mailer
from incidents.mail.signals import lists
from incidents.mail.urls import registered_domain

_HOST_KINDS = ("url_host", "url_shape")
_SENDER_KINDS = ("sender", "sender_domain", "sender_infra", "reply_to")


@cache
def _shared_domains() -> frozenset[str]:
    brands = frozenset(domain for brand in lists.brands() for domain in brand.domains)
    return lists.shared_hosts() | lists.free_hosts() | lists.shorteners() | brands


def is_shared_host(host: str) -> bool:
    """Whether pages of many owners stand at this host or below one of its parents."""
    labels = host.split(".")
    return any(".".join(labels[at:]) in _shared_domains() for at in range(len(labels) - 1))


def is_hub(trait: Trait) -> bool:
    """Whether this value is shared by everybody, whatever the client has counted so far."""
    if trait.kind in _HOST_KINDS:
        host = trait.label.partition("/")[0]
        return is_shared_host(host) or is_free_mailer(registered_domain(host))
    if trait.kind in _SENDER_KINDS:
        return _is_common_sender(trait)
    return trait.kind == "ip"  # its network counts, with the name behind it


def _is_common_sender(trait: Trait) -> bool:
    domain = trait.label.rpartition(" ")[2].rpartition("@")[2]
    registered = registered_domain(domain)
    if is_free_mailer(registered):
        # Anybody may have an address there, but the address itself is somebody's.
        return trait.kind in ("sender_domain", "sender_infra")
    return is_shared_host(registered) or registered in lists.bulk_senders()
