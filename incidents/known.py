"""What is known already of the mails that a batch of observations may speak of.

Loaded with a handful of statements (incidents/known_rows.py), decided upon in memory
(incidents/identity.py), written back in bulk (incidents/known_store.py).  What mail can repeat at
will (Message-ID, fingerprint) is only looked up within a day and a limit, so that the size of
history costs nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import orjson

from incidents.mail.fingerprint import normal_subject
from tenants.ids import as_uuid, new_id

SAME_MAIL_WINDOW = timedelta(hours=24)
MOST_ID_BYTES = 998


@dataclass(slots=True, kw_only=True)
class Seen:
    """One stored observation, as identity needs it; the names are those of ``Observation``.

    ``received_at``: when the trusted hop took the mail, as the source says; else when it was
    observed.  ``delivery_id``: the copy that a person or a mail host names, "" for none.
    ``conversation``: the mail host's own name of it, "" for none.  ``allowed_by``: the entry of the
    client's list that let it through, "" for none.  ``clicked_at``: when a link was opened, as the
    mail host says.
    """

    id: UUID
    observed_at: datetime
    recorded_at: datetime
    layer: str
    recipient: str
    direction: str
    internet_message_id: str
    fingerprint: str
    trace_ulid: str
    trace_state: str
    mailbox_item_id: str
    verdict: str | None
    action: str | None
    place: str | None
    is_read: bool | None
    evidence: str
    received_at: datetime
    delivery_id: str = ""
    conversation: str = ""
    allowed_by: str = ""
    clicked_at: datetime | None = None
    wait_until: datetime | None = None
    read_facts: Callable[[UUID, datetime], str]
    facts_text: str | None = None
    _facts: dict[str, Any] | None = None

    @property
    def mail(self) -> dict[str, Any]:
        """The facts, {} on rows that only tell of a place or a verdict.

        Most observations are identified without them, so they are only read where they are wanted.
        """
        if self._facts is None:
            if self.facts_text is None:
                self.facts_text = self.read_facts(self.id, self.observed_at)
            self._facts = orjson.loads(self.facts_text)
        return self._facts

    @property
    def message_id(self) -> str:
        """The Message-ID as it is stored and looked up: as much of it as an index can hold."""
        return storable_id(self.internet_message_id)

    @property
    def is_sent(self) -> bool:
        """A mail that the mailbox itself sent: it speaks of no copy that came in."""
        return self.layer == "mailbox" and self.direction == "outbound"

    @property
    def sender(self) -> tuple[str, str]:
        """Address and name, "" where the mail says none."""
        sender = self.mail.get("sender") or {}
        return sender.get("address", ""), sender.get("name", "")

    @property
    def subject(self) -> str:
        return str(self.mail.get("subject", ""))


@dataclass(slots=True, kw_only=True, eq=False)
class Mail:
    """A message.  ``facts_from``: the observation whose facts are to be stored with it.

    ``is_gateways``: the gateway's own account gave its facts, which then stand.
    ``last_seen_at``: when its last copy was received.
    ``is_counted``: prevalence has it, or is not to have it, because it repeats another message.
    """

    id: UUID
    trace_ulid: str = ""
    internet_message_id: str = ""
    fingerprint: str = ""
    subject: str = ""
    sender_address: str = ""
    direction: str = ""
    first_seen_at: datetime
    last_seen_at: datetime
    evidence: str = ""
    has_facts: bool = False
    is_gateways: bool = False
    is_counted: bool = False
    is_new: bool = False
    is_changed: bool = False
    facts_from: Seen | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Copy:
    """A delivery; the names are those of ``Delivery``."""

    id: UUID
    mail: Mail
    mailbox_id: UUID | None
    recipient: str
    direction: str
    outcome: str
    place: str
    first_place: str = ""
    is_read: bool | None = None
    was_exposed: bool = False
    is_bypass: bool = False
    was_released: bool = False
    match: str
    match_reason: str = ""
    mailbox_item_id: str = ""
    conversation: str = ""
    gateway_verdict: str = ""
    mailbox_verdict: str = ""
    gateway_at: datetime | None = None
    mailbox_at: datetime | None = None
    received_at: datetime
    verified_at: datetime | None = None
    is_new: bool = False
    is_changed: bool = False


@dataclass
class Known:
    """One client's mails and copies in memory, found by whatever names them."""

    tenant_id: int
    protected_since: datetime | None
    copies: dict[UUID, Copy] = field(default_factory=dict)
    mails: dict[UUID, Mail] = field(default_factory=dict)
    mailboxes: dict[str, tuple[UUID, list[str]]] = field(default_factory=dict)
    delivery_of_sight: dict[UUID, UUID] = field(default_factory=dict)
    sights: list[tuple[Seen, Copy]] = field(default_factory=list)
    touched: set[UUID] = field(default_factory=set)
    moved: list[tuple[Mail, Mail]] = field(default_factory=list)
    shown: dict[UUID, Seen] = field(default_factory=dict)
    _by_ulid: dict[str, Mail] = field(default_factory=dict)
    _by_item: dict[str, list[Copy]] = field(default_factory=lambda: defaultdict(list))
    _by_recipient: dict[str, list[Copy]] = field(default_factory=lambda: defaultdict(list))
    _by_mail: dict[UUID, list[Copy]] = field(default_factory=lambda: defaultdict(list))
    _by_content: dict[tuple[str, str], list[Mail]] = field(
        default_factory=lambda: defaultdict(list)
    )

    # --- reading

    def mail_by_trace(self, ulid: str) -> Mail | None:
        return self._by_ulid.get(ulid) if ulid else None

    def copies_of(self, mail: Mail) -> Sequence[Copy]:
        return self._by_mail.get(mail.id, ())

    def copy_by_id(self, copy_id: str) -> Copy | None:
        """None also for a text that is no id."""
        known_id = as_uuid(copy_id)
        return self.copies.get(known_id) if known_id else None

    def copy_for(self, mail: Mail, names: Sequence[str]) -> Copy | None:
        """Of several copies for one mailbox, the one under its earliest name."""
        fits = [copy for copy in self.copies_of(mail) if copy.recipient in names]
        return min(fits, key=lambda copy: names.index(copy.recipient), default=None)

    def copy_by_item(self, item_id: str, names: Sequence[str]) -> Copy | None:
        fits = self._by_item.get(item_id, ()) if item_id else ()
        return next((copy for copy in fits if copy.recipient in names), None)

    def copies_near(self, names: Iterable[str], at: datetime) -> Iterator[Copy]:
        """The copies for any of these addresses that were received within a day."""
        for name in names:
            for copy in self._by_recipient.get(name, ()):
                if abs(copy.received_at - at) <= SAME_MAIL_WINDOW:
                    yield copy

    def same_content(self, seen: Seen, *, is_untraced: bool = False) -> Mail | None:
        """The mail that is this one as content: same id, content, direction and day.

        ``is_untraced``: only one that no gateway has named.
        """
        if not seen.internet_message_id or not seen.fingerprint:
            return None
        at = seen.received_at
        fits = [
            mail
            for mail in self._by_content.get(content_key(seen), ())
            if abs(mail.first_seen_at - at) <= SAME_MAIL_WINDOW
            and mail.direction == seen.direction
            and not (is_untraced and mail.trace_ulid)
        ]
        return min(fits, key=lambda mail: (mail.first_seen_at, mail.id), default=None)

    def names_of(self, address: str) -> list[str]:
        """All addresses of the mailbox whose main one is ``address``, that one first."""
        known = self.mailboxes.get(address)
        return [address, *(known[1] if known else ())]

    @cached_property
    def _owners(self) -> dict[str, list[str]]:
        owners = defaultdict(list)
        for address, (_, aliases) in self.mailboxes.items():
            for alias in aliases:
                owners[alias].append(address)
        return owners

    def mailboxes_of(self, address: str) -> list[str]:
        """The main addresses under which a mailbox may have shown mail that went to ``address``."""
        return [address, *self._owners.get(address, ())]

    # --- changing

    def add_mail(self, mail: Mail) -> None:
        self.mails[mail.id] = mail
        if mail.trace_ulid:
            self._by_ulid[mail.trace_ulid] = mail
        if mail.internet_message_id and mail.fingerprint:
            self._by_content[mail.internet_message_id, mail.fingerprint].append(mail)

    def add_copy(self, copy: Copy) -> None:
        self.copies[copy.id] = copy
        copy.mail.is_gateways |= copy.gateway_at is not None
        self._by_mail[copy.mail.id].append(copy)
        self._by_recipient[copy.recipient].append(copy)
        if copy.mailbox_item_id:
            self._by_item[copy.mailbox_item_id].append(copy)

    def make_mail(self, seen: Seen, *, trace_ulid: str = "", is_repeat: bool = False) -> Mail:
        at = seen.received_at
        mail = Mail(
            id=new_id(),
            trace_ulid=trace_ulid,
            first_seen_at=at,
            last_seen_at=at,
            is_counted=is_repeat,
            is_new=True,
        )
        fill_mail(mail, seen)
        self.add_mail(mail)
        return mail

    def make_copy(
        self, mail: Mail, seen: Seen, *, match: str, reason: str, is_bypass: bool = False
    ) -> Copy:
        owner = next(filter(None, map(self.mailboxes.get, self.mailboxes_of(seen.recipient))), None)
        is_word = seen.layer not in ("gateway", "mailbox")
        copy = Copy(
            id=new_id(),
            mail=mail,
            mailbox_id=owner[0] if owner else None,
            recipient=seen.recipient,
            direction=seen.direction,
            outcome=seen.action or ("unknown" if is_word else "delivered"),
            place="unknown",
            received_at=seen.received_at,
            match=match,
            match_reason=reason,
            is_bypass=is_bypass,
            is_new=True,
        )
        self.add_copy(copy)
        if copy.received_at > mail.last_seen_at:
            mail.last_seen_at = copy.received_at
            mail.is_changed = True
        return copy

    def adopt(self, mail: Mail, ulid: str) -> None:
        """The gateway's account is of a mail that the mailboxes had shown without a trace."""
        mail.trace_ulid = ulid
        mail.is_changed = True
        self._by_ulid[ulid] = mail

    def move(self, copy: Copy, mail: Mail) -> None:
        """The copy is one of ``mail``; the message it had been taken for may have none left."""
        self._by_mail[copy.mail.id].remove(copy)
        self.moved.append((copy.mail, mail))
        copy.mail = mail
        copy.is_changed = True
        self._by_mail[mail.id].append(copy)

    def shown_as(self, copy: Copy) -> Seen | None:
        """What the mailbox layer said when it showed this copy, where it was loaded."""
        told = (seen for seen, of in self.sights if of is copy and seen.layer == "mailbox")
        return self.shown.get(copy.id) or next((seen for seen in told if seen.mail), None)

    def part(self, copy: Copy, mail: Mail, seen: Seen) -> Copy:
        """What the mailbox has shown as ``copy`` is ``mail``; the gateway's account is of another
        copy, which ``seen`` shows and which is answered.
        """
        made = self.make_copy(
            copy.mail, replace(seen, recipient=copy.recipient), match="pending", reason=""
        )
        for name, nothing in _OF_GATEWAY.items():
            setattr(made, name, getattr(copy, name))
            setattr(copy, name, nothing)
        self.move(copy, mail)
        # What was said in earlier batches stays with the copy of which it was said.
        self.sights = [
            (told, made if of is copy and told.layer == "gateway" else of)
            for told, of in self.sights
        ]
        return made

    def claim_item(self, copy: Copy, item_id: str) -> None:
        copy.mailbox_item_id = item_id
        self._by_item[item_id].append(copy)


_OF_GATEWAY: dict[str, Any] = {
    "outcome": "delivered",
    "gateway_verdict": "",
    "gateway_at": None,
    "was_released": False,
}


def storable_id(message_id: str) -> str:
    """RFC 5322 allows lines of 998 octets; an entry of an index holds about 2,700."""
    return message_id.encode()[:MOST_ID_BYTES].decode(errors="ignore")


def content_key(seen: Seen) -> tuple[str, str]:
    return seen.message_id, seen.fingerprint


def fill_mail(mail: Mail, seen: Seen) -> None:
    """Take the facts of this observation for the message."""
    mail.internet_message_id = seen.message_id
    mail.fingerprint = seen.fingerprint
    mail.subject = seen.subject[:2000]
    mail.sender_address = seen.sender[0][:320]
    mail.direction = seen.direction
    mail.evidence = seen.evidence or mail.evidence
    mail.has_facts = bool(seen.mail)
    mail.facts_from = seen
    mail.is_changed = True


def is_same_writing(mail: Mail, seen: Seen) -> bool:
    """Sender and subject agree: what corroborates a Message-ID where the content was changed."""
    return mail.sender_address == seen.sender[0][:320] and normal_subject(
        mail.subject
    ) == normal_subject(seen.subject)
