"""What a story of the demo is made of: mails and acts, and the pen that writes the mails."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, make_msgid
from typing import Literal

from console.demo.letters import Letter
from console.demo.world import ANALYST, CLIENTS, ClientFacts, Contact, Sender

Way = Literal["gate", "around", "inside", "out"]


@dataclass(frozen=True, slots=True)
class DemoMail:
    """``way``: through the gate, around it straight to the mail host, from mailbox to mailbox, or
    out, handed to the gate by a client's program.

    ``client_ip`` and ``helo`` are the sending host, which the gate is told by XCLIENT.
    """

    story: str
    way: Way
    mail_from: str
    recipients: tuple[str, ...]
    raw: bytes
    client_ip: str
    helo: str


@dataclass(frozen=True, slots=True)
class File:
    """Hangs on a mail as ``application/<subtype>``."""

    name: str
    subtype: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Act:
    """Something that people do between two mails: console/demo/acts.py.

    ``subject`` begins the subject of the mail it is about; ``client`` is the client's slug.
    ``reason``: why the provider's people do it, or what a person of the client writes from
    ``mailbox``: an answer, or, with ``to``, a mail that passes it on, or a report of it as
    ``said``.  ``take_reports`` is about no mail: from then on ``mailbox`` takes the reports.
    """

    story: str
    what: Literal["release", "condemn", "resolve", "pull", "write", "report", "take_reports"]
    client: str
    subject: str
    reason: str
    mailbox: str = ""
    to: str = ""
    said: Literal["", "phishing", "junk"] = ""


@dataclass(frozen=True, slots=True)
class AccountAct:
    """Something that happens to an account, or is done about it: console/demo/account_acts.py.

    ``by``: whose address does it.  ``kind``: which step of a response.  ``reason``: why, or what
    ``contact`` says on the phone.
    """

    story: str
    what: Literal["taken", "look", "take", "step", "call", "end_login"]
    mailbox: str
    reason: str = ""
    by: str = ANALYST
    kind: str = ""
    contact: Contact | None = None

    @property
    def client(self) -> str:
        """The client's slug."""
        return self.mailbox.rpartition("@")[2].partition(".")[0]


class Pen:
    """Writes mail with one seed: the same again, but for times and Message-IDs."""

    def __init__(self, seed: int = 20261122) -> None:
        self.random = random.Random(seed)  # noqa: S311 - the same demo each time, no secret

    def _client(self) -> ClientFacts:
        return self.random.choice(CLIENTS)

    def _number(self) -> str:
        return str(self.random.randint(10_000, 99_999))

    def _outside(
        self,
        story: str,
        sender: Sender,
        person: tuple[str, str],
        letter: Letter,
        client: ClientFacts,
        locals_: tuple[str, ...],
        headers: dict[str, str] | None = None,
        files: Sequence[File] = (),
        **words: str,
    ) -> DemoMail:
        display, local = person
        mail_from = f"{local}@{sender.domain}"
        recipients = [client.address(one) for one in locals_]
        words = {"name": client.box(locals_[0]).name, "sender": display} | words
        author = formataddr((display, mail_from))
        raw = self._write(letter, author, recipients, headers, files, **words)
        return DemoMail(
            story=story,
            way="gate",
            mail_from=mail_from,
            recipients=tuple(recipients),
            raw=raw,
            client_ip=sender.ip,
            helo=f"mail.{sender.domain}",
        )

    def _write(
        self,
        letter: Letter,
        author: str,
        recipients: list[str],
        headers: dict[str, str] | None,
        files: Sequence[File] = (),
        **words: str,
    ) -> bytes:
        now = datetime.now(UTC)
        words = {"week": str(now.isocalendar().week), "number": self._number()} | words
        mail = EmailMessage()
        mail["From"] = author
        mail["To"] = ", ".join(recipients)
        mail["Subject"] = letter.subject.format(**words)
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = make_msgid(domain=author.rpartition("@")[2].rstrip(">"))
        for name, value in (headers or {}).items():
            mail[name] = value
        mail.set_content(letter.text.format(**words))
        if letter.html:
            mail.add_alternative(letter.html.format(**words), subtype="html")
        for file in files:
            mail.add_attachment(
                file.content, maintype="application", subtype=file.subtype, filename=file.name
            )
        return mail.as_bytes()
