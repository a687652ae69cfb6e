"""What is known of one thing that mail has in common: how common it is, its mails, its rules.

A thing is a sender, a domain, a sending host, the host of a link, a file or a mailbox.  Prevalence
counts every mail of the clients in sight, benign ones too (incidents/prevalence.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from incidents.campaigns.traits import make_trait, outside_ip
from incidents.mail.urls import registered_domain
from incidents.models import (
    Delivery,
    Incident,
    IncidentMessage,
    Message,
    MessageTrait,
    TraitCount,
)
from incidents.prevalence import TOTAL
from seg_bridge.models import GatewayRule
from seg_bridge.services import rules_in_force
from tenants.models import Mailbox, Tenant

SHOWN = 20
LOOKED_BACK = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Kind:
    """``trait``: its kind in incidents/campaigns/traits.py, "" for none; ``match``: of rules."""

    name: str
    label: str
    trait: str
    match: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("sender", "Sender", "sender", GatewayRule.Match.SENDER),
        Kind("domain", "Sender's domain", "sender_domain", GatewayRule.Match.SENDER_DOMAIN),
        Kind("ip", "Sending host", "ip", GatewayRule.Match.CLIENT_IP),
        Kind("host", "Host of a link", "url_host", GatewayRule.Match.URL_HOST),
        Kind("file", "File", "file", GatewayRule.Match.ATTACHMENT_SHA256),
        Kind("mailbox", "Mailbox", "", ""),
    )
}


@dataclass(frozen=True, slots=True)
class AtClient:
    client: Tenant
    messages: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityPage:
    """``messages`` of ``total`` mails at ``clients`` of the clients in sight; each client's below,
    the most first.  ``has_all_mails``: the mails shown are all kinds of mail, not only threats'.
    """

    kind: Kind
    value: str
    messages: int
    total: int
    clients: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    at: list[AtClient]
    incidents: list[Incident]
    mails: list[Message]
    has_all_mails: bool
    rules: list[GatewayRule]
    mailboxes: list[Mailbox]


def entity_page(kind_name: str, value: str) -> EntityPage | None:
    """None for nothing.  Raises ``KeyError`` for a kind that is none."""
    kind = KINDS[kind_name]
    value = normal_value(kind_name, value)
    if not value:
        return None
    counted = _prevalence(kind, value) if kind.trait else _copies_by_client(value)
    mails = _mails(kind, value)
    first = [each.first_seen_at for each in counted if each.first_seen_at]
    last = [each.last_seen_at for each in counted if each.last_seen_at]
    return EntityPage(
        kind=kind,
        value=value,
        messages=sum(each.messages for each in counted),
        total=_total() if kind.trait else 0,
        clients=len(counted),
        first_seen_at=min(first, default=None),
        last_seen_at=max(last, default=None),
        at=counted[:SHOWN],
        incidents=_incidents(kind, value, mails),
        mails=mails,
        has_all_mails=kind.name in _ALL_MAILS,
        rules=_rules(kind, value),
        mailboxes=list(Mailbox.objects.filter(address=value).select_related("tenant"))
        if kind.name == "mailbox"
        else [],
    )


def normal_value(kind_name: str, value: str) -> str:
    """As mail facts are counted: lower case, domains and hosts without what stands before."""
    value = value.strip().lower().rstrip(".")
    if kind_name in ("domain", "host"):
        return registered_domain(value) or value
    return value


def _prevalence(kind: Kind, value: str) -> list[AtClient]:
    rows = TraitCount.objects.filter(
        kind=kind.trait, value=make_trait(kind.trait, value).value
    ).select_related("tenant")
    found = [
        AtClient(row.tenant, row.messages, row.first_seen_at, row.last_seen_at) for row in rows
    ]
    return sorted(found, key=lambda each: (-each.messages, each.client.name))


def _copies_by_client(address: str) -> list[AtClient]:
    """Of a mailbox: the copies of the last 30 days."""
    since = timezone.now() - LOOKED_BACK
    times: dict[Tenant, list[datetime]] = {}
    for copy in (
        Delivery.objects.filter(recipient=address, received_at__gte=since)
        .select_related("tenant")
        .only("received_at", "tenant")
    ):
        times.setdefault(copy.tenant, []).append(copy.received_at)
    return [AtClient(client, len(at), min(at), max(at)) for client, at in times.items()]


def _total() -> int:
    counts = TraitCount.objects.filter(kind=TOTAL.kind, value=TOTAL.value)
    return sum(counts.values_list("messages", flat=True))


# Of these an index leads to every mail, of the others only to mails of incidents.
_ALL_MAILS = ("sender", "mailbox")


def _mails(kind: Kind, value: str) -> list[Message]:
    """The latest, of the last 30 days."""
    since = timezone.now() - LOOKED_BACK
    if kind.name == "sender":
        found = Message.objects.filter(sender_address=value, first_seen_at__gte=since)
        return list(found.order_by("-first_seen_at").select_related("tenant")[:SHOWN])
    if kind.name == "mailbox":
        copies = Delivery.objects.filter(recipient=value, received_at__gte=since)
        ids: Iterable[UUID] = copies.order_by("-received_at").values_list("message_id", flat=True)[
            : SHOWN * 2
        ]
    else:
        traits = MessageTrait.objects.filter(
            kind=kind.trait, value=make_trait(kind.trait, value).value, seen_at__gte=since
        )
        ids = traits.order_by("-seen_at").values_list("message_id", flat=True)[:SHOWN]
    wanted = list(dict.fromkeys(ids))[:SHOWN]
    mails = Message.objects.filter(id__in=wanted).select_related("tenant")
    return sorted(mails, key=lambda mail: mail.first_seen_at, reverse=True)


def _incidents(kind: Kind, value: str, mails: list[Message]) -> list[Incident]:
    """The latest with such mail."""
    if kind.trait:
        traits = MessageTrait.objects.filter(
            kind=kind.trait, value=make_trait(kind.trait, value).value
        )
        latest = traits.order_by("-seen_at").values_list("tenant_id", "message_id")[: SHOWN * 5]
        pairs = list(latest)
    else:
        pairs = [(mail.tenant_id, mail.id) for mail in mails]
    members = IncidentMessage.objects.filter(
        tenant__in={tenant_id for tenant_id, _ in pairs},
        message__in=[message_id for _, message_id in pairs],
    )
    ids = set(members.values_list("incident_id", flat=True))
    found = Incident.objects.filter(id__in=ids).select_related("tenant")
    return list(found.order_by("-last_seen_at", "-id")[:SHOWN])


def _rules(kind: Kind, value: str) -> list[GatewayRule]:
    """Allow and block entries in force that name it."""
    about = Q(match=kind.match, value__iexact=value) if kind.match else Q(recipient=value)
    if kind.name == "sender":
        domain = value.rpartition("@")[2]
        about |= Q(match=GatewayRule.Match.SENDER_DOMAIN, value__iexact=domain)
    rules = GatewayRule.objects.filter(rules_in_force() & about).select_related("tenant")
    return list(rules.order_by("-created_at")[:SHOWN])


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing of an incident's mails, as its page links it."""

    kind: Kind
    value: str
    label: str


def entities_of(mails: Iterable[Message]) -> list[Entity]:
    """Senders, their domains, sending hosts, hosts of links and files of these mails, each once."""
    found: dict[tuple[str, str], Entity] = {}
    for mail in mails:
        for name, text, label in _named_in(mail):
            value = normal_value(name, text)
            if value and (name, value) not in found:
                found[name, value] = Entity(KINDS[name], value, label or value)
    order = list(KINDS)
    return sorted(found.values(), key=lambda each: order.index(each.kind.name))[:MOST_ENTITIES]


MOST_ENTITIES = 24


def _named_in(mail: Message) -> Iterable[tuple[str, str, str]]:
    facts = mail.facts
    yield "sender", mail.sender_address, ""
    yield "domain", mail.sender_domain, ""
    yield "ip", outside_ip(facts), ""
    for link in (facts.get("links") or ())[:50]:
        yield "host", str(link.get("host") or ""), ""
    for file in (facts.get("attachments") or ())[:20]:
        if not file.get("is_inline"):
            yield "file", str(file.get("sha256") or ""), str(file.get("name") or "")
