"""What goes in and out of every mailbox provider: words and frozen dataclasses, no behaviour."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from api_bridge.cache import LocalCache, SharedCache
from api_bridge.limits import Limits, LocalLimits
from incidents.mail.facts import Address
from incidents.words import Place, Verdict

MICROSOFT_HOSTS = frozenset(
    {
        "login.microsoftonline.com",
        "graph.microsoft.com",
        "login.microsoftonline.us",
        "graph.microsoft.us",
        "dod-graph.microsoft.us",
        "login.partner.microsoftonline.cn",
        "microsoftgraph.chinacloudapi.cn",
    }
)
GOOGLE_HOSTS = frozenset(
    {
        "oauth2.googleapis.com",
        "gmail.googleapis.com",
        "admin.googleapis.com",
        "alertcenter.googleapis.com",
        "pubsub.googleapis.com",
    }
)


class Capability(StrEnum):
    """What a provider can do; callers ask before they offer it.

    ``push_listed``: the standing orders can be listed.  ``pushes_pulled``: what is pushed waits to
    be fetched (``PullsPushes``).  ``cheap_changes``: ``changes`` costs no more than a quick look.
    ``vendor_verdicts``: ``ReadsVerdicts``; ``groups``: ``ListsGroups``.  What a connector can
    always do is its Protocol's to say: ``ReadsSettings``, ``Listens``.
    """

    PUSH = "push"
    PUSH_LISTED = "push_listed"
    PUSHES_PULLED = "pushes_pulled"
    CHEAP_CHANGES = "cheap_changes"
    VENDOR_VERDICTS = "vendor_verdicts"
    GROUPS = "groups"
    HIDDEN_QUARANTINE = "hidden_quarantine"
    RAW = "raw"
    BATCH = "batch"


class MailboxState(StrEnum):
    """``no_mailbox``: guest, unlicensed, on-premises; probe again daily.  ``denied``: the
    provider's mailbox scope does not cover it.
    """

    ACTIVE = "active"
    NO_MAILBOX = "no_mailbox"
    DENIED = "denied"


class Action(StrEnum):
    """``quarantine`` moves to the hidden folder, ``delete`` to Deleted Items, ``restore`` to the
    inbox.  All can be undone; where a record of the pull exists, ``undo`` is the exact restore.
    """

    QUARANTINE = "quarantine"
    JUNK = "junk"
    DELETE = "delete"
    RESTORE = "restore"


class Result(StrEnum):
    """What reading back showed.

    ``done``      the copy is where the action puts it, and this call put it there.
    ``already``   it was there before anything was called.
    ``gone``      the copy is not in the mailbox (404).
    ``stale``     nothing was called: the copy changed after the record was taken; prepare again.
    ``not_done``  the provider answered, and yet the copy is not there.
    ``unknown``   no answer to the call, and reading back failed or still showed the old place: it
                  may yet happen.  Read again later; acting again reads first.
    """

    DONE = "done"
    ALREADY = "already"
    GONE = "gone"
    STALE = "stale"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"

    @property
    def is_settled(self) -> bool:
        return self in (Result.DONE, Result.ALREADY, Result.GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One client's cloud tenant, as an operator set it up.

    ``cloud_tenant_id``: for Microsoft a GUID (never ``common``).  ``settings``: name and text of
    what only this kind of host has.  Either ``client_secret`` or
    ``private_key_pem`` with ``certificate_pem``.  ``api_url`` ends before the version
    (``https://graph.microsoft.com``); ``ca_file`` "" means the system's authorities.
    """

    cloud_tenant_id: str
    client_id: str
    kind: str = "graph"
    client_secret: str = field(default="", repr=False)
    private_key_pem: str = field(default="", repr=False)
    certificate_pem: str = field(default="", repr=False)
    authority_url: str = "https://login.microsoftonline.com"
    api_url: str = "https://graph.microsoft.com"
    ca_file: str = ""
    quarantine_folder: str = "Bailey Quarantine"
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """What a connector borrows from its process: shared cache, limits, and where it may connect.

    ``allowed_hosts``: ``host`` (port 443) or ``host:port``, set by the operator of the
    installation; a connection that points elsewhere is refused.
    """

    cache: SharedCache = field(default_factory=LocalCache)
    limits: Limits = field(default_factory=LocalLimits)
    allowed_hosts: Collection[str] = MICROSOFT_HOSTS | GOOGLE_HOSTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """``aliases`` are all its addresses but ``address``, lower-cased.  ``licences``: how many it
    has at the provider, None where that is not told.
    """

    id: str
    address: str
    display_name: str = ""
    job_title: str = ""
    aliases: tuple[str, ...] = ()
    is_enabled: bool = True
    state: MailboxState = MailboxState.ACTIVE
    licences: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group of the directory.  ``id`` stays when it is renamed; ``address`` "": it has none."""

    id: str
    name: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Members:
    """``mailbox_ids``: of the people in a group, by whatever chain of groups in between, as
    ``Mailbox.id`` has them.  ``is_everyone``: everybody of the client is in it, listed or not.
    """

    mailbox_ids: frozenset[str]
    is_everyone: bool = False


@dataclass(frozen=True, slots=True)
class Ref:
    """One copy in one mailbox.  ``item_id`` is immutable, case-sensitive, and survives moves."""

    mailbox_id: str
    item_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One copy as a list answer shows it.  ``headers`` are the mail's own, topmost first, in order;
    () where the provider keeps none (mail that never travelled).  Of ``html`` and ``text`` one may
    be "".  ``is_partial``: something of the mail, body or attachments, is not in this item.
    ``conversation_id``: the provider's own name of the conversation in this mailbox, "" if it has
    none.  ``raw``: the whole mail, where the list came with it; ``is_summary``: neither that nor a
    body is in this item.  ``is_internal``: the provider vouches that it was sent from inside.
    """

    ref: Ref
    received_at: datetime
    folder_id: str
    place: Place
    internet_message_id: str = ""
    conversation_id: str = ""
    subject: str = ""
    sender: Address | None = None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    sent_at: datetime | None = None
    is_read: bool = False
    is_draft: bool = False
    has_attachments: bool = False
    categories: tuple[str, ...] = ()
    importance: str = "normal"
    headers: tuple[tuple[str, str], ...] = ()
    html: str = ""
    text: str = ""
    raw: bytes = field(default=b"", repr=False)
    is_summary: bool = False
    is_internal: bool = False

    @property
    def is_partial(self) -> bool:
        return not self.raw and (self.has_attachments or self.is_summary)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer of ``changes``.  Commit ``cursor`` in the same transaction as the items.

    ``more``: call again at once with the new cursor.  An empty page may have more.  ``skipped``
    counts entries that could not be read at all.  ``restarted``: the provider had lost the cursor,
    and the listing began again at the watermark.  ``came``: ids of items that the provider vouches
    came into the mailbox since the last answer, whatever their date says.
    """

    items: tuple[Item, ...]
    cursor: str
    more: bool
    skipped: int = 0
    restarted: bool = False
    came: frozenset[str] = frozenset()


# Ways of getting a mail as its provider keeps it.
GMAIL_RAW = "gmail-raw"
IMAP = "imap"
ORIGINAL = frozenset({"graph-mime", GMAIL_RAW, IMAP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Bytes of one copy.  ``acquired``: ``graph-mime``, ``gmail-raw``, ``imap`` (as the provider
    keeps it: one of ``ORIGINAL``) or ``graph-json`` (rebuilt from headers, body and attachments
    because the provider cannot give it).
    ``is_complete`` False: some attachment is missing; ``problem`` says why.
    """

    ref: Ref
    raw: bytes
    acquired: str
    is_complete: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a copy is and what a person sees of it.  ``exists`` False: 404; place is ``gone``.
    ``is_held_too``: it lies there, and once more in Bailey's quarantine.
    """

    place: Place
    exists: bool = True
    folder_id: str = ""
    is_read: bool = False
    categories: tuple[str, ...] = ()
    importance: str = "normal"
    internet_message_id: str = ""
    content_hash: str = ""
    is_held_too: bool = False

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` if it is not a state."""
        fields = dict(data)
        fields["place"] = Place(fields["place"])
        fields["categories"] = tuple(fields.get("categories", ()))
        return cls(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """What undo needs, taken before anything is touched.  Store it before calling ``act``.

    ``key`` is the caller's idempotency key of the intent.  ``before`` is the state that undo brings
    back, ``before.content_hash`` included.
    """

    ref: Ref
    action: Action
    key: str
    taken_at: datetime
    before: State

    def as_json(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes; ``from_json`` gives an equal record back."""
        data = asdict(self)
        data["taken_at"] = self.taken_at.isoformat()
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` if it is not a record."""
        return cls(
            ref=Ref(**data["ref"]),
            action=Action(data["action"]),
            key=data["key"],
            taken_at=datetime.fromisoformat(data["taken_at"]),
            before=State.from_json(data["before"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSeen:
    """``state`` is what was read back (None: reading back failed).  ``detail`` is a sentence for
    the analyst, "" if there is nothing to say.
    """

    result: Result
    state: State | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A standing push order.  Times aware, UTC.  ``renew_at`` None: as late as the caller likes
    before it ends.  ``key_id``: what it tells is sealed with this key of ours; "": it tells nothing
    but that something changed.
    """

    id: str
    resource: str
    notification_url: str
    expires_at: datetime
    renew_at: datetime | None = None
    key_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorVerdict:
    """What the provider's own protection said of one mail in one mailbox, after delivery.

    ``key`` is stable; ``kind`` are the provider's words.  ``at`` aware, UTC.  ``is_report``: the
    provider only passes on what somebody in that mailbox pressed.  ``clicked_at``: when a link of
    this copy was opened, None: it does not say so; ``verdict`` None: it says that alone.
    """

    key: str
    kind: str
    verdict: Verdict | None
    at: datetime
    recipient: str
    internet_message_id: str
    subject: str = ""
    sender: str = ""
    is_report: bool = False
    clicked_at: datetime | None = None
    clicked_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledPushes:
    """``addresses``: mailboxes in which something changed; ``receipts``: give them to
    ``settle_pushes`` once that is stored.
    """

    addresses: frozenset[str]
    receipts: tuple[str, ...]
