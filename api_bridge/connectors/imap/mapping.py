"""FETCH answers → our dataclasses.  Every field may be missing or of a wrong type."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from api_bridge.connectors import Item, Ref, State
from api_bridge.connectors.imap import answers
from api_bridge.connectors.imap.folders import EXPOSURE, Folder
from incidents.mail.addresses import addresses_of, sender_of
from incidents.mail.dates import parse_date
from incidents.mail.encoded import decode_words
from incidents.mail.headers import HeaderBlock, scan_block
from incidents.words import Place

HEADER_LIMIT_BYTES = 65_536
HEADER = b"BODY[HEADER]<0>"
ITEM_FIELDS = f"UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER]<0.{HEADER_LIMIT_BYTES}>"
MOST_HEADERS = 500
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MOST_FLAGS = 60
SEEN, FLAGGED, RECENT = "\\Seen", "\\Flagged", "\\Recent"
JOINED = "\n"

Fields = Mapping[bytes, Any]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one copy lies now: good until the folder's UIDVALIDITY changes or the copy moves."""

    folder: str
    validity: int
    uid: int


@dataclass(frozen=True, slots=True)
class Found:
    """One copy that was seen there; ``flags`` without ``\\Recent``, sorted."""

    spot: Spot
    place: Place
    flags: tuple[str, ...]
    message_id: str


def item_fields(*, uses_emailid: bool) -> str:
    return f"({ITEM_FIELDS}{' EMAILID' if uses_emailid else ''})"


def item_id_of(mailbox: str, fields: Fields, *, uses_emailid: bool) -> str:
    """A name that moves with the mail, "" if the answer is not enough for one.

    ``e…`` is the server's own (RFC 8474).  ``h<seconds>.<size>.<hash>`` is made of what IMAP keeps
    when a mail moves: time of receipt, size and headers (RFC 3501, 6.4.7); a mail can be searched
    for by the first two, and known by the third.  Both are of this mailbox alone.
    """
    owner = mailbox.encode()
    if uses_emailid:
        said = fields.get(b"EMAILID")
        if not isinstance(said, tuple) or len(said) != 1 or not isinstance(said[0], bytes):
            return ""
        known = said[0].decode("ascii", "replace")[:255]
        return f"e{hashlib.sha256(owner).hexdigest()[:8]}.{known}"
    at, size, header = received_at(fields), fields.get(b"RFC822.SIZE"), fields.get(HEADER)
    if at is None or not isinstance(size, int) or not isinstance(header, bytes):
        return ""
    digest = hashlib.sha256(owner + b"\0" + header).hexdigest()[:40]
    return f"h{int(at.timestamp())}.{size}.{digest}"


def search_for(item_id: str) -> str:
    """What a SEARCH can say of an item id; "" for an id that is none of ours.

    Days are the server's, in its own time zone, so one more on each side.
    """
    kind, rest = item_id[:1], item_id[1:]
    if kind == "e":
        known = rest.partition(".")[2]
        return f"EMAILID {known}" if known.isascii() and known.isprintable() and known else ""
    seconds, _, rest = rest.partition(".")
    size, _, digest = rest.partition(".")
    if kind != "h" or not (seconds.isdigit() and size.isdigit() and digest) or len(seconds) > 11:
        return ""
    at = datetime.fromtimestamp(int(seconds), UTC)
    since, before = at - timedelta(days=1), at + timedelta(days=2)
    larger = f"LARGER {int(size) - 1} " if int(size) else ""
    return f"SINCE {day(since)} BEFORE {day(before)} {larger}SMALLER {int(size) + 1}"


def day(at: datetime) -> str:
    """As SEARCH takes it, whatever the process's locale."""
    return f"{at.day}-{MONTHS[at.month - 1]}-{at.year:04d}"


def received_at(fields: Fields) -> datetime | None:
    return answers.utc(fields.get(b"INTERNALDATE"))


def flags_of(fields: Fields) -> tuple[str, ...]:
    said = fields.get(b"FLAGS")
    said = said if isinstance(said, tuple) else ()
    words = (str(each, "ascii", "replace") for each in said if isinstance(each, bytes))
    return tuple(sorted({word for word in words if word != RECENT})[:MOST_FLAGS])


def found_of(fields: Fields, spot: Spot, place: Place) -> Found:
    block = scan_block(header_of(fields))
    return Found(spot, place, flags_of(fields), _text(block, "message-id"))


def header_of(fields: Fields) -> bytes:
    header = fields.get(HEADER)
    return header if isinstance(header, bytes) else b""


def item_of(mailbox: str, item_id: str, fields: Fields, folder: Folder) -> Item:
    block = scan_block(header_of(fields))
    sender, all_from, _ = sender_of(block, header_of(fields))
    flags = flags_of(fields)
    sent_at = parse_date(_text(block, "date"))
    to, cc, reply_to = (addresses_of(block, key)[0] for key in ("to", "cc", "reply-to"))
    return Item(
        ref=Ref(mailbox, item_id),
        received_at=received_at(fields) or datetime.now(UTC),
        folder_id=folder.name,
        place=folder.place,
        internet_message_id=_text(block, "message-id"),
        subject=decode_words(_text(block, "subject")),
        sender=sender or (all_from[0] if all_from else None),
        to=to,
        cc=cc,
        reply_to=reply_to,
        sent_at=sent_at,
        is_read=SEEN in flags,
        categories=categories_of(flags),
        importance=importance_of(flags),
        headers=tuple((each.name, each.text()) for each in block.fields[:MOST_HEADERS]),
        is_summary=True,
    )


def categories_of(flags: tuple[str, ...]) -> tuple[str, ...]:
    """Keywords, and the system's flags that have no field of their own."""
    return tuple(flag for flag in flags if flag not in (SEEN, FLAGGED))


def importance_of(flags: tuple[str, ...]) -> str:
    return "flagged" if FLAGGED in flags else "normal"


def flags_for(state: State) -> tuple[str, ...]:
    """The flags that ``state`` was read from."""
    flags = [*state.categories]
    flags += [SEEN] if state.is_read else []
    flags += [FLAGGED] if state.importance == "flagged" else []
    return tuple(sorted(flags))


def state_of(found: list[Found], content_hash: str = "") -> State:
    """Of all copies of one mail in one mailbox; the most exposed one speaks for them.

    ``folder_id`` names all their folders, that one first.
    """
    first, *_ = found = sorted(found, key=_exposure)
    return State(
        place=first.place,
        folder_id=JOINED.join(each.spot.folder for each in found),
        is_read=SEEN in first.flags,
        categories=categories_of(first.flags),
        importance=importance_of(first.flags),
        internet_message_id=first.message_id,
        content_hash=content_hash,
        is_held_too=len({each.place is Place.QUARANTINE for each in found}) > 1,
    )


def _exposure(found: Found) -> tuple[int, str, int]:
    return EXPOSURE.index(found.place), found.spot.folder, found.spot.uid


def _text(block: HeaderBlock, key: str) -> str:
    field = block.first(key)
    return field.text()[:998] if field else ""
