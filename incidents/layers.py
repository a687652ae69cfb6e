"""What a layer must offer to the incident model.  A bridge registers itself when its app is ready.

``incidents`` never imports a bridge: it asks ``mailbox_layer()`` and ``gateway_layer()``.  No call
of a ``MailboxLayer`` happens inside a scope (it talks to a vendor); a ``GatewayLayer`` only writes
rows, in the caller's scope and transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, Self
from uuid import UUID

from django.utils.formats import date_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from incidents.gateway_asked import (
    ExceptionMade,
    ExceptionWish,
    LessonWish,
    ReleaseRight,
    RepairForecast,
)
from incidents.mail.facts import MailFacts
from incidents.words import Place, Verdict
from tenants.errors import Conflict

if TYPE_CHECKING:
    from incidents.models import Delivery
    from tenants.audit import Actor
    from tenants.models import Person


class LayerError(Exception):
    """A layer could not do it.  The only question a caller has: try again or not?"""

    def __init__(self, sentence: str, *, again_after_s: float | None = None) -> None:
        """``again_after_s`` None: trying again does not help."""
        super().__init__(sentence)
        self.sentence = sentence
        self.again_after_s = again_after_s


class LayerBlind(LayerError):
    """The layer cannot do anything for this client now.  What waits for it is not given up."""


class OutcomeUnknown(LayerError):
    """The call was sent and the answer is lost: only reading can tell."""


class NotThereYet(LayerError):
    """The mailbox can be read, and the mail has not been seen in it."""


class NoMailbox(LayerError):
    """The layer watches no such mailbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One delivery as a layer needs to find it."""

    tenant_id: int
    delivery_id: UUID
    recipient: str
    mailbox_item_id: str
    internet_message_id: str
    fingerprint: str = ""

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Its message is read too."""
        return cls(
            tenant_id=delivery.tenant_id,
            delivery_id=delivery.id,
            recipient=delivery.recipient,
            mailbox_item_id=delivery.mailbox_item_id,
            internet_message_id=delivery.message.internet_message_id,
            fingerprint=delivery.message.fingerprint,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyState:
    """What an independent read saw.  ``exists`` False: no longer in the mailbox at all.
    ``is_held_too``: it lies there, and once more in Bailey's quarantine.
    """

    exists: bool
    place: Place
    mailbox_item_id: str = ""
    is_read: bool | None = None
    read_at: datetime | None = None
    is_held_too: bool = False
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a layer would say of a mail now, by its own code.  ``reasons`` heaviest first.

    ``action``: of the gateway, what it would do with the copy (``MatrixAction``), and ``rule`` why;
    "" of the mailbox layer, whose acts are the incident's (incidents/foresight.py).
    ``entry``: the entry of the client's list that decided, {} where none did.
    """

    verdict: str
    confidence: float | None = None
    reasons: tuple[str, ...] = ()
    action: str = ""
    rule: str = ""
    entry: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMail:
    """A mail that the mailbox layer has judged, as an entry of the client's list is asked about it.

    ``names``: the mailbox's addresses.  ``is_proven``: our own gate has vouched for its way, so
    that ``auth_results`` of the facts and the visible sender can be relied on.
    """

    verdict: Verdict
    facts: MailFacts
    names: tuple[str, ...]
    is_proven: bool


class Entries(Protocol):
    """The client's entries that both layers follow, read once and asked without a database."""

    def allowing(self, mail: SeenMail, now: datetime) -> dict[str, str]:
        """What let this mail be, as the gate's ``Decision.as_json`` tells it; {}: none does."""
        ...


class Objections(Conflict):
    """The rehearsal of a change has objections; the sentence names them."""

    code = "objections"
    title = "The rehearsal has objections"

    def __init__(self, stops: Sequence[str]) -> None:
        super().__init__(" ".join(stops) + " To do it nevertheless, say so and why.")
        self.stops = list(stops)


class MailboxLayer(Protocol):
    """All methods raise ``LayerError``; they are called outside any scope, with ids only."""

    def read_state(self, copy: Copy) -> CopyState:
        """Where the copy is now, read from the mailbox."""
        ...

    def prepare(self, copy: Copy) -> dict[str, Any]:
        """The undo record, taken before acting: folder, flags, categories, content hash (JSON)."""
        ...

    def pull(self, copy: Copy, undo: dict[str, Any], *, key: str) -> None:
        """Move the copy to the hidden quarantine folder, if it still is as ``undo`` says; else
        ``LayerError`` to come again with a fresh record.  ``key`` names the intent.
        """
        ...

    def restore(self, copy: Copy, undo: dict[str, Any], *, key: str) -> None:
        """Put the copy back as the undo record says."""
        ...

    def fetch(self, copy: Copy) -> tuple[bytes, str]:
        """The mail's bytes and how they were acquired: ``graph-mime``, ``graph-json``, ``imap``."""
        ...

    def foresee(self, delivery: Delivery) -> Judged:
        """How it would judge the kept original of this copy if that arrived now.  Asks no vendor:
        called in a scope of client and provider.
        """
        ...


class GatewayLayer(Protocol):
    """Writes rows and commands in the caller's transaction; the gate acts within seconds."""

    def release(
        self, *, delivery_ids: list[UUID], intent_ids: list[UUID], released_by: str
    ) -> None:
        """Ask the gates that hold these copies to deliver the original bytes."""
        ...

    def entries_for_both(self, tenant_id: int) -> Entries:
        """Needs the client's scope."""
        ...

    def make_exception(
        self,
        *,
        deliveries: Sequence[Delivery],
        wish: ExceptionWish,
        reason: str,
        actor: Person | Actor,
    ) -> ExceptionMade:
        """One entry for both layers that all these copies of one client fit, rehearsed first; where
        the same is in force, that one.

        Raises ``WrongInput`` where the mail is not fit for it, ``Objections`` as ``block_sender``.
        """
        ...

    def exceptions_among(self, rule_ids: Collection[UUID]) -> dict[UUID, ExceptionMade]:
        """Those of these entries that both layers follow.  Needs the client's scope."""
        ...

    def note_release(self, rule_id: UUID, job_id: UUID) -> None:
        """The release with which this exception was made."""
        ...

    def foresee(self, delivery: Delivery) -> Judged:
        """How it would judge and treat the next mail like this copy, by its stored facts and the
        policy in force.  Raises ``LayerError`` where it cannot be known.
        """
        ...

    def release_rights(self, copies: Sequence[Delivery]) -> dict[UUID, ReleaseRight]:
        """Copy → who may release it, by the policy in force.  Needs the provider in the scope."""
        ...

    def language_for(self, tenant_id: int, address: str) -> str:
        """In which language the client wants this address written to: a code like ``de``."""
        ...

    def block_sender(
        self,
        *,
        tenant_id: int,
        sender: str,
        reason: str,
        owner_id: UUID | None,
        owner_name: str,
        expires_at: datetime | None,
        incident_id: UUID | None,
        despite: bool = False,
    ) -> UUID:
        """Hold all further mail of this sender for the client; answers the rule's id.

        ``expires_at`` None: the layer's usual time.

        It is rehearsed first.  Raises ``Objections`` where that has any, unless ``despite``.
        """
        ...

    def rehearse_repair(
        self, *, tenant_id: int, repair: dict[str, Any], actor: Person | Actor
    ) -> RepairForecast:
        """What the repair (incidents/repairs.py) would have done to the mail of the last days.

        Raises ``Conflict`` or ``WrongInput`` where there can be no such rule.
        """
        ...

    def carry_out_repair(
        self,
        *,
        rehearsal_id: UUID,
        actor: Person | Actor,
        reason: str,
        incident_id: UUID | None,
    ) -> UUID:
        """Make the change that was rehearsed; answers the id of the rule it made or removed."""
        ...

    def learns(self, tenant_id: int) -> bool:
        """Does any level of the client's policy let its decisions teach?  Needs the provider in the
        scope.
        """
        ...

    def teach(
        self,
        wishes: Sequence[LessonWish],
        *,
        tenant_id: int,
        because: str,
        incident_id: UUID | None,
        actor: Person | Actor,
    ) -> None:
        """Let the gates that saw these mails learn of them, as far as the client agrees; what one
        learned the same way before is not taught again.
        """
        ...

    def take_back_lessons(
        self, *, tenant_id: int, incident_id: UUID, because: str, actor: Person | Actor
    ) -> None:
        """What this incident's resolution taught counts no longer."""
        ...

    def after_fetching(self, *, tenant_id: int, message_id: UUID, problem: str) -> None:
        """A mailbox was asked for the mail's bytes, and lessons may wait for them.  ``problem`` "":
        they have come.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindLayer:
    """A layer that cannot see a client now.  ``name`` begins a sentence, ``why`` is one: both in
    the language that is active, the portal's reader's or English.
    """

    layer: str
    name: str
    since: datetime
    why: str

    @property
    def sentence(self) -> str:
        at = self.since.astimezone(UTC)
        words = f"{at:%-d %B, %H:%M}"
        if not (get_language() or "en").startswith("en"):
            words = f"{date_format(at, 'MONTH_DAY_FORMAT')}, {at:%H:%M}"
        told = {"name": self.name, "since": words, "why": self.why}
        return _("%(name)s is blind since %(since)s UTC: %(why)s") % told


_layers: dict[str, Any] = {}
_sights: list[Callable[[int], BlindLayer | None]] = []


def register_sight(sight: Callable[[int], BlindLayer | None]) -> None:
    """``sight`` answers for a client in scope; None: the layer sees, or is not there."""
    _sights.append(sight)


_condemned: list[Callable[[int, Collection[UUID]], None]] = []


def register_condemned(tell: Callable[[int, Collection[UUID]], None]) -> None:
    """``tell(tenant_id, message_ids)`` hears of mail that somebody condemned just now, in the
    transaction that stores it.
    """
    _condemned.append(tell)


def tell_condemned(tenant_id: int, message_ids: Collection[UUID]) -> None:
    if message_ids:
        for tell in _condemned:
            tell(tenant_id, message_ids)


_acting: list[Callable[[int], str]] = []


def register_acting(why_not: Callable[[int], str]) -> None:
    """``why_not(tenant_id)``: a sentence where the layer sees and may not act, else ""."""
    _acting.append(why_not)


def why_not_acting(tenant_id: int) -> str:
    """In a sentence, "" where mail can be moved, or no layer is there to say so."""
    return next((words for why_not in _acting if (words := why_not(tenant_id))), "")


_catching_up: list[Callable[[int], bool]] = []


def register_catching_up(is_it: Callable[[int], bool]) -> None:
    """``is_it(tenant_id)``: the layer sees again, and has not read yet what came meanwhile."""
    _catching_up.append(is_it)


def is_catching_up(tenant_id: int) -> bool:
    """Needs the client's scope."""
    return any(is_it(tenant_id) for is_it in _catching_up)


def blind_layers(tenant_id: int) -> list[BlindLayer]:
    """What cannot see this client now.  Needs its scope; the portal's is enough."""
    return [blind for sight in _sights if (blind := sight(tenant_id))]


def register_mailbox_layer(layer: MailboxLayer) -> None:
    _layers["mailbox"] = layer


def register_gateway_layer(layer: GatewayLayer) -> None:
    _layers["gateway"] = layer


def mailbox_layer() -> MailboxLayer:
    layer: MailboxLayer = _layers["mailbox"]
    return layer


def gateway_layer() -> GatewayLayer:
    layer: GatewayLayer = _layers["gateway"]
    return layer
