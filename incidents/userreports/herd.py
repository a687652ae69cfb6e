"""The herd rule: so many people of a client report one incident within a day, and it acts.

Once for each incident and mode, whoever notices it: the row that says so is unique, and is written
in the transaction that starts the pull.  It says when; whether a copy is then pulled, asked for or
only told of is the mode of its mailbox (incidents/modes.py).  The client's kill switch and its
limit of copies hold as for late verdicts (incidents/automation.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.announce import announce_incident
from incidents.campaigns.moving import lineage
from incidents.models import (
    Delivery,
    HerdAct,
    Incident,
    IncidentMessage,
    LateVerdicts,
    ReportTerms,
    StandingOrder,
    UserReport,
)
from incidents.modes import Mode, modes_of
from incidents.orders import orders_in_force
from incidents.proposals import propose_whole
from incidents.remediation import copies_of, pull_incident, pullable
from incidents.userreports.terms import terms_of
from tenants.audit import Actor, write_audit
from tenants.ids import new_id
from tenants.models import Tenant

WITHIN = timedelta(hours=24)
LOOKED_BACK = timedelta(days=30)
MOST_LOOKED_AT = 20_000
ACTOR = Actor("Bailey, by reports")
NOTED = "incidents.herd.noted"
LEFT = "incidents.herd.left"
_Herd = ReportTerms.Herd


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What the rule would have met in the last 30 days with so many reporters.

    ``copies``: delivered copies of these incidents, as they are on record now.
    """

    reporters: int
    incidents: int
    copies: int


def most_within(times: Iterable[tuple[datetime, str]]) -> int:
    """The most distinct reporters in any 24 hours; of each report its time and its reporter."""
    ordered = sorted(times)
    inside: Counter[str] = Counter()
    most = start = 0
    for at, who in ordered:
        inside[who] += 1
        while ordered[start][0] <= at - WITHIN:
            gone = ordered[start][1]
            inside[gone] -= 1
            if not inside[gone]:
                del inside[gone]
            start += 1
        most = max(most, len(inside))
    return most


def follow_herd(incident: Incident) -> HerdAct | None:
    """After a report was placed.  Answers the act that this made; None where there was none."""
    terms = terms_of(incident.tenant_id)
    if terms.herd_mode == _Herd.OFF or not incident.is_open:
        return None
    reporters = most_within(_reports_of(incident))
    if reporters < terms.herd_reporters or _is_stopped(incident):
        return None
    copies = pullable(copies_of(incident))
    with transaction.atomic():
        act = _claim(incident, terms.herd_mode, reporters, len(copies))
        if act is None:
            return None
        if terms.herd_mode == _Herd.PULL:
            _pull(incident, act, copies)
        else:
            _note(incident, act)
    return act


def _reports_of(incident: Incident) -> list[tuple[datetime, str]]:
    reports = UserReport.objects.filter(
        tenant=incident.tenant_id,
        trust=UserReport.Trust.OWN,
        delivery__message__memberships__incident=incident,
    ).exclude(said=UserReport.Said.NOT_JUNK)
    found = reports.values_list("reported_at", "mailbox_id")[:MOST_LOOKED_AT]
    return [(at, str(mailbox)) for at, mailbox in found]


def _is_stopped(incident: Incident) -> bool:
    """A person has said otherwise, or has stopped whatever acts by itself."""
    stop = LateVerdicts.objects.filter(tenant=incident.tenant_id, stopped_at__isnull=False)
    leave = StandingOrder.objects.filter(
        orders_in_force(), incident__in=lineage(incident), kind=StandingOrder.Kind.LEAVE
    )
    return stop.exists() or leave.exists()


def _claim(incident: Incident, mode: str, reporters: int, copies: int) -> HerdAct | None:
    """The row that only one can write; a second worker waits for the first, and then finds it."""
    if HerdAct.objects.filter(incident__in=lineage(incident), mode=mode).exists():
        return None
    act = HerdAct(
        id=new_id(),
        tenant_id=incident.tenant_id,
        incident=incident,
        mode=mode,
        reporters=reporters,
        copies=copies,
    )
    HerdAct.objects.bulk_create([act], ignore_conflicts=True)
    return act if HerdAct.objects.filter(id=act.id).exists() else None


def _pull(incident: Incident, act: HerdAct, copies: list[Delivery]) -> None:
    wish = LateVerdicts.objects.filter(tenant=incident.tenant_id).first() or LateVerdicts()
    modes = modes_of(incident.tenant_id)
    reason = f"Reported by {act.reporters} people within 24 hours."
    if asked := modes.of_copies(copies, Mode.ASK):
        propose_whole(incident, why=reason)
    copies = modes.of_copies(copies, Mode.AUTO)
    act.copies = len(copies)
    if not copies:
        # Where Bailey asks, the proposal waits for a person; where it only tells, it has told.
        act.save(update_fields=["copies"])
        _note(incident, act, left=len(asked))
        return
    if len(copies) > wish.most_copies:
        # Beyond what may be done without a person: it is said, and left to one.
        act.copies = 0
        act.save(update_fields=["copies"])
        _note(incident, act, left=len(copies) + len(asked))
        return
    act.job = pull_incident(
        incident=incident,
        actor=ACTOR,
        reason=reason,
        detail={"herd": str(act.id)},
    )
    act.save(update_fields=["job", "copies"])


def _note(incident: Incident, act: HerdAct, left: int = 0) -> None:
    write_audit(
        LEFT if act.mode == _Herd.PULL else NOTED,
        actor=ACTOR,
        provider_id=Tenant.objects.values_list("provider_id", flat=True).get(id=act.tenant_id),
        tenant_id=incident.tenant_id,
        object_kind="incident",
        object_id=incident.id,
        reason=f"Reported by {act.reporters} people within 24 hours.",
        mode=act.mode,
        would_have_pulled=act.copies,
        left_to_a_person=left,
    )
    announce_incident(incident.tenant_id, incident.id)


def rehearse_herd(tenant_id: int, numbers: Iterable[int]) -> list[Rehearsed]:
    """The dry run over what was reported in the last 30 days; one answer for each number."""
    since = timezone.now() - LOOKED_BACK
    rows = (
        UserReport.objects.filter(
            tenant=tenant_id,
            trust=UserReport.Trust.OWN,
            reported_at__gte=since,
            delivery__isnull=False,
        )
        .exclude(said=UserReport.Said.NOT_JUNK)
        .order_by("-reported_at")
        .values_list("reported_at", "mailbox_id", "delivery__message_id")[:MOST_LOOKED_AT]
    )
    reports = list(rows)
    members = IncidentMessage.objects.filter(
        tenant=tenant_id, message__in={message for _, _, message in reports}
    )
    incident_of = dict(members.values_list("message_id", "incident_id"))
    by_incident: dict[UUID, list[tuple[datetime, str]]] = {}
    for at, mailbox, message in reports:
        if message in incident_of:
            by_incident.setdefault(incident_of[message], []).append((at, str(mailbox)))
    most = {incident: most_within(times) for incident, times in by_incident.items()}
    counts = {
        incident.id: int(incident.counts.get("copies", 0))
        for incident in Incident.objects.filter(tenant=tenant_id, id__in=most)
    }
    answers = []
    for number in numbers:
        met = [incident for incident, reporters in most.items() if reporters >= number]
        copies = sum(counts.get(incident, 0) for incident in met)
        answers.append(Rehearsed(number, len(met), copies))
    return answers
