"""The mail as it goes on: what only we may say taken out, our own words put on top.

Everything else is kept byte for byte, so that the sender's DKIM signature survives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import format_datetime

from incidents.mail.facts import AuthResult
from incidents.mail.headers import Field, header_text, prepend_headers, scan_block, tag_subject
from incidents.mail.limits import Limits
from incidents.mail.trace import TRACE_HEADER, Trace, hash_message_id, sign_trace
from seg_bridge.engines import Envelope
from seg_bridge.gate.policy import PolicySnapshot

OWN_PREFIX = "x-bailey-"
VERDICT_HEADER = "X-Bailey-Verdict"
MAX_RECEIVED = 50

_RESULTS = b"authentication-results"
_FIELD_END = re.compile(rb"\n(?![ \t])")
_BARE_CR = re.compile(rb"\r(?!\n)")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_NOT_TOKEN = re.compile(r"[^A-Za-z0-9._:@+-]+")
_COMMENT = re.compile(r"\([^()]*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What our own header fields say of one mail for one client.

    ``auth`` None: nothing is said of authentication.
    """

    ulid: str
    tenant_id: int
    hostname: str
    envelope: Envelope
    internet_message_id: str
    fingerprint: str
    auth: tuple[AuthResult, ...] | None


def normalise(raw: bytes) -> bytes:
    """CRLF line ends only, no NUL: what we read is what every later server reads.

    A bare LF becomes CRLF and a bare CR a blank (it must not make a header line of its own), so
    that no variant of the end of data hides a second mail for the next hop.
    """
    if b"\0" in raw:
        raw = raw.replace(b"\0", b"")
    if _BARE_CR.search(raw):
        raw = _BARE_CR.sub(b" ", raw)
    if raw.count(b"\n") != raw.count(b"\r"):  # each CR has its LF by now
        raw = _BARE_LF.sub(b"\r\n", raw)
    return raw


def is_in_circle(raw: bytes) -> bool:
    """Has the mail passed more than ``MAX_RECEIVED`` servers?"""
    if _head(raw).count(b"received") <= MAX_RECEIVED:  # read closely only where it may be so
        return False
    return len(scan_block(raw).all("received")) > MAX_RECEIVED


def own_fields(raw: bytes, authserv_id: str) -> Iterator[tuple[Field, bool]]:
    """Every field, and whether it says what only we may: X-Bailey-*, Authentication-Results in our
    name; no field where none can be ours.
    """
    if not _may_have_own(_head(raw), authserv_id):
        return
    # An edit must see every field, also those beyond the limits of reading.
    limits = Limits(headers=len(raw), header_bytes=len(raw), all_headers_bytes=len(raw))
    for field in scan_block(raw, limits=limits).fields:
        is_ours = field.key.startswith(OWN_PREFIX) or (
            field.key == "authentication-results" and _speaks_as(field.text(), authserv_id)
        )
        yield field, is_ours


def _may_have_own(head: bytes, authserv_id: str) -> bool:
    """Without reading all fields, which takes as long as all else that is done to the mail here."""
    if OWN_PREFIX.encode() in head:
        return True
    at = head.find(_RESULTS)
    while at >= 0:
        # Where it stands in a value and is no field, this looks at that value's end in vain.
        found = _FIELD_END.search(head, at)
        end = found.end() if found is not None else len(head)
        value = head[at:end].partition(b":")[2]
        if _speaks_as(header_text(value), authserv_id):
            return True
        at = head.find(_RESULTS, end)
    return False


def _head(raw: bytes) -> bytes:
    """The header fields in small letters, all that can be one among them: up to the first blank
    line, which no reader takes for a field.
    """
    end = raw.find(b"\r\n\r\n")
    return (raw if end < 0 else raw[:end]).lower()


def strip_own_words(raw: bytes, authserv_id: str) -> bytes:
    pieces: list[bytes] = []
    position = 0
    for field, is_ours in own_fields(raw, authserv_id):
        if is_ours:
            pieces.append(raw[position : field.start])
            position = field.end
    return b"".join((*pieces, raw[position:])) if position else raw


def _speaks_as(value: str, authserv_id: str) -> bool:
    """Generous on purpose: quoting and comments must not carry our name past us."""
    stated = _COMMENT.sub("", value).partition(";")[0].replace('"', "").replace("\\", "")
    return authserv_id.lower() in stated.lower()


def stamp_fields(stamp: Stamp, snapshot: PolicySnapshot) -> list[tuple[str, str]]:
    """What we say of the mail on top of it: trace and Authentication-Results."""
    trace = Trace(
        key_id=snapshot.active_trace_key,
        tenant_id=stamp.tenant_id,
        ulid=stamp.ulid,
        at=stamp.envelope.received_at,
        message_id_hash=hash_message_id(stamp.internet_message_id),
        fingerprint=stamp.fingerprint,
    )
    fields = [(TRACE_HEADER, sign_trace(trace, snapshot.trace_key))]
    if stamp.auth is not None:
        fields.append(("Authentication-Results", _auth_results(stamp.auth, snapshot.authserv_id)))
    return fields


def stamp_mail(raw: bytes, stamp: Stamp, snapshot: PolicySnapshot) -> bytes:
    """``raw`` stripped, with trace, Authentication-Results and Received on top."""
    received = received_value(stamp.envelope, stamp.hostname, stamp.ulid)
    fields = [*stamp_fields(stamp, snapshot), ("Received", received)]
    return prepend_headers(strip_own_words(raw, snapshot.authserv_id), fields)


def mark_tagged(data: bytes, verdict: str, mark_subject: str) -> bytes:
    """``data`` with the verdict in a header, and the client's mark before the subject."""
    if mark := usable_mark(mark_subject):
        data = tag_subject(data, mark)
    return prepend_headers(data, [(VERDICT_HEADER, verdict)])


def usable_mark(mark_subject: str) -> str:
    """ "" where the client wants none, or one that no header can carry."""
    mark = mark_subject.strip()
    return mark if mark.isascii() and mark.isprintable() else ""


_PROPERTY = {"spf": "smtp.mailfrom", "dkim": "header.d", "dmarc": "header.from"}


def _auth_results(auth: tuple[AuthResult, ...], authserv_id: str) -> str:
    parts = []
    for each in auth:
        part = f"{_token(each.method)}={_token(each.result)}"
        if each.domain and each.method in _PROPERTY:
            part += f" {_PROPERTY[each.method]}={_token(each.domain)}"
        parts.append(part)
    return "; ".join((_token(authserv_id), *(parts or ["none"])))


def received_value(envelope: Envelope, hostname: str, mail_id: str) -> str:
    """Of the Received field for the hop from the sending host to us."""
    is_logged_in = envelope.authenticated_as and not envelope.authenticated_as.startswith("host ")
    # RFC 3848
    protocol = "ESMTP" + ("S" if envelope.tls else "") + ("A" if is_logged_in else "")
    address = envelope.client_ip if ":" not in envelope.client_ip else f"IPv6:{envelope.client_ip}"
    return (
        f"from {_token(envelope.helo) or 'unknown'} ([{_token(address)}]) "
        f"by {_token(hostname)} with {protocol} id {_token(mail_id)}; "
        f"{format_datetime(envelope.received_at)}"
    )


def _token(value: str) -> str:
    return _NOT_TOKEN.sub("?", value)[:255]
