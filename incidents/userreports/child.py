"""The mails that are attached to a report, taken out and read in the process that can be killed.

A ``Judge`` for ``incidents.mail.reader``: limits of memory, CPU and time hold for it, and a bomb in
an attached mail harms this process alone.  It has three forms of an attached mail: a part that is a
message (RFC 2046, 5.2.1), a file of one, ``….eml``, and an Outlook item, ``….msg``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final

from incidents.mail.facts import MailFacts
from incidents.mail.mime import Part, parse_mime
from incidents.mail.read import read_mail
from incidents.mail.wire import pack_facts
from incidents.userreports.outlook import NoItem, mail_of_item

JUDGE: Final = f"{__name__}:attached_mails"
MOST_MAILS = 10
# Of all attached mails together; the answer is a third longer.
MOST_BYTES = 25 * 1024 * 1024
_MESSAGES = ("message/rfc822", "message/global")
_OUTLOOK = "application/vnd.ms-outlook"


def attached_mails(raw: bytes, facts: MailFacts, told: object) -> dict[str, Any]:
    """``mails``: each with its packed facts and its bytes in base64.  ``problem``: ``msg`` for an
    Outlook item that cannot be read, ``made_anew`` for one that can; ``too_big`` and ``too_many``
    where some are left out.
    """
    del facts, told
    found: list[dict[str, str]] = []
    problem, room = "", MOST_BYTES
    for part in _parts(raw):
        inner = _bytes_of(part, raw)
        if _is_outlooks(part):
            try:
                inner, problem = mail_of_item(inner), problem or "made_anew"
            except NoItem:
                problem = "msg"
                continue
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
