"""Health incidents about access and records: one for each kind of loss and client, while it lasts.

A layer says all that is wrong now, by ``note_findings``; what it says no more is settled.  No mail
belongs to such an incident, so nothing that mail does changes it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.announce import announce_incident
from incidents.assessment import RANK
from incidents.campaigns.moving import next_number
from incidents.codes import COUNTS
from incidents.holding import take_turn
from incidents.models import Incident
from incidents.models.finding import Finding
from incidents.services.acts import change, done, hold
from incidents.services.states import RESOLVED
from incidents.sla.reckoning import reckon
from tenants.audit import BAILEY, write_audit
from tenants.models import Tenant

OPENED = "incidents.incident.opened"
# What an incident of each code is called, and how grave it is.
TITLES = {
    "consent": "The mailbox layer's consent is lost",
    "permission": "A permission of the mailbox layer is missing",
    "secret": "A secret or certificate of the mailbox layer ends",
    "gdap": "A delegated admin relationship ends",
    "push": "Push orders at the mail host are not renewed",
    "refused": "Mailboxes are refused to the mailbox layer",
    "lost": "Delivered mail is not seen in mailboxes",
    "unaccounted": "Mail was taken in and has no outcome",
    "mx": "MX records have changed",
    "dkim": "DKIM records have changed",
}
# What a loss adds to the points of its kind (incidents/assessment.py).
_HURTS_NOW, _MAY_HURT, _COSTS_SECONDS = (
    {"code": "lost", "points": 30, "text": "A layer is blind, or mail goes past one"},
    {"code": "lost", "points": 10, "text": "Something is off, or will be"},
    {"code": "lost", "points": 0, "text": "Mail is found later"},
)
_SEVERITY = {
    "consent": (Incident.Severity.HIGH, _HURTS_NOW),
    "lost": (Incident.Severity.MEDIUM, _HURTS_NOW),
    "unaccounted": (Incident.Severity.MEDIUM, _MAY_HURT),
    "refused": (Incident.Severity.MEDIUM, _HURTS_NOW),
    "mx": (Incident.Severity.HIGH, _HURTS_NOW),
    "push": (Incident.Severity.LOW, _COSTS_SECONDS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that is wrong now.  Fields as in ``Finding``."""

    code: str
    key: str
    words: str
    ends_at: datetime | None = None


@transaction.atomic
def note_findings(tenant: Tenant, codes: Collection[str], found: Sequence[Trouble]) -> None:
    """``found``: all that stands now of ``codes``.  Needs the client's scope with its provider.

    1. what stood and is not found any more is settled;
    2. what is new is kept, with the open incident of its code or a new one;
    3. an incident of which nothing stands any more is resolved.
    An incident that a person resolved stays so; only something new of its kind opens another.
    """
    take_turn(tenant.id)
    now = timezone.now()
    standing = {
        (each.code, each.key): each
        for each in Finding.objects.filter(tenant=tenant, code__in=codes, settled_at=None)
    }
    wanted = {(each.code, each.key): each for each in found if each.code in codes}
    gone = [row for name, row in standing.items() if name not in wanted]
    Finding.objects.filter(id__in=[row.id for row in gone]).update(settled_at=now)
    for name, trouble in wanted.items():
        row = standing.get(name)
        if row is None:
            _begin(tenant, trouble, now)
        elif (row.words, row.ends_at) != (trouble.words, trouble.ends_at):
            Finding.objects.filter(id=row.id).update(words=trouble.words, ends_at=trouble.ends_at)
            announce_incident(tenant.id, row.incident_id)
    for incident_id in {row.incident_id for row in gone}:
        _settle(tenant, incident_id, now)


def _begin(tenant: Tenant, trouble: Trouble, now: datetime) -> None:
    incident = open_incident_of(tenant, trouble.code) or _open(tenant, trouble.code, now)
    Finding.objects.create(
        tenant=tenant,
        incident=incident,
        code=trouble.code,
        key=trouble.key,
        words=trouble.words,
        ends_at=trouble.ends_at,
        since=now,
    )
    Incident.objects.filter(id=incident.id).update(last_seen_at=now)
    announce_incident(tenant.id, incident.id)


def open_incident_of(tenant: Tenant, code: str) -> Incident | None:
    found = Incident.objects.filter(tenant=tenant, finding=code, merged_into=None)
    return found.exclude(state=Incident.State.RESOLVED).order_by("-number").first()


def _open(tenant: Tenant, code: str, now: datetime) -> Incident:
    severity, part = _SEVERITY.get(code, (Incident.Severity.MEDIUM, _MAY_HURT))
    incident: Incident = Incident.objects.create(
        tenant=tenant,
        number=next_number(tenant.id),
        title=TITLES[code],
        kind=Incident.Kind.HEALTH,
        finding=code,
        severity=severity,
        severity_rank=RANK[severity],
        severity_parts=[{"code": "kind", "points": 25, "text": "Kind: Health"}, part],
        counts=dict.fromkeys(COUNTS, 0),
        first_seen_at=now,
        last_seen_at=now,
    )
    reckon(incident)
    incident.save()
    write_audit(
        OPENED,
        actor=BAILEY,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="incident",
        object_id=incident.id,
        reason=TITLES[code],
    )
    return incident


def _settle(tenant: Tenant, incident_id: UUID, now: datetime) -> None:
    """Resolve it if nothing of it stands any more and nobody has resolved it before."""
    if Finding.objects.filter(tenant=tenant, incident=incident_id, settled_at=None).exists():
        announce_incident(tenant.id, incident_id)
        return
    incident = Incident.objects.get(tenant=tenant, id=incident_id)
    hold(incident, None)
    if not incident.is_open:
        return
    said = "What was lost is there again."
    change(
        incident,
        state=Incident.State.RESOLVED,
        classification=Incident.Classification.TRUE_POSITIVE,
        cause_code="other",
        cause=said,
        resolved_at=now,
        quiet="",
        quiet_until=None,
    )
    done(incident, RESOLVED, BAILEY, said, revision=incident.revision)


def findings_of(incident: Incident) -> list[Finding]:
    """What stands first, then what is settled, the newest first."""
    rows = Finding.objects.filter(tenant=incident.tenant_id, incident=incident)
    return sorted(rows, key=lambda row: (row.settled_at is not None, -row.since.timestamp()))
