"""Google's JSON → our dataclasses.  Pure functions; every field may be missing or of a wrong type,
because answers are parsed field by field and never trusted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from api_bridge.connectors import (
    Delegate,
    Forwarding,
    Group,
    Item,
    Mailbox,
    MailboxRule,
    MailboxState,
    Members,
    Ref,
    State,
    VendorVerdict,
)
from api_bridge.connectors.google.client import entries_of, text_of
from incidents.mail.addresses import addresses_of, normal_address, sender_of
from incidents.mail.authres import parse_auth_results
from incidents.mail.dates import parse_date
from incidents.mail.encoded import decode_words
from incidents.mail.headers import HeaderBlock, scan_block
from incidents.mail.trace import TRACE_HEADER
from incidents.words import Place, Verdict

Json = Mapping[str, Any]

UNREAD = "UNREAD"
# Of several, the first says where the mail is.  A mail with none of them is in All Mail.
PLACES = (
    ("TRASH", Place.DELETED),
    ("SPAM", Place.JUNK),
    ("INBOX", Place.INBOX),
)
# Nobody can put these on or take them off.
FIXED = frozenset({"SENT", "DRAFT", "CHAT"})
WHERE = frozenset({"TRASH", "SPAM", "INBOX"}) | FIXED
# Gmail writes its findings under this name, above all that came with the mail.
HOST_AUTHSERV = "mx.google.com"
# What Google's protection calls a mail (alertcenter.v1beta1; names by memory of the contract).
ALERT_VERDICTS = {
    "User reported phishing": Verdict.PHISH,
    "Phishing message detected post-delivery": Verdict.PHISH,
    "Malware message detected post-delivery": Verdict.MALWARE,
    "Suspicious message reported": Verdict.SUSPICIOUS,
    "User reported spam spike": Verdict.SPAM,
}
REPORTS = frozenset({"User reported phishing"})


def bytes_of(data: Json) -> bytes:
    """The mail of a ``format=raw`` answer; b"" if there is none or it is no base64url."""
    text = text_of(data, "raw")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""


def labels_of(data: Json) -> frozenset[str]:
    """A message's labels; the field is missing where there are none."""
    return _words(data, "labelIds")


def _words(data: Json, name: str) -> frozenset[str]:
    """The texts of a list field."""
    value = data.get(name)
    found = value if isinstance(value, list) else []
    return frozenset(each for each in found if isinstance(each, str))


def place_of(labels: frozenset[str], quarantine: str) -> Place:
    """``quarantine``: id of the hidden label, "" if the mailbox has none."""
    for label, place in PLACES:
        if label in labels:
            return place
    if quarantine and quarantine in labels:
        return Place.QUARANTINE
    return Place.SENT if "SENT" in labels else Place.ARCHIVE


def item_of(data: Json, mailbox_id: str, quarantine: str, now: datetime) -> Item | None:
    """One message as ``format=raw`` or ``metadata`` gives it; None without an id."""
    item_id = text_of(data, "id")
    if not item_id:
        return None
    raw, labels = bytes_of(data), labels_of(data)
    head = raw or _head_of(data)
    block = scan_block(head)
    is_sent = "SENT" in labels
    headers = tuple(
        (field.name.strip(), field.text())
        for field in block.fields
        # Mail that was written here and handed over by SMTP has not travelled for that.
        if not (is_sent and field.key == "received")
    )
    return Item(
        ref=Ref(mailbox_id, item_id),
        received_at=_internal_date(data) or now,
        folder_id=folder_of(labels, quarantine),
        place=place_of(labels, quarantine),
        internet_message_id=_text(block, "message-id"),
        conversation_id=text_of(data, "threadId"),
        subject=decode_words(_text(block, "subject")),
        sender=sender_of(block, head)[0],
        to=addresses_of(block, "to")[0],
        cc=addresses_of(block, "cc")[0],
        reply_to=addresses_of(block, "reply-to")[0],
        sent_at=parse_date(_text(block, "date")),
        is_read=UNREAD not in labels,
        is_draft="DRAFT" in labels,
        categories=tuple(sorted(labels - WHERE - {UNREAD, quarantine})),
        headers=headers,
        raw=raw,
        is_summary=not raw,
        is_internal=_is_internal(headers, _domain(block, head), mailbox_id.rpartition("@")[2]),
    )


def _head_of(data: Json) -> bytes:
    """The header fields of ``format=metadata`` as they stood in the mail."""
    payload = data.get("payload")
    fields = entries_of(payload, "headers") if isinstance(payload, dict) else []
    lines = [
        f"{text_of(field, 'name')}: {text_of(field, 'value')}".replace("\r", "").replace("\n", " ")
        for field in fields
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")


def _text(block: HeaderBlock, key: str) -> str:
    field = block.first(key)
    return field.text() if field else ""


def _domain(block: HeaderBlock, head: bytes) -> str:
    sender = sender_of(block, head)[0]
    return sender.domain if sender else ""


def _internal_date(data: Json) -> datetime | None:
    """Milliseconds since 1970, by Google's clock."""
    text = text_of(data, "internalDate")
    if not text.isascii() or not text.isdigit():
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))
    except OverflowError:
        return None


def _is_internal(headers: Sequence[tuple[str, str]], sender_domain: str, own_domain: str) -> bool:
    """From the mailbox's own domain, handed over by no other host, not through the gateway, and
    found by Google itself to be signed by that domain.

    Gmail has no mark of its own for mail from inside; what came with the mail never counts.
    """
    received = [value for name, value in headers if name.lower() == "received"]
    if sender_domain != own_domain or any(
        value.lower().lstrip().startswith("from") for value in received
    ):
        return False
    for name, value in headers:
        if name.lower() == TRACE_HEADER.lower():
            return False
        if name.lower() == "authentication-results":
            results = parse_auth_results(value)
            return (
                bool(results)
                and results[0].authserv_id == HOST_AUTHSERV
                and any(
                    each.method == "dkim" and each.result == "pass" and each.domain == sender_domain
                    for each in results
                )
            )
    return False


def folder_of(labels: frozenset[str], quarantine: str) -> str:
    """The labels that say where a mail is, as one text."""
    return " ".join(sorted(labels & (WHERE | ({quarantine} if quarantine else set()))))


def state_of(data: Json, quarantine: str) -> State:
    """What a person sees of the copy; with a content hash if the bytes came along."""
    labels, raw = labels_of(data), bytes_of(data)
    block = scan_block(raw or _head_of(data))
    return State(
        place=place_of(labels, quarantine),
        folder_id=folder_of(labels, quarantine),
        is_read=UNREAD not in labels,
        categories=tuple(sorted(labels - WHERE - {UNREAD, quarantine})),
        internet_message_id=_text(block, "message-id"),
        content_hash=hashlib.sha256(raw).hexdigest() if raw else "",
    )


def labels_in(state: State) -> frozenset[str]:
    """The whole set again, out of a state."""
    unread = frozenset() if state.is_read else frozenset({UNREAD})
    return frozenset(state.folder_id.split()) | frozenset(state.categories) | unread


def mailbox_of(user: Json) -> Mailbox | None:
    """None for an entry without an address: a mailbox is named by it."""
    address = normal_address(text_of(user, "primaryEmail"))
    if not address:
        return None
    name = user.get("name")
    named = _words(user, "aliases") | _words(user, "nonEditableAliases")
    aliases = {normal_address(alias) for alias in named}
    is_active = not (user.get("suspended") is True or user.get("archived") is True)
    has_mail = user.get("isMailboxSetup") is not False
    return Mailbox(
        id=address,
        address=address,
        display_name=text_of(name, "fullName") if isinstance(name, dict) else "",
        job_title=next(
            (each["title"] for each in entries_of(user, "organizations") if text_of(each, "title")),
            "",
        ),
        aliases=tuple(sorted(aliases - {address, ""})),
        is_enabled=is_active,
        state=MailboxState.ACTIVE if has_mail and is_active else MailboxState.NO_MAILBOX,
    )


def group_of(data: Json) -> Group | None:
    """None without an id: the address of a group can change."""
    group_id = text_of(data, "id")
    if not group_id:
        return None
    address = normal_address(text_of(data, "email"))
    return Group(
        id=group_id, name=text_of(data, "name").strip() or address or group_id, address=address
    )


def members_of(entries: Sequence[Json]) -> Members:
    """With derived membership, groups among the members count by the people in them."""
    people = {
        normal_address(text_of(each, "email"))
        for each in entries
        if text_of(each, "type").upper() == "USER"
    }
    is_everyone = any(text_of(each, "type").upper() == "CUSTOMER" for each in entries)
    return Members(frozenset(people - {""}), is_everyone=is_everyone)


def rule_of(data: Json, label_names: Mapping[str, str]) -> MailboxRule | None:
    """A filter; None without an id.  ``label_names``: by label id."""
    if not text_of(data, "id"):
        return None
    criteria, action = data.get("criteria"), data.get("action")
    looked_for = criteria if isinstance(criteria, dict) else {}
    done = action if isinstance(action, dict) else {}
    added, removed = _words(done, "addLabelIds"), _words(done, "removeLabelIds")
    forward = text_of(done, "forward")
    moves = sorted(label_names.get(label, label) for label in added - {"TRASH", "STARRED"})
    words = tuple((name, str(value)) for name, value in sorted(looked_for.items()))
    return MailboxRule(
        id=text_of(data, "id"),
        name=", ".join(f"{name}: {value}" for name, value in words)[:200],
        criteria=words,
        forward_to=(normal_address(forward) or forward,) if forward else (),
        moves_to=", ".join(moves),
        deletes="TRASH" in added,
        skips_inbox="INBOX" in removed or "SPAM" in added,
        marks_read=UNREAD in removed,
        definition={"criteria": dict(looked_for), "action": dict(done)},
    )


def forwarding_of(data: Json) -> Forwarding | None:
    address = text_of(data, "emailAddress")
    if not address:
        return None
    kept = text_of(data, "disposition") not in ("trash", "archive")
    return Forwarding(
        address=normal_address(address) or address,
        is_enabled=data.get("enabled") is True,
        keeps_copy=kept,
    )


def delegate_of(data: Json) -> Delegate | None:
    address = text_of(data, "delegateEmail")
    if not address:
        return None
    return Delegate(
        address=normal_address(address) or address,
        is_active=text_of(data, "verificationStatus") == "accepted",
    )


def verdicts_of(alert: Json) -> list[VendorVerdict]:
    """One for each mail that an alert names; none of an alert that is not about mails."""
    kind = text_of(alert, "type")
    verdict = ALERT_VERDICTS.get(kind)
    at = time_of(text_of(alert, "createTime"))
    data = alert.get("data")
    if verdict is None or at is None or not isinstance(data, dict) or not text_of(alert, "alertId"):
        return []
    malicious = data.get("maliciousEntity")
    sender = text_of(malicious, "fromHeader") if isinstance(malicious, dict) else ""
    found = []
    for number, message in enumerate(entries_of(data, "messages")):
        recipient = normal_address(text_of(message, "recipient"))
        message_id = text_of(message, "messageId").strip()
        if not recipient or "@" not in message_id:
            continue
        found.append(
            VendorVerdict(
                key=f"{text_of(alert, 'alertId')}/{number}",
                kind=kind,
                verdict=verdict,
                at=at,
                recipient=recipient,
                internet_message_id=f"<{message_id.strip('<>')}>",
                subject=text_of(message, "subjectText")[:500],
                sender=sender[:320],
                is_report=kind in REPORTS,
            )
        )
    return found


def time_of(text: str) -> datetime | None:
    """An RFC 3339 time as aware UTC; None if it cannot be read."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
