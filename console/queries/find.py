"""Finding copies of mail by whatever somebody has at hand: an id, an address, a host, words.

``copies_named``  by an id, whenever the mail came
``copies_with``   by address, sending host or words, within a time

Both look through the clients ``among``, which have to be in scope.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from ipaddress import ip_address
from uuid import UUID

from django.db.models import Q, QuerySet

from incidents.models import Delivery, Message, Sighting
from tenants.doors import ask
from tenants.ids import as_uuid
from tenants.models import Mailbox

Clients = Collection[int]

MOST_FOUND = 1_000
MOST_BOXES = 100
_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+")
_MESSAGE_ID = re.compile(r"<[^\s<>]+>")
_TRACE = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
# The immutable ids of Microsoft Graph are base64 of 100 bytes and more.
_ITEM = re.compile(r"[A-Za-z0-9_=+/-]{40,500}")
# Postfix's, short or long; with a figure in it, as all but one in a thousand have.
_QUEUE = re.compile(r"(?=[A-Za-z]*[0-9])[0-9A-Za-z]{5,20}")
_EVER = datetime(2020, 1, 1, tzinfo=UTC)


def copies_named(text: str, among: Clients) -> set[UUID] | None:
    """The copies of a Message-ID in its brackets, a trace, an item of a mailbox, a queue id, or one
    of Bailey's own ids (of a copy, a mail or an observation); the newest ``MOST_FOUND``.  None: it
    is no id.
    """
    if own := as_uuid(text):
        return _of_own_id(own, among)
    if _MESSAGE_ID.fullmatch(text):
        return _of_mails(Message.objects.filter(internet_message_id=text), among)
    if _TRACE.fullmatch(text.upper()):
        # The index leaves out mails without a trace: said twice, for no planner concludes it.
        traced = Message.objects.filter(trace_ulid=text.upper()).exclude(trace_ulid="")
        return _of_mails(traced, among)
    if _ITEM.fullmatch(text):
        return _ids(Delivery.objects.filter(mailbox_item_id=text), among)
    if _QUEUE.fullmatch(text):
        # Many a word looks like one: what no queue knows is looked for as words.
        return _by_way("queue_id", text, _EVER, among) or None
    return None


def copies_with(text: str, since: datetime, among: Clients) -> set[UUID]:
    """The newest ``MOST_FOUND`` copies with these words in sender or subject, and as many to such
    recipients: a full address, or part of that of a mailbox.  An IP address is a sending host's.

    One after the other, each by its index: as one condition over copies and mails, every copy of
    the period was joined.
    """
    if host := _host(text):
        return _by_way("client_ip", host, since, among)
    if _ADDRESS.fullmatch(text):
        # Some write a Message-ID without its brackets.
        named = Q(internet_message_id=f"<{text}>")
        of_address = Q(sender_address=text.lower(), last_seen_at__gte=since)
        mails = Message.objects.filter(of_address | named)
    else:
        words = Q(sender_address__icontains=text) | Q(subject__icontains=text)
        mails = Message.objects.filter(words, first_seen_at__gte=since)
    boxes = Mailbox.objects.filter(address__icontains=text).values_list("address", flat=True)
    to = Delivery.objects.filter(recipient__in={text.lower(), *boxes[:MOST_BOXES]})
    return _of_mails(mails, among) | _ids(to.filter(received_at__gte=since), among)


def _host(text: str) -> str:
    """The IP address as gates write it; "" for anything else."""
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        return ""


def _by_way(kind: str, value: str, since: datetime, among: Clients) -> set[UUID]:
    found = ask("door_copies_by_way", kind, value, since, list(among), MOST_FOUND) or []
    # The door names copies of the scope's clients; the wall has the last word.
    return _ids(Delivery.objects.filter(id__in=found), among)


def _of_own_id(own: UUID, among: Clients) -> set[UUID]:
    sightings = Sighting.objects.filter(tenant__in=among, observation_id=own)
    either = Q(id=own) | Q(message=own) | Q(id__in=sightings.values_list("delivery_id", flat=True))
    return _ids(Delivery.objects.filter(either), among)


def _of_mails(mails: QuerySet[Message], among: Clients) -> set[UUID]:
    mails = mails.filter(tenant__in=among)
    newest = mails.order_by("-first_seen_at").values_list("id", flat=True)[:MOST_FOUND]
    return _ids(Delivery.objects.filter(message__in=list(newest)), among)


def _ids(copies: QuerySet[Delivery], among: Clients) -> set[UUID]:
    copies = copies.filter(tenant__in=among).order_by("-received_at")
    return set(copies.values_list("id", flat=True)[:MOST_FOUND])
