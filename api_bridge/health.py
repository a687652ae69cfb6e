"""Whether the mailbox layer sees: what a connection's errors mean, and since when it is blind."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from api_bridge.access.models import Grant, Purpose
from api_bridge.access.registrations import QUEUE
from api_bridge.certificates import UNTRUSTED
from api_bridge.errors import AccessDenied, AuthExpired, BridgeError
from api_bridge.models import Connection, MailboxSync
from incidents.renewals import resume_waiting
from tenants.audit import BAILEY, write_audit
from tenants.models import Mailbox, Tenant
from tenants.work import want_work

log = logging.getLogger(__name__)

BLIND_RETRY = timedelta(minutes=2)
OK_NOTED_EVERY = timedelta(minutes=1)
# Settings or server are such that we may not, or will not, go there at all.
_NO_WAY_IN = {
    UNTRUSTED: Connection.State.NOT_TRUSTED,
    "bad_ca_file": Connection.State.NOT_TRUSTED,
    "private_address": Connection.State.NOT_ALLOWED,
    "host_not_allowed": Connection.State.NOT_ALLOWED,
    "no_tls": Connection.State.NO_LOGIN,
    "no_login": Connection.State.NO_LOGIN,
}
NO_WAY_IN = frozenset(_NO_WAY_IN)
_STATES = {
    "needs_consent": Connection.State.NEEDS_CONSENT,
    "app_missing": Connection.State.NEEDS_CONSENT,
    "credentials_expired": Connection.State.CREDENTIALS_EXPIRED,
    "bad_credentials": Connection.State.CREDENTIALS_EXPIRED,
    "refused": Connection.State.CREDENTIALS_EXPIRED,
    "tenant_gone": Connection.State.GONE,
}


def blinding_state(error: BridgeError) -> str:
    """The state that this error of a whole connection puts it into, "" if it blinds nothing."""
    if isinstance(error, AuthExpired) or error.code == "login_refused":
        return _STATES.get(error.code, Connection.State.CREDENTIALS_EXPIRED)
    if isinstance(error, AccessDenied):
        return Connection.State.NEEDS_CONSENT
    return _NO_WAY_IN.get(error.code, "")


def is_blinding(error: BridgeError) -> bool:
    """Whether nothing of this connection can be read until a person mends something."""
    return bool(blinding_state(error))


def is_denied_everywhere(connection_id: UUID) -> bool:
    """There are mailboxes, and the mail host refuses us every one: an access policy, a role scope
    or a mail permission, although tokens are given and people are listed.
    """
    read = MailboxSync.objects.filter(connection_id=connection_id).exclude(
        mailbox__state__in=(Mailbox.State.GONE, Mailbox.State.NO_MAILBOX)
    )
    return set(read.values_list("mailbox__state", flat=True)) == {Mailbox.State.BLIND}


def note_blind(connection_id: UUID, error: BridgeError) -> None:
    """The layer cannot read this client's mailboxes.  Must run in the client's scope."""
    connection = Connection.objects.select_for_update().get(id=connection_id)
    state, now = blinding_state(error), timezone.now()
    changed = connection.state != state
    connection.state = state
    connection.blind_since = connection.blind_since or now
    connection.last_error = str(error)
    connection.list_due_at = now + BLIND_RETRY
    connection.save(update_fields=["state", "blind_since", "last_error", "list_due_at"])
    waiting = MailboxSync.objects.filter(connection_id=connection_id)
    waiting.filter(due_at__lt=connection.list_due_at).update(due_at=connection.list_due_at)
    if changed:
        log.warning("connection %s is blind: %s", connection_id, error)
        _audit(connection, "api_bridge.connection.blind", error=str(error))
        want_work(connection.tenant_id, QUEUE)


def note_refused(connection_id: UUID, purpose: str, error: AuthExpired) -> None:
    """A token for this purpose is refused.  One that only acts is no eye: the layer still sees.

    Must run in the client's scope.
    """
    grants = Grant.objects.filter(connection=connection_id, purpose=purpose)
    by_itself = Connection.objects.filter(id=connection_id, by_registrations=True)
    # Where one key opens all, its refusal is the layer's.
    if purpose == Purpose.DETECT or not by_itself.exists() or not grants.exists():
        note_blind(connection_id, error)
        return
    tenant_id = Connection.objects.values_list("tenant_id", flat=True).get(id=connection_id)
    grants.filter(lost_at=None).update(lost_at=timezone.now(), trouble=str(error))
    want_work(tenant_id, QUEUE)


def note_seeing(connection_id: UUID) -> None:
    """A call worked.  Must run in the client's scope; writes at most once a minute."""
    now = timezone.now()
    connection = Connection.objects.select_for_update().get(id=connection_id)
    is_fresh = connection.last_ok_at and now - connection.last_ok_at < OK_NOTED_EVERY
    if connection.blind_since is None and is_fresh:
        return
    was_blind_since = connection.blind_since
    connection.state = Connection.State.ACTIVE
    connection.blind_since, connection.last_error = None, ""
    connection.last_ok_at = now
    if was_blind_since:
        connection.seeing_since = now
    connection.save(
        update_fields=["state", "blind_since", "last_error", "last_ok_at", "seeing_since"]
    )
    if was_blind_since:
        MailboxSync.objects.filter(connection_id=connection_id).update(due_at=now)
        _audit(connection, "api_bridge.connection.seeing", blind_since=was_blind_since.isoformat())
        want_work(connection.tenant_id, QUEUE)
        resume_waiting(connection.tenant_id)


def _audit(connection: Connection, action: str, **detail: str) -> None:
    write_audit(
        action,
        actor=BAILEY,
        provider_id=Tenant.objects.get(id=connection.tenant_id).provider_id,
        tenant_id=connection.tenant_id,
        object_kind="connection",
        object_id=connection.id,
        **detail,
    )
