"""Lets the demo happen at a steady pace: mail by its way, and what people make of it.

What fails is said and passed over.
"""

from __future__ import annotations

import base64
import os
import smtplib
import time
from collections.abc import Callable

import httpx

from console.demo.account_acts import do as act_on_account
from console.demo.acts import do as act
from console.demo.mails import AccountAct, Act, DemoMail
from console.demo.measure import measure
from console.demo.stories import Author
from console.demo.submitting import submit
from console.lib.sending import send_by_smtp
from seg_bridge.outbound.models import SenderStop
from tenants.scope import maintenance_scope

PACE_S = 1.0
# What was sent last is made sense of within seconds.
SETTLE_S = 5.0


def send(mail: DemoMail) -> str:
    """The last answer of whoever took the mail.  Raises as ``send_by_smtp`` and httpx do."""
    if mail.way == "inside":
        return _send_inside(mail)
    if mail.way == "out":
        return submit(mail)
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
    """Until ``limit`` steps are done, None: without end.  Says at its end how much work it made."""
    try:
        for number, step in enumerate(Author().steps(is_told=_is_told()), start=1):
            say(_one(step))
            if limit is not None and number >= limit:
                break
            time.sleep(pace_s)
        time.sleep(SETTLE_S)
    except KeyboardInterrupt:
        say("stopped")
    finally:
        with maintenance_scope():
            for line in measure().in_words():
                say(line)


def _is_told() -> bool:
    """By a run before this one: the stopped sender comes last but for ordinary mail.  Told again,
    its incidents would be there twice.
    """
    with maintenance_scope():
        return SenderStop.objects.exists()


def _one(step: DemoMail | Act | AccountAct) -> str:
    if isinstance(step, AccountAct):
        return f"{step.story}: {act_on_account(step)}"
    if isinstance(step, Act):
        return f"{step.story}: {act(step)}"
    try:
        reply = send(step)
    except (OSError, smtplib.SMTPException, httpx.HTTPError) as error:
        reply = f"not sent: {error}"
    return f"{step.story}: {step.mail_from} → {', '.join(step.recipients)}: {reply}"
