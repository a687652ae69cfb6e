"""What a person does with mail in Outlook: writes, answers, passes on, reports.

A copy of what she sends lies in her Sent Items, in the conversation of what it answers; a colleague
finds it in the inbox, and what goes outside leaves the cloud.
"""

import email
import email.policy
import email.utils
import sqlite3
from collections.abc import Sequence
from email.message import EmailMessage

from api_bridge.sandbox import directory, mailboxes, mime, traces
from api_bridge.sandbox.store import Store

INTERNAL = b"X-MS-Exchange-Organization-AuthAs: Internal\r\n"
# What the report button writes before the subject (Microsoft, "User reported settings").
BUTTONS = {"junk": "Junk", "not junk": "Not junk", "phishing": "Phishing"}
AS_IT_LIES = email.policy.SMTP.clone(refold_source="none")
GOOGLE_FOUND = "Authentication-Results: mx.google.com; dkim=pass header.i=@{domain}\r\n"


def send(store: Store, sender: sqlite3.Row, recipients: Sequence[sqlite3.Row], raw: bytes) -> None:
    """``recipients`` are the colleagues among those it goes to."""
    clean = mime.without_headers(raw, "X-MS-Exchange-Organization-")
    mail = mime.read_mail(clean)
    inboxes = [(number, "inbox") for number in sorted({each["number"] for each in recipients})]
    if inboxes:
        mailboxes.deliver(store, raw=_marked(store, sender) + clean, mail=mail, copies=inboxes)
        traces.note(store, mail, recipients, size=len(clean), from_ip="")
    sent = [(sender["number"], "sentitems")]
    mailboxes.deliver(store, raw=clean, mail=mail, is_read=True, copies=sent)


def bring_in(store: Store, mailbox: int, folder: str, received_at: int, raw: bytes) -> None:
    """A mail from elsewhere, with the date that it has there.  Raises ValueError."""
    if not raw or mailboxes.find_folder(store, mailbox, folder) is None:
        raise ValueError("no mail" if not raw else f"no folder {folder}")
    mail = mime.read_mail(raw)
    mailboxes.deliver(
        store, raw=raw, mail=mail, copies=[(mailbox, folder)], received_at=received_at
    )


def _marked(store: Store, sender: sqlite3.Row) -> bytes:
    """What the mail host writes above a mail between two of its people."""
    if directory.is_google(store, sender["tenant_id"]):
        return GOOGLE_FOUND.format(domain=sender["mail"].rpartition("@")[2]).encode()
    return INTERNAL


def answer(
    store: Store,
    sender: sqlite3.Row,
    message: sqlite3.Row,
    *,
    text: str,
    forward_to: Sequence[str] = (),
) -> str:
    """Answers a mail in the sender's mailbox, or passes it on; returns the new Message-ID.

    The mail is read by then, as in Outlook.
    """
    raw = mailboxes.raw_mail(store, message)
    fields = {name.lower(): value for name, value in mime.header_fields(raw)}
    written = EmailMessage()
    written["From"] = email.utils.formataddr((sender["display_name"], sender["mail"]))
    to = list(forward_to) or [_answers_go_to(fields)]
    written["To"] = ", ".join(to)
    written["Subject"] = f"{'FW' if forward_to else 'RE'}: {message['subject']}"
    written["Date"] = email.utils.formatdate()
    written["Message-ID"] = email.utils.make_msgid(domain=sender["mail"].rpartition("@")[2])
    written["In-Reply-To"] = message["internet_message_id"]
    way = fields.get("references") or fields.get("in-reply-to") or ""
    written["References"] = f"{way} {message['internet_message_id']}".strip()
    written.set_content(f"{text}\n\n> {message['preview']}\n")
    mailboxes.update_message(store, message["number"], {"is_read": True})
    known = (directory.mailbox_of(store, address) for address in to)
    send(store, sender, [each for each in known if each is not None], written.as_bytes())
    return str(written["Message-ID"])


def report(
    store: Store,
    sender: sqlite3.Row,
    message: sqlite3.Row,
    *,
    to: sqlite3.Row,
    said: str,
    text: str,
) -> str:
    """Reports a mail of the sender's with Outlook's button; returns the report's Message-ID.

    The mail is attached as it lies in her mailbox.
    """
    raw = mailboxes.raw_mail(store, message)
    written = EmailMessage()
    written["From"] = email.utils.formataddr((sender["display_name"], sender["mail"]))
    written["To"] = to["mail"]
    written["Subject"] = f"{said}: {message['subject']}"
    written["Date"] = email.utils.formatdate()
    written["Message-ID"] = email.utils.make_msgid(domain=sender["mail"].rpartition("@")[2])
    written.set_content(f"{text}\n")
    written.add_attachment(email.message_from_bytes(raw, policy=AS_IT_LIES))
    mailboxes.update_message(store, message["number"], {"is_read": True})
    send(store, sender, [to], written.as_bytes(policy=AS_IT_LIES))
    return str(written["Message-ID"])


def _answers_go_to(fields: dict[str, str]) -> str:
    said = fields.get("reply-to") or fields.get("from") or ""
    return email.utils.parseaddr(mime.decoded(said))[1]
