"""Values that join nothing at a client because everybody's mail shares them, and why."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from incidents.bulk import fetch
from incidents.campaigns.evidence import KINDS, MOST_BENIGN, MOST_GROUPS, Rarity
from incidents.campaigns.hubs import is_hub
from incidents.campaigns.joining import WINDOW
from incidents.campaigns.store import MOST_COUNTED, rarity_of_traits
from incidents.campaigns.traits import Trait
from incidents.campaigns.words import thing
from tenants.models import Tenant

# So many values, those in most mails first, are looked at.
MOST_VALUES = 1_000


@dataclass(frozen=True, slots=True)
class Hub:
    """``mails`` of the client have it, harmless ones too; ``threats`` of them are in incidents.

    ``words`` say what is shared: "links to sharepoint.com".
    """

    words: str
    label: str
    mails: int
    threats: int
    why: str


@dataclass(frozen=True, slots=True)
class HubsPage:
    """``is_cut``: values in fewer mails than those looked at may be hubs, too."""

    client: Tenant
    hubs: list[Hub]
    looked_at: int
    is_cut: bool


def hubs_page(client: Tenant) -> HubsPage:
    """Of the traits of mail in incidents that was seen while links between mails last."""
    since = timezone.now() - WINDOW
    kinds = sorted(KINDS)
    rows = fetch(_TRAITS, [client.id, since, kinds, MOST_VALUES + 1])
    threats = {Trait(*row): n for *row, n in rows[:MOST_VALUES]}
    rarity = rarity_of_traits(client.id, threats)
    hubs = [hub for trait, n in threats.items() if (hub := _hub(trait, n, rarity))]
    hubs.sort(key=lambda hub: (-hub.mails, hub.words))
    return HubsPage(client, hubs, len(threats), len(rows) > MOST_VALUES)


_TRAITS = """
SELECT t.kind, t.value, min(t.label), count(*)
FROM incidents_messagetrait t
LEFT JOIN incidents_traitcount c
    ON c.tenant_id = t.tenant_id AND c.kind = t.kind AND c.value = t.value
WHERE t.tenant_id = %s AND t.seen_at >= %s AND t.kind = ANY(%s)
GROUP BY t.kind, t.value
ORDER BY greatest(count(*), max(c.messages)) DESC, t.kind, t.value
LIMIT %s
"""


def _hub(trait: Trait, threats: int, rarity: Rarity) -> Hub | None:
    if rarity.weighs(trait) > 0:
        return None
    return Hub(
        words=thing(trait.kind, trait.label),
        label=trait.label,
        mails=max(threats, rarity.total((trait.kind, trait.value))),
        threats=threats,
        why=_why(trait, rarity),
    )


def _why(trait: Trait, rarity: Rarity) -> str:
    key = (trait.kind, trait.value)
    if is_hub(trait):
        return "Pages or senders of many owners stand there."
    if trait.label.rpartition("@")[2] in rarity.own_domains:
        return "It is the client's own domain, which every forgery of it shares."
    if rarity.benign(key) > MOST_BENIGN:
        harmless = f"{rarity.benign(key):,} harmless mails"
        return f"It is in {harmless}; in more than {MOST_BENIGN} it says nothing."
    return (
        f"It is in more than {MOST_GROUPS} incidents among the latest {MOST_COUNTED:,} mails:"
        " a fashion, not a campaign."
    )
