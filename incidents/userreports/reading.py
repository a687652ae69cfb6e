"""One report mail, read: what it says, and the mails that are attached to it."""

from __future__ import annotations

import atexit
import base64
import binascii
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from incidents.mail.facts import MailFacts
from incidents.mail.reader import MailReader
from incidents.mail.wire import unpack_facts
from incidents.userreports import letter
from incidents.userreports.child import JUDGE

PROBLEMS = {
    "msg": "The mail is attached as an Outlook item (.msg) that cannot be read. "
    "Forward it as an attachment (.eml) instead.",
    "made_anew": "The mail was attached as an Outlook item (.msg): what is shown was made anew of "
    "its header and texts, without attachments.",
    "too_big": "The attached mails are too big.",
    "too_many": "More than ten mails are attached: those beyond were left out.",
    "unreadable": "The report was too much for the reading process.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The reported mail as the reporter sent it."""

    facts: MailFacts
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReport:
    """``facts`` are those of the report itself; ``named`` the Message-IDs that it carries.

    ``inline_subject`` and ``inline_sender`` stand in its text, "" where it passes nothing on there.
    ``problem``: a key of ``PROBLEMS``, "" for none.
    """

    facts: MailFacts
    said: str
    by_button: bool
    words: str
    is_automatic: bool
    named: tuple[str, ...] = ()
    originals: tuple[Original, ...] = ()
    inline_subject: str = ""
    inline_sender: str = ""
    problem: str = ""


@cache
def report_reader() -> MailReader:
    """One for the whole process; its child starts with the first report."""
    reader = MailReader(workers=1, judge=JUDGE)
    atexit.register(reader.close)
    return reader


def read_report(raw: bytes, *, own_authserv_ids: Collection[str] = ()) -> ReadReport:
    """Raises ``ReaderUnavailable`` where this host cannot read at all."""
    facts = report_reader().read(raw, own_authserv_ids=own_authserv_ids)
    originals, problem = _attached(facts.judged)
    subject, sender = ("", "") if originals else letter.passed_on(facts)
    return ReadReport(
        facts=facts,
        said=letter.said_by(facts.subject),
        by_button=letter.is_by_button(facts.subject),
        words=letter.own_words(facts),
        is_automatic=letter.is_automatic(facts),
        named=letter.ids_named(facts),
        originals=originals,
        inline_subject=subject,
        inline_sender=sender,
        problem=problem,
    )


def _attached(judged: Any) -> tuple[tuple[Original, ...], str]:
    """What came back from a process that has read hostile mail is data, and may be anything."""
    try:
        originals = tuple(
            Original(facts=unpack_facts(each["facts"].encode()), raw=base64.b64decode(each["raw"]))
            for each in judged["mails"]
        )
        problem = str(judged["problem"])
    except (TypeError, KeyError, ValueError, AttributeError, binascii.Error):
        return (), "unreadable"
    return originals, problem if problem in PROBLEMS else ""
