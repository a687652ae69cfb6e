"""From raw mail to what Graph shows of it.  Written from RFC 5322 and 2045 with the standard
library, apart from Bailey's own mail library on purpose: two readers that share no code.

Hostile mail must not stop the cloud: sizes and part counts are limited before anything is parsed,
and what can't be read becomes empty.
"""

import codecs
import datetime as dt
import email
import email.errors
import email.header
import email.policy
import email.utils
import hashlib
import re
import uuid
from dataclasses import dataclass, field
from email.message import Message
from html import escape, unescape

import nh3
from selectolax.lexbor import LexborHTMLParser

from api_bridge.sandbox.clock import now_s

MAX_HEADER_BYTES = 256 * 1024
MAX_VALUE = 8_000
MAX_PARTS = 200
MAX_PARSE_STEPS = 5_000_000  # lines times boundaries: what the parser compares
MAX_HTML_DEPTH = 1_000  # HTML parsers walk the open elements for every new one
MAX_BODY_CHARS = 1_000_000
PREVIEW_CHARS = 255
_NO_CHARSETS = {"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"}
_BREAK = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"(?P<name>[!-9;-~]+)[ \t]*:(?P<value>[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)\r?\n?")
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source"}
_REPLY_HEAD = re.compile(r"^\s*((re|fw|fwd|aw|wg|sv|vs|tr|rv)\s*(\[\d+\])?\s*:\s*)+", re.IGNORECASE)
_BREAKING = (
    RecursionError, LookupError, ValueError, TypeError, AttributeError, AssertionError,
    NotImplementedError, email.errors.MessageError,
)  # fmt: skip
_SAFE_TAGS = nh3.ALLOWED_TAGS | {"html", "head", "body", "font", "center", "title", "meta"}


@dataclass(frozen=True, slots=True)
class Attached:
    """One attachment.  ``is_message``: a mail inside the mail (Graph calls it itemAttachment)."""

    name: str
    content_type: str
    content: bytes
    is_inline: bool
    content_id: str | None
    is_message: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMail:
    """``people``: by header (from, sender, to, cc, bcc, reply-to) pairs of name and address."""

    subject: str = ""
    internet_message_id: str = ""
    sent_at: int
    people: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    importance: str = "normal"
    conversation: str = ""
    body_type: str = "text"
    body: str = ""
    preview: str = ""
    has_attachments: bool = False


def header_fields(raw: bytes) -> list[tuple[str, str]]:
    """Every header field, top first, as it stands, unfolded and undecoded."""
    end = _BREAK.search(raw, 0, MAX_HEADER_BYTES)
    block = raw[: end.start() + 2 if end else MAX_HEADER_BYTES]
    return [
        (
            found["name"].decode("ascii"),
            re.sub(r"\r?\n[ \t]+", " ", found["value"].decode("utf-8", "replace")).strip(),
        )
        for found in _FIELD.finditer(block)
    ]


def without_headers(raw: bytes, prefix: str) -> bytes:
    """The mail without the header fields whose name begins so; all other bytes as they were."""
    end = _BREAK.search(raw, 0, MAX_HEADER_BYTES)
    head = end.start() + 2 if end else len(raw)
    # A field ends where a line begins that is no continuation.
    pattern = re.compile(
        rb"^" + re.escape(prefix.encode()) + rb"[!-9;-~]*[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*",
        re.IGNORECASE | re.MULTILINE,
    )
    return pattern.sub(b"", raw[:head]) + raw[head:]


def read_mail(raw: bytes) -> ReadMail:
    """What Graph shows of this mail.  Never raises."""
    fields = header_fields(raw)
    found: dict[str, str] = {}
    for name, value in fields:
        found.setdefault(name.lower(), value[:MAX_VALUE])
    subject = decoded(found.get("subject", ""))
    body_type, body, has_attachments = _read_body(raw)
    text = text_of_html(body) if body_type == "html" else body
    return ReadMail(
        subject=subject,
        internet_message_id=found.get("message-id", "").strip() or f"<{uuid.uuid4()}@sandbox>",
        sent_at=_sent_at(found.get("date", "")),
        people={
            name: _people(found[name])
            for name in ("from", "sender", "to", "cc", "bcc", "reply-to")
            if name in found
        },
        importance=_importance(found),
        conversation=_conversation(found, subject),
        body_type=body_type,
        body=body,
        preview=" ".join(text.split())[:PREVIEW_CHARS],
        has_attachments=has_attachments,
    )


def attachments(raw: bytes) -> list[Attached]:
    """Attachments in the order of the mail; empty where the mail can't be read."""
    tree = tree_of(raw)
    if tree is None:
        return []
    found: list[Attached] = []
    try:
        for part in _leaves(tree):
            if _is_attachment(part):
                found.append(_attached(part, len(found)))
    except _BREAKING:
        return found
    return found


def decoded(value: str) -> str:
    """A header's text with encoded words read (RFC 2047); as it stands where they are broken."""
    if "=?" not in value:
        return _clean(value)
    try:
        return _clean(str(email.header.make_header(email.header.decode_header(value))))
    except _BREAKING:
        return _clean(value)


def safe_html(html: str) -> str:
    """HTML as Graph returns it: without script and event handlers, otherwise as it was."""
    if _is_too_deep(html):
        return f"<html><body>{escape(_without_tags(html))}</body></html>"
    return nh3.clean(
        html,
        tags=_SAFE_TAGS,
        attributes={"*": {"style", "class", "dir", "lang", "align", "width", "height", "bgcolor",
                          "color", "face", "size", "border"},
                    "a": {"href", "title", "name"}, "img": {"src", "alt", "title"},
                    "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"},
                    "meta": {"charset"}},
        url_schemes={"http", "https", "mailto", "tel", "cid", "ftp", "data"},
        link_rel=None,
    )  # fmt: skip


def text_of_html(html: str) -> str:
    if _is_too_deep(html):
        return _without_tags(html)
    tree = LexborHTMLParser(html)
    for node in tree.css("script, style, head, title"):
        node.decompose()
    lines = (line.strip() for line in (tree.text(separator="\n") or "").splitlines())
    return "\r\n".join(line for line in lines if line)


def _is_too_deep(html: str) -> bool:
    depth = 0
    for closing, name in _TAG.findall(html):
        if name.lower() not in _VOID:
            depth += -1 if closing else 1
            if depth > MAX_HTML_DEPTH:
                return True
    return False


def _without_tags(html: str) -> str:
    return unescape(re.sub(r"<[^<>]*>", " ", html))


def _clean(text: str) -> str:
    return _storable(text).strip()


def _storable(text: str) -> str:
    """A lone surrogate can't be written as JSON or SQLite text."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")


def _people(value: str) -> list[tuple[str, str]]:
    try:
        pairs = email.utils.getaddresses([value])
    except _BREAKING:
        return []
    return [(decoded(name), _clean(address)) for name, address in pairs if name or address][:500]


def _sent_at(value: str) -> int:
    try:
        moment = email.utils.parsedate_to_datetime(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        sent_at = int(moment.timestamp())
    except (*_BREAKING, OverflowError, OSError):
        return now_s()
    # Graph's times end before the year 10000 and begin with 1.
    return sent_at if 0 < sent_at < 253_402_300_000 else now_s()


def _importance(found: dict[str, str]) -> str:
    said = found.get("importance", "").strip().lower()
    if said in ("low", "normal", "high"):
        return said
    return {"1": "high", "2": "high", "4": "low", "5": "low"}.get(
        found.get("x-priority", "").strip()[:1], "normal"
    )


def _conversation(found: dict[str, str], subject: str) -> str:
    origin = re.match(r"\s*(<[^<>\s]+>)", found.get("references", found.get("in-reply-to", "")))
    key = origin[1] if origin else found.get("message-id") or _REPLY_HEAD.sub("", subject).lower()
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:32]


def tree_of(raw: bytes) -> Message | None:
    boundaries = raw.count(b"oundary")
    end = _BREAK.search(raw)
    has_long_head = (end.start() if end else len(raw)) > MAX_HEADER_BYTES
    if boundaries > MAX_PARTS or has_long_head:
        return None
    if boundaries * raw.count(b"\n") > MAX_PARSE_STEPS:
        return None
    try:
        return email.message_from_bytes(raw, policy=email.policy.compat32)
    except _BREAKING:
        return None


def _leaves(tree: Message) -> list[Message]:
    """Parts without parts; a mail within the mail counts as one leaf."""
    leaves: list[Message] = []
    waiting = [tree]
    while waiting and len(leaves) < MAX_PARTS:
        part = waiting.pop()
        inner = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inner, list):
            waiting.extend(p for p in reversed(inner) if isinstance(p, Message))
        else:
            leaves.append(part)
    return leaves


def _is_attachment(part: Message) -> bool:
    if part.get_content_disposition() == "attachment" or part.get_filename():
        return True
    return part.get_content_type() not in ("text/plain", "text/html")


def _attached(part: Message, index: int) -> Attached:
    is_message = part.get_content_type() == "message/rfc822"
    if is_message:
        inner = part.get_payload()
        first = inner[0] if isinstance(inner, list) and inner else None
        content = first.as_bytes() if isinstance(first, Message) else b""
        name = decoded(str(first.get("subject", ""))) if isinstance(first, Message) else ""
    else:
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        name = decoded(str(part.get_filename() or ""))
    content_id = str(part.get("Content-ID", "")).strip().strip("<>")
    return Attached(
        name=name or f"attachment-{index + 1}",
        content_type=_clean(part.get_content_type()),
        content=content,
        is_inline=part.get_content_disposition() == "inline" or bool(content_id),
        content_id=content_id or None,
        is_message=is_message,
    )


def _read_body(raw: bytes) -> tuple[str, str, bool]:
    """Body type, body, and whether there are attachments that are not inline pictures."""
    tree = tree_of(raw)
    if tree is None:
        return "text", "", False
    texts: dict[str, str] = {}
    has_attachments = False
    try:
        for part in _leaves(tree):
            kind = part.get_content_subtype()
            if _is_attachment(part):
                is_picture = part.get_content_maintype() == "image" and "Content-ID" in part
                has_attachments = has_attachments or not is_picture
            elif kind not in texts:
                texts[kind] = _text_of(part)
    except _BREAKING:
        has_attachments = has_attachments or bool(texts)
    body_type = "html" if texts.get("html") else "text"
    return body_type, texts.get("html") or texts.get("plain", ""), has_attachments


def _text_of(part: Message) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    try:
        charset = codecs.lookup(part.get_content_charset() or "utf-8").name
        text = content.decode("latin-1" if charset in _NO_CHARSETS else charset, "replace")
    except (LookupError, ValueError):
        text = content.decode("latin-1")
    return _storable(text[:MAX_BODY_CHARS])
