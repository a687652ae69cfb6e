"""Sends the demo's mail at a steady pace, each by its way; what fails is said and passed over."""

from __future__ import annotations

import base64
import os
import smtplib
import time
from collections.abc import Callable

import httpx

from console.demo.stories import Author, DemoMail
from console.lib.sending import send_by_smtp

PACE_S = 1.0


def send(mail: DemoMail) -> str:
    """The last answer of whoever took the mail.  Raises as ``send_by_smtp`` and httpx do."""
    if mail.way == "inside":
        return _send_inside(mail)
    where = "BAILEY_GATE_LISTEN" if mail.way == "gate" else "BAILEY_SANDBOX_SMTP"
    host, _, port = os.environ[where].rpartition(":")
    return send_by_smtp(
        (host, int(port)),
        mail_from=mail.mail_from,
        recipients=mail.recipients,
        raw=mail.raw,
        client_ip=mail.client_ip if mail.way == "gate" else "",
        helo=mail.helo,
    ).last_reply


def _send_inside(mail: DemoMail) -> str:
    answer = httpx.post(
        f"http://{os.environ['BAILEY_SANDBOX_HTTP']}/_sandbox/send",
        json={
            "from": mail.mail_from,
            "to": list(mail.recipients),
            "raw_base64": base64.b64encode(mail.raw).decode(),
        },
        timeout=30,
        trust_env=False,
    )
    answer.raise_for_status()
    return str(answer.status_code)


def run(say: Callable[[str], None], *, limit: int | None = None, pace_s: float = PACE_S) -> None:
    """Until ``limit`` mails are sent, None: without end."""
    for number, mail in enumerate(Author().mails(), start=1):
        try:
            reply = send(mail)
        except (OSError, smtplib.SMTPException, httpx.HTTPError) as error:
            reply = f"not sent: {error}"
        say(f"{mail.story}: {mail.mail_from} → {', '.join(mail.recipients)}: {reply}")
        if limit is not None and number >= limit:
            return
        time.sleep(pace_s)
