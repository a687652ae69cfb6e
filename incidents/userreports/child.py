"""The mails that are attached to a report, taken out and read in the process that can be killed.

A ``Judge`` for ``incidents.mail.reader``: limits of memory, CPU and time hold for it, and a bomb in
an attached mail harms this process alone.  It has two forms of an attached mail: a part that is a
message (RFC 2046, 5.2.1), and a file of one, ``….eml``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final

from incidents.mail.facts import MailFacts
from incidents.mail.mime import Part, parse_mime
from incidents.mail.read import read_mail
from incidents.mail.wire import pack_facts

JUDGE: Final = f"{__name__}:attached_mails"
MOST_MAILS = 10
# Of all attached mails together; the answer is a third longer.
MOST_BYTES = 25 * 1024 * 1024
_MESSAGES = ("message/rfc822", "message/global")
_OUTLOOK = "application/vnd.ms-outlook"


def attached_mails(raw: bytes, facts: MailFacts, told: object) -> dict[str, Any]:
    """``mails``: each with its packed facts and its bytes in base64.  ``problem``: ``msg`` for
    Outlook's own format, which is not read; ``too_big`` and ``too_many`` where some are left out.
    """
    del facts, told
    found: list[dict[str, str]] = []
    problem, room = "", MOST_BYTES
    for part in _parts(raw):
        if _is_outlooks(part):
            problem = problem or "msg"
            continue
        inner = _bytes_of(part, raw)
        if len(found) == MOST_MAILS:
            problem = "too_many"
            break
        room -= len(inner)
        if room < 0:
            problem = "too_big"
            break
        if inner.strip():
            found.append(
                {
                    "facts": pack_facts(read_mail(inner)).decode(),
                    "raw": base64.b64encode(inner).decode(),
                }
            )
    return {"mails": found, "problem": problem}


def _parts(raw: bytes) -> Iterator[Part]:
    """Attached mails of the report itself, in their order; not those inside of them."""
    mime = parse_mime(raw)
    parts = [part for part in (*mime.messages, *mime.leaves) if not part.message_depth]
    for part in sorted(parts, key=lambda part: part.start):
        name = part.name.lower()
        if part.content_type in _MESSAGES or name.endswith(".eml") or _is_outlooks(part):
            yield part


def _is_outlooks(part: Part) -> bool:
    return part.content_type == _OUTLOOK or part.name.lower().endswith(".msg")


def _bytes_of(part: Part, raw: bytes) -> bytes:
    return raw[part.start : part.end] if part.is_open_message else part.decoded(raw)[0]
