"""Graph JSON → our dataclasses.  Pure functions; every field may be missing, null or of a wrong
type, because answers are parsed field by field and never trusted.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from api_bridge.connectors import (
    Group,
    Item,
    Mailbox,
    MailboxState,
    Ref,
    State,
    Subscription,
)
from api_bridge.errors import Unexpected
from incidents.mail.facts import Address
from incidents.words import Place

STATE_FIELDS = "id,parentFolderId,isRead,categories,importance,internetMessageId"
CONTENT_FIELDS = f"{STATE_FIELDS},subject,body,hasAttachments"
ITEM_FIELDS = (
    "id,internetMessageId,conversationId,subject,from,sender,toRecipients,ccRecipients,replyTo,"
    "receivedDateTime,sentDateTime,parentFolderId,isRead,isDraft,hasAttachments,categories,"
    "importance,body,internetMessageHeaders"
)
USER_FIELDS = (
    "id,userPrincipalName,mail,displayName,jobTitle,accountEnabled,userType,proxyAddresses,"
    "assignedLicenses"
)
GROUP_FIELDS = "id,displayName,mail"
INTERNAL_HEADER = "x-ms-exchange-organization-authas"
FRACTION = re.compile(r"\.(\d{1,6})\d*")

Json = Mapping[str, Any]


def text_of(data: Json, name: str) -> str:
    """A text field; "" if it is missing or no text."""
    value = data.get(name)
    return value if isinstance(value, str) else ""


def list_of(data: Json, name: str) -> list[Json]:
    """The objects of a list field; whatever else stands in it is left out."""
    value = data.get(name)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def words_of(data: Json, name: str) -> tuple[str, ...]:
    """The texts of a list field."""
    value = data.get(name)
    return (
        tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, list) else ()
    )


def is_true(data: Json, name: str) -> bool:
    return data.get(name) is True


def time_of(data: Json, name: str) -> datetime | None:
    """An aware UTC time; None if missing or unreadable.  Graph may give seven decimals."""
    try:
        at = datetime.fromisoformat(FRACTION.sub(r".\1", text_of(data, name)))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def address_of(recipient: object) -> Address | None:
    """``{"emailAddress": {"name", "address"}}``; None if there is nothing in it."""
    inner = recipient.get("emailAddress") if isinstance(recipient, dict) else None
    if not isinstance(inner, dict):
        return None
    address, name = text_of(inner, "address"), text_of(inner, "name")
    if not address and not name:
        return None
    return Address(address=plain_address(address), name=name, raw=address)


def plain_address(address: str) -> str:
    """Lower-cased with an A-label domain; "" if it is no address (Exchange's own X.500 forms)."""
    local, at, domain = address.strip().lower().rpartition("@")
    if not at or not local:
        return ""
    try:
        return (
            f"{local}@{domain.encode('idna').decode()}" if not domain.isascii() else address.lower()
        )
    except UnicodeError:
        return ""


def addresses_of(data: Json, name: str) -> tuple[Address, ...]:
    found = (address_of(recipient) for recipient in list_of(data, name))
    return tuple(address for address in found if address is not None)


def headers_of(data: Json) -> tuple[tuple[str, str], ...]:
    """The mail's own headers, topmost first, in their order."""
    return tuple(
        (text_of(header, "name"), text_of(header, "value"))
        for header in list_of(data, "internetMessageHeaders")
        if text_of(header, "name")
    )


def body_of(data: Json) -> tuple[str, str]:
    """(html, text): one of them is ""."""
    body = data.get("body")
    if not isinstance(body, dict):
        return "", ""
    content = text_of(body, "content")
    return (content, "") if text_of(body, "contentType").lower() == "html" else ("", content)


def item_of(data: Json, mailbox_id: str, place: Place, now: datetime) -> Item | None:
    """One message of a list; None without an id, because then nothing can be done with it.

    ``now`` stands for the time of receipt where no time in the answer can be read.
    """
    item_id = text_of(data, "id")
    if not item_id:
        return None
    html, text = body_of(data)
    times = (time_of(data, name) for name in ("receivedDateTime", "sentDateTime"))
    return Item(
        ref=Ref(mailbox_id, item_id),
        received_at=next((at for at in times if at), now),
        folder_id=text_of(data, "parentFolderId"),
        place=place,
        internet_message_id=text_of(data, "internetMessageId"),
        conversation_id=text_of(data, "conversationId"),
        subject=text_of(data, "subject"),
        sender=address_of(data.get("from")) or address_of(data.get("sender")),
        to=addresses_of(data, "toRecipients"),
        cc=addresses_of(data, "ccRecipients"),
        reply_to=addresses_of(data, "replyTo"),
        sent_at=time_of(data, "sentDateTime"),
        is_read=is_true(data, "isRead"),
        is_draft=is_true(data, "isDraft"),
        has_attachments=is_true(data, "hasAttachments"),
        categories=words_of(data, "categories"),
        importance=text_of(data, "importance").lower() or "normal",
        headers=headers_of(data),
        html=html,
        text=text,
        is_internal=_is_internal(data),
    )


def _is_internal(data: Json) -> bool:
    """Exchange takes this header off all mail from outside (contract A.4)."""
    said = (value for name, value in headers_of(data) if name.lower() == INTERNAL_HEADER)
    return next(said, "").strip().lower() == "internal"


def state_of(data: Json, place: Place) -> State:
    """What a person sees of the copy; with a content hash if the body was selected."""
    return State(
        place=place,
        folder_id=text_of(data, "parentFolderId"),
        is_read=is_true(data, "isRead"),
        categories=words_of(data, "categories"),
        importance=text_of(data, "importance").lower() or "normal",
        internet_message_id=text_of(data, "internetMessageId"),
        content_hash=content_hash_of(data) if "body" in data else "",
    )


def content_hash_of(data: Json) -> str:
    """sha256 over what the mail says, not where it lies or how it is marked."""
    parts = [
        text_of(data, "internetMessageId"),
        text_of(data, "subject"),
        *body_of(data),
        is_true(data, "hasAttachments"),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def mailbox_of(user: Json) -> Mailbox | None:
    """A person or shared mailbox; None for an entry without an id.

    Whether there really is a mailbox, only reading tells (``probe``); a guest or a user without an
    address surely has none.
    """
    user_id = text_of(user, "id")
    if not user_id:
        return None
    address = plain_address(text_of(user, "mail")) or plain_address(
        text_of(user, "userPrincipalName")
    )
    proxies = {
        plain_address(proxy.partition(":")[2])
        for proxy in words_of(user, "proxyAddresses")
        if proxy.lower().startswith("smtp:")
    }
    is_guest = text_of(user, "userType").lower() == "guest"
    has_none = is_guest or not text_of(user, "mail")
    licences = user.get("assignedLicenses")
    return Mailbox(
        id=user_id,
        address=address,
        display_name=text_of(user, "displayName"),
        job_title=text_of(user, "jobTitle"),
        aliases=tuple(sorted(proxies - {address, ""})),
        is_enabled=user.get("accountEnabled") is not False,
        state=MailboxState.NO_MAILBOX if has_none else MailboxState.ACTIVE,
        licences=len(licences) if isinstance(licences, list) else None,
    )


def group_of(data: Json) -> Group | None:
    """None without an id.  A group that says no name is called by its address or id."""
    group_id = text_of(data, "id")
    if not group_id:
        return None
    address = plain_address(text_of(data, "mail"))
    name = text_of(data, "displayName").strip() or address or group_id
    return Group(id=group_id, name=name, address=address)


def member_of(data: Json) -> str:
    """A person's id; "" for groups, devices and contacts among the members."""
    is_person = text_of(data, "@odata.type").lower() == "#microsoft.graph.user"
    return text_of(data, "id") if is_person else ""


def subscription_of(data: Json) -> Subscription:
    """Raises ``Unexpected`` without an id or an end: it could not be renewed in time."""
    expires_at = time_of(data, "expirationDateTime")
    if not text_of(data, "id") or expires_at is None:
        raise Unexpected("The subscription has no id or no end.")
    return Subscription(
        id=text_of(data, "id"),
        resource=text_of(data, "resource"),
        notification_url=text_of(data, "notificationUrl"),
        expires_at=expires_at,
        key_id=text_of(data, "encryptionCertificateId"),
    )
