"""A test mail through one gate, sent as any stranger would.  Never inside a scope."""

from __future__ import annotations

import os
import smtplib
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime

from django.utils import timezone

from seg_bridge.gate.ways import join_hop, split_hop
from tenants.failpoints import failpoint

TIMEOUT_S = 45.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where such a listener is reached


@dataclass(frozen=True, slots=True)
class Trial:
    """``state`` as in ``TrialMail``; ``reply`` the gate's words, or why there are none."""

    state: str
    reply: str


def smtp_address(gate: str, hostname: str) -> tuple[str, int]:
    """Where this gate takes mail: this machine's where it listens, any other on port 25."""
    listens = os.environ.get("BAILEY_GATE_LISTEN", "")
    if gate == os.environ.get("BAILEY_GATE_NAME") and listens:
        host, port = split_hop(listens)
        return _EVERYWHERE.get(host, host), port
    return hostname, 25


def write_trial(*, hostname: str, recipient: str, client: str, message_id: str) -> bytes:
    mail = EmailMessage()
    mail["From"] = f"Bailey <postmaster@{hostname}>"
    mail["To"] = recipient
    mail["Subject"] = f"Test mail for {client}"
    mail["Message-ID"] = message_id
    mail["Date"] = format_datetime(timezone.now())
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(
        f"This mail shows that the way through the gateway to {recipient} is open.\n"
        "Nobody has to do anything about it.\n"
    )
    return bytes(mail).replace(b"\n", b"\r\n")


def send_trial_mail(server: tuple[str, int], *, recipient: str, raw: bytes) -> Trial:
    """Sent by the empty sender: nobody ever answers it."""
    where = join_hop(*server)
    is_said = False
    try:
        with smtplib.SMTP(*server, timeout=TIMEOUT_S) as smtp:
            smtp.ehlo_or_helo_if_needed()
            code, text = smtp.mail("")
            if code < 400:
                code, text = smtp.rcpt(recipient)
            if code >= 400:
                return Trial("refused", _words(code, text))
            is_said = True
            failpoint("before_call")
            code, text = smtp.data(raw)
            failpoint("after_call")
            return Trial("taken" if code < 400 else "refused", _words(code, text))
    except (OSError, smtplib.SMTPException) as error:
        if is_said:
            return Trial("sending", f"{where} gave no answer to the mail: {error}")
        return Trial("failed", f"{where} could not be reached: {error}")


def _words(code: int, text: bytes) -> str:
    return f"{code} {text.decode('ascii', 'replace')}".replace("\n", " ")[:1000]
