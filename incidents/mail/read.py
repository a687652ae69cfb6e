"""From raw bytes to ``MailFacts``.

1. Refuse what is too big to touch.
2. Read the MIME structure (linear, bounded).
3. Collect body texts, attachments and links; anything that fails is a problem code, and what was
   read before it stands.
4. Take the fingerprint of the normalised content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

from incidents.mail.addresses import addresses_of, sender_of
from incidents.mail.archives import Budget
from incidents.mail.attachments import describe
from incidents.mail.authres import auth_results_of
from incidents.mail.contacts import payment_facts
from incidents.mail.dates import parse_date
from incidents.mail.encoded import decode_text, decode_words
from incidents.mail.facts import Attachment, Link, MailFacts
from incidents.mail.fingerprint import (
    file_key,
    fingerprint_of_words,
    minhash_of_words,
    normal_words,
)
from incidents.mail.headers import HeaderBlock
from incidents.mail.html import HtmlFacts, read_html
from incidents.mail.language import guess_language
from incidents.mail.limits import LIMITS, Limits
from incidents.mail.links import html_links, make_link, text_links
from incidents.mail.mime import Mime, Part, parse_mime
from incidents.mail.received import hops_of
from incidents.mail.trace import TRACE_HEADER

_TEXT_IN_ATTACHMENTS = frozenset({"html", "svg", "calendar", "text", "vcard", "shortcut"})
_MOST_NAMES = 50


def read_mail(
    raw: bytes,
    *,
    envelope_from: str = "",
    own_authserv_ids: Collection[str] = (),
    limits: Limits = LIMITS,
) -> MailFacts:
    """Never raises.  For mail from outside use ``incidents.mail.reader``, which can be killed.

    ``own_authserv_ids``: whose Authentication-Results count; "" stands for headers without a name.
    """
    facts: dict[str, Any] = {
        "size_bytes": len(raw),
        "raw_sha256": hashlib.sha256(raw).hexdigest(),
        "envelope_from": envelope_from[: limits.header_value_characters],
    }
    if not raw or raw.isspace():
        return MailFacts(**facts, is_readable=False, problems=("empty",))
    if len(raw) > limits.raw_bytes:
        return MailFacts(**facts, is_readable=False, problems=("mail_too_big",))
    reading = _Reading(raw, limits)
    try:
        reading.read(own_authserv_ids)
    except MemoryError:
        reading.note("out_of_memory")
    except Exception:  # noqa: BLE001  a defect of ours must not stop mail; the code makes it seen
        reading.note("parser_failed")
    return MailFacts(**{**facts, **reading.found}, problems=tuple(reading.problems))


class _Reading:
    """One mail on its way to facts.  ``found`` holds the fields that are finished."""

    def __init__(self, raw: bytes, limits: Limits) -> None:
        self.raw, self.limits = raw, limits
        self.found: dict[str, Any] = {"is_readable": False}
        self.problems: list[str] = []
        self.plain: list[str] = []
        self.html: list[str] = []
        self.room = {"plain": limits.text_characters, "html": limits.html_characters + 1}
        self.attachments: list[Attachment] = []
        self.file_keys: list[str] = []
        self.attached_links: list[Link] = []
        self.attached_room = limits.html_characters
        self.budget = Budget.of(limits)

    def note(self, problem: str) -> None:
        if problem and problem not in self.problems:
            self.problems.append(problem)

    def read(self, own_authserv_ids: Collection[str]) -> None:
        raw = self.raw
        if b"\n" not in raw:
            raw = self.raw = raw.replace(b"\r", b"\n")
            self.note("bare_cr")
        mime = parse_mime(raw, limits=self.limits)
        for problem in mime.problems:
            self.note(problem)
        self._read_headers(mime.block, own_authserv_ids)
        self.found["is_readable"] = bool(mime.block.fields)
        self._read_parts(mime)
        html = read_html("\n".join(self.html), limits=self.limits) if self.html else HtmlFacts()
        for problem in html.problems:
            self.note(problem)
        self._keep_content(html)

    def _read_headers(self, block: HeaderBlock, own_ids: Collection[str]) -> None:
        found, limits = self.found, self.limits
        sender, from_all, problem = sender_of(block, self.raw, limits=limits)
        self.note(problem)
        found["sender"], found["from_all"] = sender, from_all
        for field, key in (("reply_to", "reply-to"), ("to", "to"), ("cc", "cc")):
            found[field], is_cut = addresses_of(block, key, limits=limits)
            self.note("too_many_addresses" if is_cut else "")
        found["internet_message_id"] = self._value(block, "message-id", 998)
        found["subject"] = decode_words(self._value(block, "subject", limits.header_bytes))
        found["subject"] = found["subject"][: limits.header_value_characters]
        found["sent_at"] = parse_date(self._value(block, "date", 200))
        found["in_reply_to"] = self._value(block, "in-reply-to", 998)
        references = self._value(block, "references", 20_000).replace(",", " ").split()
        found["references"] = tuple(each[:998] for each in references[-_MOST_NAMES:])
        found["list_id"] = self._value(block, "list-id", 998)
        found["trace"] = self._value(block, TRACE_HEADER.lower(), 1_000)
        found["hops"] = hops_of(block, limits=limits)
        found["auth_results"] = auth_results_of(block, own_ids)
        most = limits.header_value_characters
        found["headers"] = tuple(
            [(each.name.strip(), decode_words(each.text()[:most])) for each in block.fields]
        )

    def _value(self, block: HeaderBlock, key: str, most: int) -> str:
        field = block.first(key)
        return field.text()[:most] if field is not None else ""

    def _read_parts(self, mime: Mime) -> None:
        unnamed = [part for part in mime.leaves if _is_body(part)]
        chosen = unnamed or [part for part in mime.leaves if _may_be_body(part)][:1]
        bodies = {id(part) for part in chosen}
        for part in mime.leaves:
            content, problem = part.decoded(self.raw)
            self.note(problem)
            if id(part) in bodies:
                self._keep_body(part, content)
            else:
                self._attach(part, content)
        room = self.limits.message_bytes  # messages in messages share their bytes
        for part in mime.messages:
            room -= part.end - part.start
            if room < 0:
                self.note("too_deep")
                break
            self._attach(part, self.raw[part.start : part.end])

    def _keep_body(self, part: Part, content: bytes) -> None:
        is_html = part.content_type == "text/html"
        kind = "html" if is_html else "plain"
        # A character takes at most four bytes; the rest need not be decoded at all.
        text, is_known = decode_text(content[: 4 * self.room[kind] + 4], part.charset)
        self.note("" if is_known else "unknown_charset")
        if len(text) > self.room[kind]:
            self.note("html_too_big" if is_html else "text_cut")
        (self.html if is_html else self.plain).append(text[: self.room[kind]])
        self.room[kind] = max(0, self.room[kind] - len(text))

    def _attach(self, part: Part, content: bytes) -> None:
        if len(self.attachments) >= self.limits.attachments:
            self.note("too_many_attachments")
            return
        described = describe(part, content, self.budget, limits=self.limits)
        attachment = described.attachment
        self.attachments.append(attachment)
        self.file_keys.append(file_key(content, attachment))
        if attachment.kind == "calendar":
            self.found["has_calendar"] = True
        if len(self.attached_links) > self.limits.links:
            return
        links = (make_link(url, where="attachment") for url in described.urls)
        self.attached_links += [link for link in links if link is not None]
        if attachment.kind == "message" and not part.is_open_message:
            self._read_inner(content, part.message_depth + 1)
        elif attachment.kind in _TEXT_IN_ATTACHMENTS:
            self._read_text_attachment(part, content, attachment.kind)

    def _read_inner(self, content: bytes, depth: int) -> None:
        """A mail that is attached as a file, or in an encoding, as the structure does not show."""
        if depth > self.limits.archive_depth:
            self.note("too_deep")
            return
        inner = parse_mime(content, limits=self.limits)
        for part in inner.leaves:
            part.message_depth += depth
            self._attach(part, part.decoded(content)[0])

    def _read_text_attachment(self, part: Part, content: bytes, kind: str) -> None:
        text = decode_text(content[: max(0, self.attached_room)], part.charset)[0]
        self.attached_room -= len(content)
        if kind in ("html", "svg"):
            inner = read_html(text, limits=self.limits)
            self.attached_links += html_links(inner.links, where="attachment")
        else:
            text = text.replace("\r\n ", "").replace("\n ", "") if kind == "calendar" else text
            self.attached_links += text_links(text, where="attachment", limits=self.limits)

    def _keep_content(self, html: HtmlFacts) -> None:
        found, limits = self.found, self.limits
        html_text = html.text[: limits.text_characters]
        plain = "\n".join(self.plain).replace("\r\n", "\n").strip()
        found["html"] = "\n".join(self.html)
        found["html_text"] = html_text
        found["hidden_text"] = html.hidden[: limits.text_characters]
        found["text"] = plain or html_text
        if html.hidden:
            self.note("hidden_text")
        links = html_links(html.links) + text_links(plain, limits=limits) + self.attached_links
        if not html.links:
            links = text_links(html_text, limits=limits) + links
        if len(links) > limits.links:
            self.note("too_many_links")
        found["links"] = tuple(links[: limits.links])
        found["attachments"] = tuple(self.attachments)
        # A banner may be all that is seen of the HTML: what is left without it decides.
        words = normal_words(html_text) or normal_words(html.hidden) or normal_words(plain)
        found["fingerprint"] = fingerprint_of_words(words, found["links"], self.file_keys)
        found["shingles"] = minhash_of_words(words)
        found["language"] = guess_language(html_text or plain)
        found["extra"] = {
            "images": html.images,
            "remote_images": html.remote_images,
            "forms": html.forms,
            "hidden_characters": len(html.hidden),
            **payment_facts(html_text or plain),
        }


def _is_body(part: Part) -> bool:
    """Whether a client shows this part as the text of the mail itself."""
    return _may_be_body(part) and not part.name


def _may_be_body(part: Part) -> bool:
    """A text with a name is shown too, but is the text of the mail only if there is no other."""
    if part.message_depth or part.disposition == "attachment":
        return False
    return part.content_type in ("text/plain", "text/html")
