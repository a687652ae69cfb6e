"""The seal on mail that Bailey itself sends to a client's people, so that their gate knows it.

``v1; k=<key id>; t=<tenant>; r=<hash of the recipient>; d=<time>; c=<hash of content>; s=<MAC>``

The MAC is under the provider's trace key, which gates and console alone have.  Unlike a trace it
covers what is read of the mail: its body, and every field that a reader or a mail program acts on,
those that are not there too.  So a sealed mail can neither be changed nor sent to anybody else; the
gate takes the seal out before it hands the mail on.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from incidents.mail.headers import HeaderBlock, scan_block

NOTICE_HEADER = "X-Bailey-Notice"
# As long as a mail server on the way may keep it in its queue.
GOOD_FOR = timedelta(days=5)
CLOCKS_DIFFER = timedelta(minutes=10)
# None of these may come, go or change on the way; Received, Return-Path and the like may.
SEALED_FIELDS = (
    *("from", "sender", "reply-to", "to", "cc", "bcc", "subject", "date", "message-id"),
    *("in-reply-to", "references", "mime-version", "content-type", "content-transfer-encoding"),
    *("content-disposition", "content-id", "content-location", "content-base", "auto-submitted"),
    *("list-unsubscribe", "list-unsubscribe-post", "disposition-notification-to", "importance"),
)
_LONGEST = 400
_FIELDS = re.compile(
    r"v1; k=(?P<key>[A-Za-z0-9_-]{1,32}); t=(?P<tenant>[0-9]{1,18}); r=(?P<recipient>[0-9a-f]{64});"
    r" d=(?P<at>[0-9]{8}T[0-9]{6}Z); c=(?P<content>[0-9a-f]{64}); s=(?P<mac>[0-9a-f]{64})"
)
_AT = "%Y%m%dT%H%M%SZ"


def seal_notice(
    raw: bytes, *, key_id: str, key: bytes, tenant_id: int, recipient: str, at: datetime
) -> str:
    """The header's value for this mail to this one mailbox.  Raises ``ValueError`` for a key under
    32 bytes or a key id that no header can carry.
    """
    if len(key) < 32:
        raise ValueError("a trace key has at least 32 bytes")
    stamp = at.astimezone(UTC).strftime(_AT)
    printed = f"v1; k={key_id}; t={tenant_id}; r={_hash(recipient)}; d={stamp}; c={_content(raw)}"
    value = f"{printed}; s={_mac(printed, key)}"
    if _FIELDS.fullmatch(value) is None:
        raise ValueError(f"a seal cannot carry these fields: {printed}")
    return value


def is_own_notice(
    raw: bytes,
    *,
    keys: Mapping[str, bytes],
    tenant_id: int,
    recipients: Collection[str],
    now: datetime,
) -> bool:
    """Is this mail, as it is, one that Bailey wrote for this client's mailbox?

    ``recipients``: the envelope's; it must be one alone.
    """
    if NOTICE_HEADER.lower().encode() not in raw[:65536].lower() or len(recipients) != 1:
        return False
    block = scan_block(raw)
    seals = block.all(NOTICE_HEADER.lower())
    # What two programs could read differently proves nothing.
    if len(seals) != 1 or block.problems:
        return False
    match = _FIELDS.fullmatch(" ".join(seals[0].text()[:_LONGEST].split()))
    key = keys.get(match["key"]) if match else None
    if match is None or key is None:
        return False
    printed = match[0].rpartition("; s=")[0]
    if not hmac.compare_digest(_mac(printed, key), match["mac"]):
        return False
    (recipient,) = recipients
    is_meant = int(match["tenant"]) == tenant_id and match["recipient"] == _hash(recipient)
    is_fresh = _is_fresh(match["at"], now)
    return is_meant and is_fresh and match["content"] == _content(raw, block)


def _is_fresh(stamp: str, now: datetime) -> bool:
    try:
        at = datetime.strptime(stamp, _AT).replace(tzinfo=UTC)
    except ValueError:
        return False
    return -CLOCKS_DIFFER <= now - at <= GOOD_FOR


def _content(raw: bytes, block: HeaderBlock | None = None) -> str:
    """Fields in their order with blanks folded, and the body without blanks at the end of a line
    and of itself: what mail servers may change without changing what is read (RFC 6376, 3.4.2 and
    3.4.4, is the model).
    """
    block = block or scan_block(raw)
    found = hashlib.sha256()
    for name in SEALED_FIELDS:
        for field in block.all(name):
            found.update(name.encode() + b":" + b" ".join(field.value.split()) + b"\n")
    found.update(b"\n")
    lines = [line.rstrip() for line in raw[block.body_start :].split(b"\n")]
    found.update(b"\n".join(lines).rstrip())
    return found.hexdigest()


def _hash(recipient: str) -> str:
    return hashlib.sha256(recipient.strip().lower().encode("utf-8", "replace")).hexdigest()


def _mac(printed: str, key: bytes) -> str:
    # Its own beginning: no trace is ever a seal.
    said = b"bailey own notice\n" + printed.encode("ascii", "replace")
    return hmac.new(key, said, hashlib.sha256).hexdigest()
