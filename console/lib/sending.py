"""Handing a mail to an SMTP server, with the sending host told by XCLIENT.

smtplib, because it says every reply; XCLIENT is understood by Bailey's gate from loopback in
development only (https://www.postfix.org/XCLIENT_README.html, read 2026-11-22).
"""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sent:
    """``replies``: recipient → (code, text) of the server's word about this copy."""

    last_reply: str
    replies: dict[str, tuple[int, str]] = field(default_factory=dict)


def send_by_smtp(
    server: tuple[str, int],
    *,
    mail_from: str,
    recipients: Sequence[str],
    raw: bytes,
    client_ip: str = "",
    helo: str = "",
    timeout_s: float = 60,
) -> Sent:
    """Raises ``OSError`` or ``smtplib.SMTPException`` where no reply tells what became of it."""
    with smtplib.SMTP(*server, local_hostname=helo or "localhost", timeout=timeout_s) as smtp:
        smtp.ehlo()
        if client_ip and smtp.has_extn("xclient"):
            smtp.docmd("XCLIENT", f"ADDR={client_ip} NAME={helo or '[UNAVAILABLE]'} HELO={helo}")
            smtp.ehlo(helo or "localhost")
        code, text = smtp.mail(mail_from, ["BODY=8BITMIME"] if smtp.has_extn("8bitmime") else [])
        if code >= 400:
            return Sent(f"{code} {_text(text)}", dict.fromkeys(recipients, (code, _text(text))))
        replies = {}
        for recipient in recipients:
            code, text = smtp.rcpt(recipient)
            replies[recipient] = (code, _text(text))
        if not any(code < 400 for code, _ in replies.values()):
            smtp.rset()
            return Sent(f"{code} {_text(text)}", replies)
        code, text = smtp.data(raw)
        for recipient, (earlier, _) in replies.items():
            if earlier < 400:
                replies[recipient] = (code, _text(text))
        return Sent(f"{code} {_text(text)}", replies)


def _text(reply: bytes) -> str:
    return reply.decode("ascii", "replace").replace("\n", " ")
