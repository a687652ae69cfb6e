"""The mailbox layer as the incident model asks for it: over the connector of whatever host the
client has.

What went wrong is told in the one word that counts there: try again, never again, or not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from api_bridge.access.models import Purpose
from api_bridge.connectors import (
    Action,
    ActionRecord,
    ActionSeen,
    Connector,
    Fetched,
    Ref,
    Result,
    State,
)
from api_bridge.errors import AuthExpired, BridgeError, NotFound, Temporary
from api_bridge.foresight import foresee
from api_bridge.health import is_blinding, note_refused
from api_bridge.models import Connection, MailboxSync
from api_bridge.runtime import NotGranted, connector_of, wire_connection
from api_bridge.scan.judging import mail_reader
from incidents.layers import (
    Copy,
    CopyState,
    Judged,
    LayerBlind,
    LayerError,
    NoMailbox,
    NotThereYet,
    OutcomeUnknown,
)
from incidents.models import Delivery
from incidents.words import Place
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope

# A mail that was just delivered becomes visible in the mailbox within seconds, seldom minutes.
NOT_THERE_YET_S = 20.0
CHANGED_AGAIN_S = 1.0
READ_AGAIN_S = 2.0
BLIND_AGAIN_S = 300.0
MAILBOX_AGAIN_S = 300.0


@dataclass(frozen=True, slots=True)
class _Mailbox:
    """Where a copy lies, opened."""

    connection_id: UUID
    tenant_id: int
    external_id: str
    connector: Connector
    purpose: str


class ConnectedMailboxLayer:
    """``incidents.layers.MailboxLayer``.  Called outside scopes; opens short ones itself."""

    def read_state(self, copy: Copy) -> CopyState:
        with _opened(copy) as mailbox:
            ref = _ref(copy, mailbox)
            state = mailbox.connector.read_state(ref)
        return _copy_state(ref, state)

    def prepare(self, copy: Copy) -> dict[str, Any]:
        with _opened(copy, Purpose.REMEDIATE) as mailbox:
            record = mailbox.connector.prepare(
                _ref(copy, mailbox), Action.QUARANTINE, str(copy.delivery_id)
            )
        if record.before.place is Place.QUARANTINE:
            # An earlier call of ours took effect after all: its undo record stands.
            raise LayerError("The mail is being removed just now.", again_after_s=CHANGED_AGAIN_S)
        return record.as_json()

    def pull(self, copy: Copy, undo: dict[str, Any], *, key: str) -> None:
        record = _record(undo)
        with _opened(copy, Purpose.REMEDIATE) as mailbox:
            _settle(mailbox.connector.act(record))

    def restore(self, copy: Copy, undo: dict[str, Any], *, key: str) -> None:
        record = _record(undo)
        with _opened(copy, Purpose.REMEDIATE) as mailbox:
            _settle(mailbox.connector.undo(record))

    def fetch(self, copy: Copy) -> tuple[bytes, str]:
        with _opened(copy) as mailbox:
            try:
                fetched: Fetched = mailbox.connector.fetch(_ref(copy, mailbox))
            except NotFound as error:
                raise LayerError("The mail is no longer in the mailbox.") from error
        return fetched.raw, fetched.acquired

    def foresee(self, delivery: Delivery) -> Judged:
        return foresee(delivery)


@contextmanager
def _opened(copy: Copy, purpose: str = Purpose.DETECT) -> Iterator[_Mailbox]:
    """The copy's mailbox, as far as ``purpose`` reaches; errors of the bridge leave as
    ``LayerError``.
    """
    mailbox = _find_mailbox(copy, purpose)
    try:
        yield mailbox
    except AuthExpired as error:
        with _scope(copy.tenant_id):
            note_refused(mailbox.connection_id, mailbox.purpose, error)
        raise LayerBlind(
            "The connection to the mail host is not accepted any more.",
            again_after_s=BLIND_AGAIN_S,
        ) from error
    except BridgeError as error:
        if is_blinding(error) and _is_blind(mailbox):
            raise LayerBlind(str(error), again_after_s=BLIND_AGAIN_S) from error
        raise _layer_error(error) from error


def _is_blind(mailbox: _Mailbox) -> bool:
    """Known already: the whole connection reads nothing, so it is not this copy that is refused."""
    with _scope(mailbox.tenant_id):
        rows = Connection.objects.filter(id=mailbox.connection_id)
        return bool(rows.filter(blind_since__isnull=False).exists())


def _not_granted(error: NotGranted) -> LayerError:
    """A consent that was lost may come back; one that was never given is an answer."""
    if error.code == "lost":
        return LayerBlind(str(error), again_after_s=BLIND_AGAIN_S)
    return LayerError(str(error))


def _layer_error(error: BridgeError) -> LayerError:
    if error.may_have_happened:
        return OutcomeUnknown(str(error), again_after_s=READ_AGAIN_S)
    if isinstance(error, NotFound):
        # A licence taken away, a person suspended, a host that says so for an hour: what lies in a
        # mailbox that cannot be opened is not gone.
        sentence = f"The mailbox is not there now, so nobody can see what lies in it. {error}"
        return LayerError(sentence, again_after_s=MAILBOX_AGAIN_S)
    if isinstance(error, Temporary):
        return LayerError(str(error), again_after_s=error.retry_after_s)
    return LayerError(str(error))


@contextmanager
def _scope(tenant_id: int) -> Iterator[None]:
    """With the provider, whose registrations they are; its id is not on the copy."""
    with tenant_scope(Role.WORKER, [tenant_id]):
        provider_id = Tenant.objects.values_list("provider_id", flat=True).get(id=tenant_id)
        with tenant_scope(Role.WORKER, [tenant_id], provider_id=provider_id):
            yield


def _find_mailbox(copy: Copy, purpose: str) -> _Mailbox:
    """Raises ``LayerError`` where no connection leads to this mailbox, or not for this purpose."""
    with _scope(copy.tenant_id):
        rows = MailboxSync.objects.select_related("mailbox", "connection")
        address = Q(mailbox__address=copy.recipient)
        alias = Q(mailbox__aliases__contains=[copy.recipient])
        row = rows.filter(address).first() or rows.filter(alias).first()
        if row is None or not row.mailbox.external_id:
            raise NoMailbox(f"No connection to the mailbox of {copy.recipient} is known.")
        external_id, connection_id = row.mailbox.external_id, row.connection_id
        try:
            settings = wire_connection(
                row.connection, purpose, must_be_granted=purpose != Purpose.DETECT
            )
        except NotGranted as error:
            raise _not_granted(error) from error
        except BridgeError as error:
            raise LayerBlind(str(error), again_after_s=BLIND_AGAIN_S) from error
    try:
        connector = connector_of(settings)
    except BridgeError as error:
        raise LayerError(f"The mail host cannot be reached: {error}") from error
    return _Mailbox(connection_id, copy.tenant_id, external_id, connector, purpose)


def _ref(copy: Copy, mailbox: _Mailbox) -> Ref:
    """The copy's item; one that was never seen is looked for by its Message-ID.

    A Message-ID is not unique in a mailbox: of several, one with the same content counts; which of
    two that say the same does not matter, if only it is the same one every time.
    """
    if copy.mailbox_item_id:
        return Ref(mailbox.external_id, copy.mailbox_item_id)
    found = []
    if copy.internet_message_id:
        found = mailbox.connector.find(mailbox.external_id, copy.internet_message_id)
    if len(found) > 1 and copy.fingerprint:
        found = [ref for ref in found if _content_of(ref, mailbox) == copy.fingerprint]
    if not found:
        raise NotThereYet("The mail is not in the mailbox yet.", again_after_s=NOT_THERE_YET_S)
    if len(found) > 1 and not copy.fingerprint:
        raise LayerError("Several mails in the mailbox fit; it must be settled by hand.")
    return min(found, key=lambda ref: ref.item_id)


def _content_of(ref: Ref, mailbox: _Mailbox) -> str:
    return mail_reader().read(mailbox.connector.fetch(ref).raw).fingerprint


def _record(undo: dict[str, Any]) -> ActionRecord:
    try:
        return ActionRecord.from_json(undo)
    except (KeyError, TypeError, ValueError) as error:
        raise LayerError("The undo record of this copy cannot be read.") from error


def _copy_state(ref: Ref, state: State) -> CopyState:
    return CopyState(
        exists=state.exists,
        place=state.place,
        mailbox_item_id=ref.item_id,
        is_read=state.is_read if state.exists else None,
        is_held_too=state.is_held_too,
        detail={"folder": state.folder_id},
    )


def _settle(seen: ActionSeen) -> None:
    """Says nothing where reading back will tell; raises what the caller must know before."""
    if seen.result is Result.STALE:
        raise LayerError(seen.detail, again_after_s=CHANGED_AGAIN_S)
    if seen.result is Result.UNKNOWN:
        raise OutcomeUnknown(seen.detail, again_after_s=READ_AGAIN_S)
    if seen.result is Result.NOT_DONE:
        raise LayerError(seen.detail, again_after_s=READ_AGAIN_S)
