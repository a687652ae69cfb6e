"""What Bailey knows around a page of items before they are judged; read in one short scope.

The client's profile (people, domains, vendors, trace keys) changes slowly and is kept for a minute.
"""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Min, Q
from django.utils import timezone

from api_bridge import history
from api_bridge.connectors import Item
from api_bridge.detect import KnownPerson
from api_bridge.models import Correspondent, SeenItem
from incidents.layers import Entries, gateway_layer
from incidents.mail.answers import answered_ids
from incidents.mail.signals.domains import is_free_mailer
from incidents.mail.trace import TRACE_HEADER, check_trace
from incidents.models import Backlog, Delivery, Message, Observation
from incidents.traces import trace_keys
from incidents.userreports.terms import report_address
from incidents.words import Verdict
from tenants.models import Domain, Mailbox, Tenant

PROFILE_KEPT_S = 60.0
# Before, everybody is new: a mailbox that was just connected calls nobody a stranger.
HISTORY_COUNTS_AFTER = timedelta(days=14)
# Items are forgotten after 45 days (api_bridge/sync.py); what is a little younger was remembered.
REMEMBERED = timedelta(days=44)
VENDOR_MAILS = 3
MOST_VENDORS = 2_000
MOST_REFERENCES = 5
MOST_WAITING = 1_000
KEY_ID = re.compile(r"\bk=([A-Za-z0-9_-]{1,32})")
# Where a copy lies, and whether its mail was read.
Shown = tuple[str, bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """``protected_since`` None: the gateway is not in front of this client yet.
    ``report_address`` "": there is no report mailbox.
    """

    tenant_id: int
    protected_since: datetime | None
    own_domains: tuple[str, ...]
    people: tuple[KnownPerson, ...]
    vendor_domains: frozenset[str]
    history_known: bool
    keys: dict[str, bytes]
    report_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayWord:
    """What the gateway said of one copy; ``evidence``: it keeps the original already."""

    verdict: Verdict | None
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Around the items of one round.  ``shown``: item id → what its copies show, each as (place,
    is_read); nothing for items of which something is still to be made sense of.  ``gateway``:
    (ulid, recipient) → word; ``threads``: Message-ID → its participants; ``entries``: what people
    want let be in both layers.
    """

    profile: Profile
    seen: dict[tuple[UUID, str], SeenItem]
    shown: dict[str, set[Shown]]
    correspondents: dict[history.Key, Correspondent]
    gateway: dict[tuple[str, str], GatewayWord]
    threads: dict[str, frozenset[str]]
    entries: Entries


_guard = threading.Lock()
_profiles: dict[int, tuple[float, Profile]] = {}


def header_of(item: Item, name: str) -> str:
    """The topmost header of that name, "" if there is none."""
    wanted = name.lower()
    return next((value for key, value in item.headers if key.lower() == wanted), "")


def conversation_of(item: Item) -> list[str]:
    """Message-IDs that the mail says it answers, the nearest first."""
    references = [header_of(item, "References")]
    return answered_ids(header_of(item, "In-Reply-To"), references)[:MOST_REFERENCES]


def know(
    tenant_id: int, provider_id: int, listed: Sequence[tuple[UUID, str, Sequence[Item]]]
) -> Known:
    """``listed``: mailbox, its address, its items.  Must run in a scope of client and provider."""
    items = [item for _, _, page in listed for item in page]
    profile = profile_of(tenant_id, provider_id)
    if any(_key_named_by(item) not in {"", *profile.keys} for item in items):
        # A gate may sign with a key that is younger than the profile.
        profile = profile_of(tenant_id, provider_id, is_fresh=True)
    senders = [item.sender.address for item in items if item.sender]
    seen = _seen(listed)
    seen |= _judged_long_ago(tenant_id, listed, seen)
    return Known(
        profile=profile,
        seen=seen,
        shown=_shown(tenant_id, [item_id for (_, item_id), row in seen.items() if row.is_judged]),
        correspondents=history.load(senders, [address for _, address, _ in listed]),
        gateway=_gateway_words(profile, items),
        threads=_threads(items),
        entries=gateway_layer().entries_for_both(tenant_id),
    )


def _key_named_by(item: Item) -> str:
    """The key id that a trace claims, "" without one."""
    claimed = KEY_ID.search(header_of(item, TRACE_HEADER)[:200])
    return claimed[1] if claimed else ""


def profile_of(tenant_id: int, provider_id: int, *, is_fresh: bool = False) -> Profile:
    """``is_fresh``: read now, whatever was read before."""
    now = time.monotonic()
    with _guard:
        until, kept = _profiles.get(tenant_id, (0.0, None))
    if kept is not None and until > now and not is_fresh:
        return kept
    made = _make_profile(tenant_id, provider_id)
    with _guard:
        _profiles[tenant_id] = (now + PROFILE_KEPT_S, made)
    return made


def forget_profiles() -> None:
    """The next look reads them anew."""
    with _guard:
        _profiles.clear()


def _make_profile(tenant_id: int, provider_id: int) -> Profile:
    client = Correspondent.objects.filter(recipient="")
    oldest = client.aggregate(at=Min("first_seen_at"))["at"]
    vendors = client.filter(Q(mails__gte=VENDOR_MAILS) | Q(replies__gte=1))
    own = tuple(Domain.objects.order_by("name").values_list("name", flat=True))
    domains = {
        sender.rpartition("@")[2]
        for sender in vendors.order_by("-last_seen_at").values_list("sender", flat=True)[
            :MOST_VENDORS
        ]
    }
    return Profile(
        tenant_id=tenant_id,
        protected_since=Tenant.objects.get(id=tenant_id).protected_since,
        own_domains=own,
        people=tuple(
            KnownPerson(
                address=mailbox.address,
                name=mailbox.display_name,
                title=mailbox.job_title,
                is_vip=mailbox.is_vip,
            )
            for mailbox in Mailbox.objects.exclude(state=Mailbox.State.GONE).order_by("address")
        ),
        vendor_domains=frozenset(
            domain for domain in domains if domain not in own and not is_free_mailer(domain)
        ),
        history_known=oldest is not None and oldest <= timezone.now() - HISTORY_COUNTS_AFTER,
        keys=trace_keys(provider_id),
        report_address=report_address(tenant_id),
    )


def _seen(
    listed: Iterable[tuple[UUID, str, Sequence[Item]]],
) -> dict[tuple[UUID, str], SeenItem]:
    wanted = Q()
    for mailbox_id, _, page in listed:
        if page:
            ids = [item.ref.item_id for item in page]
            wanted |= Q(mailbox_id=mailbox_id, item_id__in=ids)
    rows = SeenItem.objects.filter(wanted) if wanted else []
    return {(row.mailbox_id, row.item_id): row for row in rows}


def _judged_long_ago(
    tenant_id: int,
    listed: Iterable[tuple[UUID, str, Sequence[Item]]],
    seen: Collection[tuple[UUID, str]],
) -> dict[tuple[UUID, str], SeenItem]:
    """Items that are remembered no more (api_bridge/sync.py), by their copies: a mail that is moved
    after a year is not a new one.
    """
    before = timezone.now() - REMEMBERED
    old = {
        (address, item.ref.item_id): (mailbox_id, item.received_at)
        for mailbox_id, address, page in listed
        for item in page
        if item.received_at < before and (mailbox_id, item.ref.item_id) not in seen
    }
    if not old:
        return {}
    copies = Delivery.objects.filter(
        tenant_id=tenant_id, mailbox_item_id__in=[item_id for _, item_id in old]
    )
    found = {}
    for copy in copies:
        if (copy.recipient, copy.mailbox_item_id) in old:
            mailbox_id, at = old[copy.recipient, copy.mailbox_item_id]
            found[mailbox_id, copy.mailbox_item_id] = SeenItem(
                tenant_id=tenant_id,
                mailbox_id=mailbox_id,
                item_id=copy.mailbox_item_id,
                place=copy.place,
                is_read=bool(copy.is_read),
                received_at=at,
            )
    return found


def _shown(tenant_id: int, item_ids: Collection[str]) -> dict[str, set[Shown]]:
    """The backlog is read first: what is in it no more by then is in the rows of the copies."""
    settled = set(item_ids) - _unsettled(tenant_id, item_ids)
    shown: dict[str, set[Shown]] = defaultdict(set)
    if settled:
        rows = Delivery.objects.filter(tenant_id=tenant_id, mailbox_item_id__in=settled)
        for item_id, place, is_read in rows.values_list("mailbox_item_id", "place", "is_read"):
            shown[item_id].add((place, is_read))
    return shown


def _unsettled(tenant_id: int, item_ids: Collection[str]) -> set[str]:
    """Items of which an observation is still to be made sense of; all, where too many wait to say.

    Such a copy does not show yet what is known of it, so what was listed cannot be held against it:
    a mail that was moved and moved back in between would stay where it was only for a while.
    """
    if not item_ids:
        return set()
    backlog = Backlog.objects.filter(tenant_id=tenant_id)
    waiting = list(backlog.values_list("observation_id", "observed_at")[: MOST_WAITING + 1])
    if not waiting or len(waiting) > MOST_WAITING:
        return set(item_ids) if waiting else set()
    times = [at for _, at in waiting]
    told = Observation.objects.filter(
        tenant_id=tenant_id,
        id__in=[observation_id for observation_id, _ in waiting],
        # The history is cut into pieces by this time.
        observed_at__range=(min(times), max(times)),
        mailbox_item_id__in=item_ids,
    )
    return set(told.values_list("mailbox_item_id", flat=True))


def _gateway_words(profile: Profile, items: Sequence[Item]) -> dict[tuple[str, str], GatewayWord]:
    traces = (check_trace(header_of(item, TRACE_HEADER), profile.keys) for item in items)
    ulids = {trace.ulid for trace in traces if trace and trace.tenant_id == profile.tenant_id}
    if not ulids:
        return {}
    rows = Delivery.objects.filter(message__trace_ulid__in=ulids).values_list(
        "message__trace_ulid", "recipient", "gateway_verdict", "message__evidence"
    )
    return {
        (ulid, recipient): GatewayWord(
            verdict=Verdict(verdict) if verdict else None, evidence=evidence
        )
        for ulid, recipient, verdict, evidence in rows
    }


def _threads(items: Sequence[Item]) -> dict[str, frozenset[str]]:
    wanted = {each for item in items for each in conversation_of(item)}
    if not wanted:
        return {}
    found: dict[str, frozenset[str]] = {}
    rows = Message.objects.filter(internet_message_id__in=wanted)
    for message_id, sender, facts in rows.values_list(
        "internet_message_id", "sender_address", "facts"
    ):
        people = {
            entry.get("address", "")
            for name in ("to", "cc", "reply_to")
            for entry in facts.get(name, ())
        }
        found[message_id] = frozenset({sender, *people} - {""})
    return found
