"""Senders that gates stopped: noted, told as one incident of the account, lifted by a person.

A gate tells a stop after the mails behind it, but they become known to the incident model a moment
later: until then the stop has no incident, or one without the last of them, and the queue comes
round again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import transaction
from django.utils import timezone
from ulid import ULID

from incidents.accounts import open_account_incident
from incidents.models import Message
from seg_bridge.commands import order_lift
from seg_bridge.outbound.models import SenderStop
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Person, Tenant
from tenants.work import want_work

STOPPED = "seg_bridge.sender.stopped"
LIFTED = "seg_bridge.sender.lifted"
QUEUE = "outbound"
LOOK_AGAIN = timedelta(seconds=2)
SELDOM, AT_FIRST = timedelta(minutes=1), timedelta(minutes=1)
# The gate's mails are shipped before the stop: what is not known by then will not come.
WAIT_FOR_MAILS = timedelta(hours=1)
_MOST_EVIDENCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldStop:
    """A gate's line ``sender_stopped``."""

    ulid: str
    tenant_id: int
    mailbox: str
    cause: str
    words: str
    at: datetime
    evidence: tuple[str, ...]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        at = datetime.fromisoformat(data["at"])
        evidence = data["evidence"]
        if type(data["tenant_id"]) is not int or at.tzinfo is None:
            raise ValueError("a stop needs a client, and a time with zone")
        if not isinstance(evidence, list) or len(evidence) > _MOST_EVIDENCE:
            raise ValueError("the evidence of a stop is a short list")
        if not data["mailbox"] or len(data["mailbox"]) > 320 or "\0" in data["mailbox"]:
            raise ValueError("a stop names a mailbox")
        return cls(
            ulid=str(ULID.from_str(data["ulid"])),
            tenant_id=data["tenant_id"],
            mailbox=str(data["mailbox"]),
            cause=SenderStop.Cause(data["cause"]).value,
            words=str(data["words"]).replace("\0", "")[:300],
            at=at,
            evidence=tuple(str(ULID.from_str(each)) for each in evidence),
        )


def note_stop(gate_name: str, told: ToldStop) -> bool:
    """False: it is known already.  Must run in the client's scope."""
    stop, is_new = SenderStop.objects.get_or_create(
        tenant_id=told.tenant_id,
        stop_ulid=told.ulid,
        defaults={
            "gate_name": gate_name,
            "mailbox": told.mailbox,
            "cause": told.cause,
            "words": told.words,
            "evidence": list(told.evidence),
            "stopped_at": told.at,
        },
    )
    if is_new:
        write_audit(
            STOPPED,
            actor=Actor(f"gate {gate_name}"),
            provider_id=Tenant.objects.get(id=told.tenant_id).provider_id,
            tenant_id=told.tenant_id,
            object_kind="sender_stop",
            object_id=stop.id,
            mailbox=told.mailbox,
            words=told.words,
        )
        want_work(told.tenant_id, QUEUE)
    return is_new


def open_incidents(tenant: Tenant) -> datetime | None:
    """Gives each stop its incident; answers when to look again.  Needs the client's scope."""
    now = timezone.now()
    young = SenderStop.objects.filter(tenant=tenant, recorded_at__gte=now - WAIT_FOR_MAILS)
    again_at: datetime | None = None
    for stop in young.select_related("incident").order_by("stopped_at"):
        is_fresh = now - stop.recorded_at < AT_FIRST
        if _waits_for_mails(tenant, stop, is_fresh=is_fresh):
            next_at = now + (LOOK_AGAIN if is_fresh else SELDOM)
            again_at = min(again_at or next_at, next_at)
    return again_at


def _waits_for_mails(tenant: Tenant, stop: SenderStop, *, is_fresh: bool) -> bool:
    """Once those that are known are in its incident.  What a person closed is not opened again by
    a mail of the same stop, and what she moved elsewhere stays there.
    """
    if stop.incident is not None and not stop.incident.is_open:
        return False
    known = Message.objects.filter(tenant=tenant, trace_ulid__in=stop.evidence)
    # Counted before: one may become known while the others are told.
    is_whole = known.count() == len(stop.evidence)
    left = known.exclude(memberships__incident=stop.incident_id)
    if stop.incident is None or (left if is_fresh else left.filter(memberships=None)).exists():
        _tell(tenant, stop)
    return not is_whole


def _tell(tenant: Tenant, stop: SenderStop) -> None:
    """Nothing while none of its mails is known."""
    incident = open_account_incident(
        tenant=tenant,
        mailbox=stop.mailbox,
        trace_ulids=stop.evidence,
        reason=f"The gateway stopped {stop.mailbox} from sending: {stop.words}.",
    )
    if incident is not None:
        SenderStop.objects.filter(id=stop.id).update(incident=incident)


@transaction.atomic
def lift_stop(*, stop: SenderStop, actor: Person | Actor, reason: str) -> None:
    """The mailbox may send again within seconds.  Raises ``Conflict`` or ``WrongInput``."""
    if not reason.strip():
        raise WrongInput("Say why the mailbox may send again.")
    lifted = SenderStop.objects.filter(id=stop.id, lifted_at=None).update(
        lifted_at=timezone.now(), lifted_by=actor.name, lift_reason=reason.strip()
    )
    if not lifted:
        raise Conflict(f"{stop.mailbox} may send again already.")
    gates = order_lift(
        tenant_id=stop.tenant_id,
        stop_ulid=stop.stop_ulid,
        mailbox=stop.mailbox,
        lifted_by=actor.name,
    )
    write_audit(
        LIFTED,
        actor=actor,
        provider_id=stop.tenant.provider_id,
        tenant_id=stop.tenant_id,
        object_kind="sender_stop",
        object_id=stop.id,
        reason=reason.strip(),
        mailbox=stop.mailbox,
        gates=gates,
    )
