"""How a delivered mail compares with the original that was released.

A mail host puts its own fields on top, and may write a mail anew.  ``bytes``: behind the header the
mail is the original's, byte for byte, and none of the original's fields is missing but those that
the gate takes off.  ``content``: the fingerprint of the content is the same.
"""

from __future__ import annotations

import atexit
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from incidents.evidence import read_evidence
from incidents.layers import Copy, LayerError, mailbox_layer
from incidents.mail.headers import scan_block
from incidents.mail.limits import Limits
from incidents.mail.reader import MailReader, ReaderUnavailable
from incidents.models import ReleaseLook
from tenants.errors import NotThere
from tenants.secrets import SecretDoesNotOpen

log = logging.getLogger(__name__)

Proof = ReleaseLook.Proof
# What the gate takes off (seg_bridge/gate/outgoing.py), and what every hop writes anew.
_NOT_COMPARED = ("x-bailey-", "authentication-results", "received", "return-path")


@cache
def _reader() -> MailReader:
    reader = MailReader(workers=1)
    atexit.register(reader.close)
    return reader


def compare(copy: Copy, digest: str, *, scope: Callable[[], AbstractContextManager[Any]]) -> str:
    """One of ``ReleaseLook.Proof``, "" where the two could not be had.  Outside any scope."""
    try:
        with scope():
            original = read_evidence(tenant_id=copy.tenant_id, digest=digest)
        delivered, _ = mailbox_layer().fetch(copy)
        if has_same_bytes(original, delivered):
            return Proof.BYTES
        seen, was = (_reader().read(raw).fingerprint for raw in (delivered, original))
    except (LayerError, NotThere, SecretDoesNotOpen, ReaderUnavailable) as error:
        log.info("delivery %s is not compared: %s", copy.delivery_id, type(error).__name__)
        return ""
    return Proof.CONTENT if seen and seen == was else Proof.DIFFERS


def has_same_bytes(original: bytes, delivered: bytes) -> bool:
    """Line ends aside, which SMTP sets."""
    was, now = original.replace(b"\r\n", b"\n"), delivered.replace(b"\r\n", b"\n")
    (head_was, body_was), (head_now, body_now) = _parts(was), _parts(now)
    return body_was.rstrip(b"\n") == body_now.rstrip(b"\n") and not _fields(head_was) - _fields(
        head_now
    )


def _parts(raw: bytes) -> tuple[bytes, bytes]:
    head, _, body = raw.partition(b"\n\n")
    return head, body


def _fields(head: bytes) -> Counter[bytes]:
    # Every field, also those beyond the limits of reading.
    limits = Limits(headers=len(head), header_bytes=len(head), all_headers_bytes=len(head))
    return Counter(
        head[field.start : field.end].strip()
        for field in scan_block(head + b"\n\n", limits=limits).fields
        if not field.key.startswith(_NOT_COMPARED)
    )
