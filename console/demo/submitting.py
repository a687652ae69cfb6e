"""Hands a mail to the gateway as a client's program does: with a login, over TLS."""

from __future__ import annotations

import json
import os
import smtplib
import ssl
from pathlib import Path

from django.conf import settings

from console.demo.mails import DemoMail


def submit(mail: DemoMail) -> str:
    """The gateway's last answer.  Raises ``OSError`` or ``smtplib.SMTPException``."""
    with smtplib.SMTP(*_address("BAILEY_SUBMISSION_AT"), timeout=60) as smtp:
        smtp.ehlo(mail.helo)
        if smtp.has_extn("xclient"):
            smtp.docmd("XCLIENT", f"ADDR={mail.client_ip} NAME=[UNAVAILABLE] HELO={mail.helo}")
            smtp.ehlo(mail.helo)
        smtp.starttls(context=_trusting())
        smtp.login(*_login_of(mail))
        try:
            smtp.sendmail(mail.mail_from, mail.recipients, mail.raw)
        except smtplib.SMTPRecipientsRefused as refused:
            return _said(*next(iter(refused.recipients.values())))
        except smtplib.SMTPResponseException as refused:
            return _said(refused.smtp_code, refused.smtp_error)
        return "250 taken"


def _said(code: int, words: bytes | str) -> str:
    return f"{code} {words.decode('ascii', 'replace') if isinstance(words, bytes) else words}"


def _trusting() -> ssl.SSLContext:
    """The gate on this machine has a certificate that it made itself: that very one is trusted."""
    own = ssl.get_server_certificate(_address("BAILEY_SUBMISSIONS_AT"))
    context = ssl.create_default_context(cadata=own)
    context.check_hostname = False
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _address(name: str) -> tuple[str, int]:
    host, _, port = os.environ[name].rpartition(":")
    return host, int(port)


def _login_of(mail: DemoMail) -> tuple[str, str]:
    client = mail.mail_from.rpartition("@")[2].partition(".")[0]
    known = json.loads((Path(settings.VAR_DIR) / "demo.json").read_text())
    name, secret = known["logins"][client]
    return name, secret
