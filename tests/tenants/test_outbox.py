"""Mail goes out once for each event, whatever the mail server does in the middle of it."""

from __future__ import annotations

import smtplib
from datetime import timedelta
from typing import ClassVar

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone
from typing_extensions import override

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.mail.own_notice import is_own_notice
from incidents.traces import active_trace_key
from tenants.doors import ClaimedWork
from tenants.models import OutgoingMail, Tenant, Work
from tenants.outbox import PATIENCE, post, serve_outbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, mailbox_saw
from tests.seg_bridge.conftest import make_gate


class Server(BaseEmailBackend):
    """A mail server: ``plan`` says what happens to each mail in turn, ``got`` what it has taken."""

    plan: ClassVar[list[str]] = []
    got: ClassVar[list[EmailMessage]] = []

    @override
    def open(self):
        if self.plan and self.plan[0] == "down":
            self.plan.pop(0)
            raise ConnectionRefusedError("nobody listens")
        return True

    @override
    def send_messages(self, messages):
        (mail,) = messages
        what = self.plan.pop(0) if self.plan else "take"
        if what == "refuse":
            raise smtplib.SMTPDataError(451, b"greylisted")
        if what != "drop":
            self.got.append(mail)
        if what in ("drop", "take, then drop"):
            raise smtplib.SMTPServerDisconnected("connection lost")
        return 1


@pytest.fixture(autouse=True)
def server(settings):
    settings.EMAIL_BACKEND = "tests.tenants.test_outbox.Server"
    Server.plan, Server.got = [], []
    return Server


def scope(cast: Cast):
    return tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id)


def claimed(cast: Cast) -> ClaimedWork:
    return ClaimedWork(cast.acme.id, cast.provider.id, 1)


def write(cast: Cast, event: str = "request/1", to: str = "info@acme.example") -> bool:
    with scope(cast):
        return post(
            tenant_id=cast.acme.id, event=event, kind="notice", to=to, subject="Hello", text="x"
        )


def row(cast: Cast) -> OutgoingMail:
    with scope(cast):
        return OutgoingMail.objects.get()


def later(cast: Cast, time_machine_s: float = 0) -> None:
    """All that waits is due now, and was tried so long ago."""
    with scope(cast):
        OutgoingMail.objects.exclude(due_at=None).update(due_at=timezone.now())
        if time_machine_s:
            then = timezone.now() - timedelta(seconds=time_machine_s)
            OutgoingMail.objects.update(tried_at=then)


def test_an_event_is_written_and_sent_once(cast: Cast, server):
    assert [write(cast), write(cast)] == [True, False]
    with scope(cast):
        assert Work.objects.filter(queue="notify").exists()
    for _ in range(3):
        serve_outbox(claimed(cast))
    (mail,) = server.got
    assert mail.from_email == "Keep mail security <bailey@localhost>"
    assert mail.extra_headers["Auto-Submitted"] == "auto-generated"
    assert (row(cast).state, row(cast).due_at, bytes(row(cast).sealed)) == ("sent", None, b"")


def test_what_the_server_has_not_taken_is_sent_again_with_the_same_id(cast: Cast, server):
    server.plan = ["down", "refuse"]
    write(cast)
    for _ in range(3):
        serve_outbox(claimed(cast))
        later(cast)
    serve_outbox(claimed(cast))
    (mail,) = server.got
    assert mail.extra_headers["Message-ID"] == row(cast).message_id
    assert (row(cast).state, row(cast).attempts) == ("sent", 3)


def test_a_lost_answer_is_looked_up_and_the_mail_that_arrived_is_not_sent_again(cast: Cast, server):
    server.plan = ["take, then drop"]
    write(cast)
    serve_outbox(claimed(cast))
    assert row(cast).state == "unknown"
    with scope(cast):
        seen = mailbox_saw(
            cast.acme,
            "info@acme.example",
            internet_message_id=row(cast).message_id,
            trace_ulid="",
            trace_state="",
            fingerprint="a" * 32,
        )
        record([seen])
        make_sense_of_backlog(cast.acme)
    later(cast)
    serve_outbox(claimed(cast))
    assert (row(cast).state, row(cast).error) == ("sent", "seen in the mailbox")
    assert len(server.got) == 1


def test_a_lost_answer_is_repeated_only_where_a_layer_would_have_seen_the_mail(cast: Cast, server):
    server.plan = ["drop"]
    write(cast)
    serve_outbox(claimed(cast))
    later(cast)
    serve_outbox(claimed(cast))
    assert (row(cast).state, server.got) == ("unknown", [])
    later(cast, PATIENCE.total_seconds() + 1)
    serve_outbox(claimed(cast))
    serve_outbox(claimed(cast))
    assert (row(cast).state, len(server.got)) == ("sent", 1)


@pytest.mark.parametrize("to", ["somebody@elsewhere.example", "info@acme.example"])
def test_what_nobody_can_look_up_is_never_sent_twice(to, cast: Cast, server):
    with scope(cast):
        Tenant.objects.filter(id=cast.acme.id).update(protected_since=None)
    server.plan = ["drop"]
    write(cast, to=to)
    serve_outbox(claimed(cast))
    later(cast, PATIENCE.total_seconds() + 1)
    for _ in range(2):
        serve_outbox(claimed(cast))
    assert (row(cast).state, row(cast).due_at, server.got) == ("unknown", None, [])


def test_a_worker_that_died_over_a_mail_leaves_it_unknown(cast: Cast, server):
    write(cast)
    with scope(cast):
        OutgoingMail.objects.update(state="sending", attempts=1, tried_at=timezone.now())
    later(cast)
    serve_outbox(claimed(cast))
    assert (row(cast).state, server.got) == ("unknown", [])


def test_a_server_that_always_refuses_ends_in_failed(cast: Cast, server):
    server.plan = ["refuse"] * 10
    write(cast)
    for _ in range(8):
        serve_outbox(claimed(cast))
        later(cast)
    assert (row(cast).state, row(cast).attempts, row(cast).due_at) == ("failed", 6, None)
    assert "greylisted" in row(cast).error


def test_it_is_sealed_for_its_recipient_and_keeps_the_seal_on_the_wire(cast: Cast):
    make_gate(cast, cast.acme)
    with scope(cast):
        key_id, key = active_trace_key(cast.provider.id)
        post(
            tenant_id=cast.acme.id,
            event="digest/1",
            kind="digest",
            to="info@acme.example",
            subject="Zurückgehaltene E-Mails",
            text="Grüße, " + "sehr " * 300,
            html="<p>Grüße</p>",
        )
    serve_outbox(claimed(cast))
    (mail,) = Server.got
    raw = mail.message().as_bytes().replace(b"\n", b"\r\n")
    assert raw.isascii()  # nothing in it is for a mail server to encode anew

    def holds(data: bytes, tenant: Tenant) -> bool:
        return is_own_notice(
            data,
            keys={key_id: key},
            tenant_id=tenant.id,
            recipients=["info@acme.example"],
            now=timezone.now(),
        )

    assert holds(raw, cast.acme)
    assert not holds(raw, cast.globex)
    assert not holds(raw.replace(b"Gr=C3=BC", b"Gr=C3=B6"), cast.acme)


def test_without_a_gate_it_goes_out_without_a_seal(cast: Cast):
    write(cast)
    serve_outbox(claimed(cast))
    assert "X-Bailey-Notice" not in Server.got[0].message()
