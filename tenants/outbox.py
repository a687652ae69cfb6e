"""Mail that Bailey sends: once for each event, whatever fails in between.

1. ``post(…)`` writes a row in the transaction of what happened; the same event is written once.
2. The worker marks the row *being sent*, commits, and hands the mail to the mail server.
3. *Sent* and *refused* are written down.  Where the answer was lost, nobody sends it again: the row
   is *not known*, and the layers are asked whether a mail with its Message-ID has arrived.
4. It is repeated only where the recipient's mailbox is watched and has not seen it, with the same
   Message-ID; what nobody can look up stays *not known* and is not repeated.

Each mail is sealed for its one recipient, where a room has registered how: the client's own gate
must not hold it.  Its text is in seven bits, so that no mail server changes it on the way.
"""

from __future__ import annotations

import json
import logging
import smtplib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from email.charset import QP, Charset
from email.message import Message
from email.utils import formataddr, parseaddr
from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import QuerySet
from django.utils import timezone
from typing_extensions import override

from tenants.doors import ClaimedWork
from tenants.failpoints import failpoint
from tenants.ids import new_id
from tenants.models import OutgoingMail, Provider
from tenants.secrets import seal, unseal
from tenants.standstill import CALLED_OFF
from tenants.work import want_work, work_scope

log = logging.getLogger(__name__)

QUEUE = "notify"
MOST_AT_ONCE = 20
# Longer than a mail server may take for one mail (EMAIL_TIMEOUT): then its worker has died.
SENDING_FOR = timedelta(minutes=5)
LOOK_AGAIN = timedelta(minutes=1)
PATIENCE = timedelta(minutes=15)
PAUSES = tuple(timedelta(minutes=each) for each in (1, 5, 15, 60, 240))
_LISTED = timedelta(days=14)

# (client, address, Message-ID) → seen there; not seen although it is watched; None: nobody can say.
LookUp = Callable[[int, str, str], bool | None]
_look_up: list[LookUp] = []
# (the mail's bytes, its recipient) → name and value of a header field to put on it.
Sealer = Callable[[bytes, str], tuple[str, str]]
# (provider, client) → how its mail is sealed, None where it cannot be.
_sealers: list[Callable[[int, int], Sealer | None]] = []

_SEVEN_BITS = Charset("utf-8")
_SEVEN_BITS.body_encoding = QP


class _NotSent(Exception):
    """The mail server has not taken it: it may be tried again."""


class _Unclear(Exception):
    """The mail was handed over, and the answer is lost."""


def register_look_up(look_up: LookUp) -> None:
    """``look_up`` runs in the client's scope."""
    _look_up.append(look_up)


def register_sealer(sealer_for: Callable[[int, int], Sealer | None]) -> None:
    """``sealer_for`` runs in the client's scope, what it answers outside."""
    _sealers.append(sealer_for)


def post(
    *, tenant_id: int, event: str, kind: str, to: str, subject: str, text: str, html: str = ""
) -> bool:
    """Write the mail down, to be sent after the commit.  False: it was written before.

    ``event`` names what happened, like ``request/<id>``.  Needs the client's scope.
    """
    row = OutgoingMail(
        id=new_id(),
        tenant_id=tenant_id,
        event=event,
        kind=kind,
        to_address=to,
        due_at=timezone.now(),
    )
    host = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "bailey.invalid"
    row.message_id = f"<{row.id.hex}@{host}>"
    body = json.dumps({"subject": subject, "text": text, "html": html})
    row.sealed = seal(body.encode(), place=_place(row))
    OutgoingMail.objects.bulk_create([row], ignore_conflicts=True)
    is_new = OutgoingMail.objects.filter(tenant_id=tenant_id, id=row.id).exists()
    if is_new:
        want_work(tenant_id, QUEUE)
    return is_new


def sent_lately(tenant_id: int) -> list[OutgoingMail]:
    """For people: newest first, of the last two weeks, the latest 200."""
    since = timezone.now() - _LISTED
    rows = OutgoingMail.objects.filter(tenant_id=tenant_id, created_at__gte=since)
    return list(rows.defer("sealed").order_by("-created_at")[:200])


def call_off_mail(tenant_id: int, now: datetime) -> int:
    """After a restore (tenants/standstill.py): nothing that waits is sent, or sent again."""
    rows = OutgoingMail.objects.filter(tenant_id=tenant_id).exclude(due_at=None)
    return rows.update(
        state=OutgoingMail.State.FAILED, error=CALLED_OFF, due_at=None, sealed=b"", tried_at=now
    )


def serve_outbox(claimed: ClaimedWork) -> datetime | None:
    """Send what is due; answers when something is due again."""
    for _ in range(MOST_AT_ONCE):
        with work_scope(claimed):
            row = _claim(claimed.tenant_id)
            sender = _sender(claimed.provider_id)
            sealers = [each(claimed.provider_id, claimed.tenant_id) for each in _sealers]
        if row is None:
            break
        state, error = _try(row, sender, [each for each in sealers if each])
        with work_scope(claimed):
            _settle(row, state, error)
    with work_scope(claimed):
        rows = OutgoingMail.objects.filter(tenant_id=claimed.tenant_id).exclude(due_at=None)
        return rows.order_by("due_at").values_list("due_at", flat=True).first()


def _claim(tenant_id: int) -> OutgoingMail | None:
    """The next row to be sent, marked and so nobody else's.  Rows that wait for a look-up, or whose
    sender has died, are settled on the way.
    """
    now = timezone.now()
    due = OutgoingMail.objects.filter(tenant_id=tenant_id, due_at__lte=now)
    for row in due.order_by("due_at", "id")[:MOST_AT_ONCE]:
        if row.state != OutgoingMail.State.WAITING:
            _look(row, now)
            continue
        mine = OutgoingMail.objects.filter(id=row.id, state=row.state, attempts=row.attempts)
        until = now + SENDING_FOR
        row.attempts += 1
        if mine.update(
            state=OutgoingMail.State.SENDING, due_at=until, attempts=row.attempts, tried_at=now
        ):
            return row
    return None


def _look(row: OutgoingMail, now: datetime) -> None:
    """What became of a mail whose answer is lost."""
    rows = OutgoingMail.objects.filter(id=row.id, state=row.state, attempts=row.attempts)
    answers = [ask(row.tenant_id, row.to_address, row.message_id) for ask in _look_up]
    if any(answers):
        _close(rows, OutgoingMail.State.SENT, "seen in the mailbox", sent_at=now)
    elif now < (row.tried_at or row.created_at) + PATIENCE:
        rows.update(state=OutgoingMail.State.UNKNOWN, due_at=now + LOOK_AGAIN)
    elif answers and all(answer is False for answer in answers):
        rows.update(state=OutgoingMail.State.WAITING, due_at=now)
    else:
        why = "the answer of the mail server is lost, and no layer watches this mailbox"
        _close(rows, OutgoingMail.State.UNKNOWN, why)


def _try(row: OutgoingMail, sender: str, sealers: Sequence[Sealer]) -> tuple[str, str]:
    """Outside any scope: the state that the try leaves, and why."""
    try:
        _send(row, sender, sealers)
    except _NotSent as error:
        return OutgoingMail.State.WAITING, str(error)
    except _Unclear as error:
        return OutgoingMail.State.UNKNOWN, str(error)
    return OutgoingMail.State.SENT, ""


class _Written(EmailMultiAlternatives):
    """Its bytes are made once: a second making would draw other boundaries than are sealed."""

    @cached_property
    def _made(self) -> Message:
        return super().message()

    @override
    def message(self, *args: Any, **options: Any) -> Any:
        return self._made


def _send(row: OutgoingMail, sender: str, sealers: Sequence[Sealer]) -> None:
    body = json.loads(unseal(bytes(row.sealed), place=_place(row)))
    connection = get_connection()
    try:
        connection.open()
    except (OSError, smtplib.SMTPException) as error:
        raise _NotSent(_words(error)) from error
    mail = _Written(
        subject=body["subject"],
        body=body["text"],
        from_email=sender,
        to=[row.to_address],
        headers={
            "Message-ID": row.message_id,
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
        connection=connection,
    )
    if body["html"]:
        mail.attach_alternative(body["html"], "text/html")
    mail.encoding = _SEVEN_BITS
    made = mail.message()
    for name, value in [each(made.as_bytes(), row.to_address) for each in sealers]:
        made[name] = value
    failpoint("before_call")
    try:
        mail.send()
    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
        # The server answered, and said no.
        raise _NotSent(_words(error)) from error
    except (OSError, smtplib.SMTPException) as error:
        raise _Unclear(_words(error)) from error
    finally:
        _close_quietly(connection)
    failpoint("after_call")


def _close_quietly(connection: BaseEmailBackend) -> None:
    try:
        connection.close()
    except (OSError, smtplib.SMTPException):
        log.info("the mail server ended the conversation first")


def _settle(row: OutgoingMail, state: str, error: str) -> None:
    now = timezone.now()
    rows = OutgoingMail.objects.filter(
        id=row.id, state=OutgoingMail.State.SENDING, attempts=row.attempts
    )
    if state == OutgoingMail.State.SENT:
        _close(rows, state, "", sent_at=now)
    elif state == OutgoingMail.State.UNKNOWN:
        rows.update(state=state, error=error[:500], due_at=now + LOOK_AGAIN)
    elif row.attempts > len(PAUSES):
        _close(rows, OutgoingMail.State.FAILED, error)
    else:
        rows.update(state=state, error=error[:500], due_at=now + PAUSES[row.attempts - 1])


def _close(
    rows: QuerySet[OutgoingMail], state: str, error: str, *, sent_at: datetime | None = None
) -> None:
    rows.update(state=state, error=error[:500], due_at=None, sealed=b"", sent_at=sent_at)


def _sender(provider_id: int) -> str:
    """The provider's name before the installation's address."""
    name = Provider.objects.filter(id=provider_id).values_list("name", flat=True).first()
    return formataddr(
        (f"{name or 'Bailey'} mail security", parseaddr(settings.DEFAULT_FROM_EMAIL)[1])
    )


def _place(row: OutgoingMail) -> str:
    return f"tenants_outgoingmail.sealed/{row.tenant_id}/{row.id}"


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
