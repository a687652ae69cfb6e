"""What is known of one thing that mail has in common: how common it is, since when, at whom.

A thing is a sender, a domain, a sending host, the host of a link, a link, a file or a mailbox.
Prevalence counts every mail of the clients in sight, benign ones too (incidents/prevalence.py); the
mails and incidents with it are in console/queries/entity_lists.py, what hangs together with it in
console/queries/together_graph.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from incidents.campaigns.traits import Trait, exact_link, make_trait, outside_ip
from incidents.ledger import Period
from incidents.mail.urls import registered_domain
from incidents.models import Delivery, Message, TraitCount
from incidents.prevalence import TOTAL
from seg_bridge.models import GatewayRule
from seg_bridge.rule_scopes import rules_of
from seg_bridge.services import rules_in_force
from tenants.models import Mailbox, Tenant

SHOWN = 20
PERIODS = {"7": "7 days", "30": "30 days", "90": "90 days"}
USUAL_DAYS = "30"


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
        Kind("link", "Link", "url", GatewayRule.Match.URL_HOST),
        Kind("file", "File", "file", GatewayRule.Match.ATTACHMENT_SHA256),
        Kind("mailbox", "Mailbox", "", ""),
    )
}


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing, its value in the normal form; ``label`` is what people read."""

    kind: Kind
    value: str
    label: str

    @property
    def trait(self) -> Trait | None:
        """None for a mailbox, which is found by the copies in it."""
        return make_trait(self.kind.trait, self.value) if self.kind.trait else None

    @property
    def rule_value(self) -> str:
        """What an allow or block entry about it names: of a link its host."""
        return self.value.partition("/")[0] if self.kind.name == "link" else self.value


def read_thing(kind_name: str, value: str) -> Thing | None:
    """None for nothing.  Raises ``KeyError`` for a kind that is none."""
    kind, text = KINDS[kind_name], normal_value(kind_name, value)
    return Thing(kind, text, text) if text else None


def normal_value(kind_name: str, value: str) -> str:
    """As mail facts are counted: lower case, domains and hosts without what stands before."""
    text = value.strip().replace("\x00", "")
    if kind_name == "link":
        return exact_link(text if "://" in text else f"https://{text}")
    text = text.lower().rstrip(".")
    if kind_name in ("domain", "host"):
        return registered_domain(text) or text
    return text


def last_days(days: str) -> Period:
    """The ``PERIODS`` up to now; the usual one for anything else."""
    now = timezone.now()
    return Period(now - timedelta(days=int(days if days in PERIODS else USUAL_DAYS)), now)


@dataclass(frozen=True, slots=True)
class AtClient:
    client: Tenant
    messages: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """``messages`` of ``total`` mails at ``clients`` of the clients in sight; each client's below,
    the most first.  Of a mailbox: copies of the period, and ``total`` 0.
    """

    thing: Thing
    messages: int
    total: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    at: list[AtClient]
    rules: list[GatewayRule]
    mailboxes: list[Mailbox]

    @property
    def clients(self) -> int:
        return len(self.at)


def facts_of(thing: Thing, period: Period, *, client: str = "") -> Facts:
    """``client``: the short name of the only one to look at, "" for all in sight."""
    at = prevalence_of(thing, period, client=client)
    mailboxes = Mailbox.objects.filter(address=thing.value).select_related("tenant")
    return Facts(
        thing=thing,
        messages=sum(each.messages for each in at),
        total=_total(client) if thing.trait else 0,
        first_seen_at=min((e.first_seen_at for e in at if e.first_seen_at), default=None),
        last_seen_at=max((e.last_seen_at for e in at if e.last_seen_at), default=None),
        at=at,
        rules=_rules(thing, client),
        mailboxes=list(_of_client(mailboxes, client)) if thing.trait is None else [],
    )


def prevalence_of(thing: Thing, period: Period, *, client: str = "") -> list[AtClient]:
    """At whom, the most mails first."""
    if thing.trait is None:
        return _copies_by_client(thing.value, period, client)
    counts = TraitCount.objects.filter(kind=thing.trait.kind, value=thing.trait.value)
    found = [
        AtClient(row.tenant, row.messages, row.first_seen_at, row.last_seen_at)
        for row in _of_client(counts, client).select_related("tenant")
    ]
    return sorted(found, key=lambda each: (-each.messages, each.client.name))


def _of_client(rows: Any, client: str) -> Any:
    return rows.filter(tenant__slug=client) if client else rows


def _copies_by_client(address: str, period: Period, client: str) -> list[AtClient]:
    copies = Delivery.objects.filter(
        recipient=address, received_at__gte=period.since, received_at__lt=period.until
    )
    rows = (
        _of_client(copies, client)
        .order_by()
        .values_list("tenant")
        .annotate(n=Count("id"), first=Min("received_at"), last=Max("received_at"))
    )
    found = {tenant: (n, first, last) for tenant, n, first, last in rows}
    clients = Tenant.objects.filter(id__in=found)
    return [AtClient(each, *found[each.id]) for each in clients.order_by("name")]


def _total(client: str) -> int:
    counts = TraitCount.objects.filter(kind=TOTAL.kind, value=TOTAL.value)
    return sum(_of_client(counts, client).values_list("messages", flat=True))


def _rules(thing: Thing, client: str) -> list[GatewayRule]:
    """Allow and block entries in force that name it."""
    kind, value = thing.kind, thing.rule_value
    about = Q(match=kind.match, value__iexact=value) if kind.match else Q(recipient=value)
    if kind.name == "sender":
        domain = value.rpartition("@")[2]
        about |= Q(match=GatewayRule.Match.SENDER_DOMAIN, value__iexact=domain)
    rules = GatewayRule.objects.filter(rules_in_force(), rules_of(client), about)
    return list(rules.select_related("tenant", "group").order_by("-created_at")[:SHOWN])


# --- what is in a mail

MOST_OF_A_KIND = 6
_MOST_LINKS, _MOST_FILES = 50, 20


def things_in(mail: Message) -> Iterator[Thing]:
    """Its sender, domain, sending host, hosts of links, links and files; some may come twice."""
    for name, text, label in _named_in(mail):
        value = normal_value(name, text)
        if value:
            yield Thing(KINDS[name], value, label or value)


def entities_of(mails: Iterable[Message]) -> list[Thing]:
    """Of these mails, each once, at most ``MOST_OF_A_KIND`` of each kind."""
    found: dict[tuple[str, str], Thing] = {}
    for mail in mails:
        for thing in things_in(mail):
            found.setdefault((thing.kind.name, thing.value), thing)
    return [
        thing
        for name in KINDS
        for thing in [each for each in found.values() if each.kind.name == name][:MOST_OF_A_KIND]
    ]


def _named_in(mail: Message) -> Iterator[tuple[str, str, str]]:
    facts = mail.facts
    yield "sender", mail.sender_address, ""
    yield "domain", mail.sender_domain, ""
    yield "ip", outside_ip(facts), ""
    for link in (facts.get("links") or ())[:_MOST_LINKS]:
        yield "host", str(link.get("host") or ""), ""
        yield "link", str(link.get("url") or ""), ""
    for file in (facts.get("attachments") or ())[:_MOST_FILES]:
        if not file.get("is_inline"):
            yield "file", str(file.get("sha256") or ""), str(file.get("name") or "")
