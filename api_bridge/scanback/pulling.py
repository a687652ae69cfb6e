"""One act over everything that a look back found: rehearsed first, then a job for each incident.

Nothing is pulled by itself because it was found by looking back: only the client's own setting for
late verdicts acts without a person (incidents/automation.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from django.db import transaction

from api_bridge.scanback.models import ScanBack, ScanBackFinding
from incidents.allowed import let_be
from incidents.layers import why_not_acting
from incidents.models import Delivery, Incident, IncidentMessage, Intent, Job
from incidents.remediation import pullable, start_job
from incidents.words import Place
from tenants.errors import Conflict, WrongInput
from tenants.ids import new_id
from tenants.models import Person

AT_ONCE = 1_000
GONE = (Place.GONE, Place.NOWHERE)


@dataclass(frozen=True, slots=True)
class Found:
    """A finding with the copy that it is of; ``copy`` None: it was not made sense of yet."""

    finding: ScanBackFinding
    copy: Delivery | None
    incident: Incident | None

    @property
    def state(self) -> str:
        """``removed``, ``gone``, ``reach`` (people can open it) or ``pending``."""
        if self.copy is None:
            return "pending"
        if self.copy.place == Place.QUARANTINE:
            return "removed"
        return "gone" if self.copy.place in GONE else "reach"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What the pull would do.  ``by_kind``: copies by what they were judged; the ``left_…`` are
    not touched.  ``digest`` stands for these very copies.
    """

    copies: int
    mailboxes: int
    incidents: int
    by_kind: dict[str, int]
    left_allowed: int
    left_gone: int
    left_busy: int
    left_alone: int
    refusal: str
    digest: str


def found_of(run: ScanBack, *, verdict: str = "", most: int | None = None) -> list[Found]:
    """The run's findings, the newest mail first.  Needs the client's scope."""
    rows = ScanBackFinding.objects.filter(tenant=run.tenant_id, run=run).select_related("mailbox")
    rows = rows.filter(verdict=verdict) if verdict else rows
    return _with_copies(list(rows.order_by("-received_at", "id")[:most]), run.tenant_id)


def _with_copies(findings: Sequence[ScanBackFinding], tenant_id: int) -> list[Found]:
    copies = _copies_of(findings, tenant_id)
    incidents = _incidents_of({copy.message_id for copy in copies.values()}, tenant_id)
    found = []
    for each in findings:
        copy = copies.get(each.id)
        incident = incidents.get(copy.message_id) if copy is not None else None
        found.append(Found(each, copy, incident))
    return found


def _copies_of(findings: Iterable[ScanBackFinding], tenant_id: int) -> dict[UUID, Delivery]:
    """One host may call the same mail by one name in two mailboxes: the mailbox counts as well."""
    findings = list(findings)
    rows = Delivery.objects.filter(
        tenant=tenant_id, mailbox_item_id__in={each.item_id for each in findings}
    ).select_related("message")
    by_name = {(copy.mailbox_item_id, copy.recipient): copy for copy in rows}
    copies = {}
    for each in findings:
        names = (each.mailbox.address, *each.mailbox.aliases)
        known = (by_name.get((each.item_id, name)) for name in names)
        if (copy := next((one for one in known if one is not None), None)) is not None:
            copies[each.id] = copy
    return copies


def _incidents_of(message_ids: Collection[UUID], tenant_id: int) -> dict[UUID, Incident]:
    members = IncidentMessage.objects.filter(
        tenant=tenant_id, message__in=message_ids
    ).select_related("incident")
    return {member.message_id: member.incident for member in members}


def rehearse_pull(run: ScanBack) -> Rehearsed:
    """Counts without effect, of all that the run found."""
    return _rehearsed(run)[0]


@dataclass(slots=True)
class _Chosen:
    """What of the findings would be pulled, as far as they were read."""

    of_incident: dict[UUID, list[UUID]] = field(default_factory=dict)
    mailboxes: set[str] = field(default_factory=set)
    by_kind: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)

    def take(self, tenant_id: int, found: Sequence[Found]) -> None:
        copies = {each.copy.id: each.copy for each in found if each.copy is not None}
        allowed = set(let_be(list(copies.values())))
        busy = set(
            Intent.objects.filter(tenant=tenant_id, delivery__in=copies, action="pull")
            .exclude(state__in=Intent.OVER)
            .values_list("delivery_id", flat=True)
        )
        in_place = {copy.id for copy in pullable(copies.values())}
        for each in found:
            copy, incident = each.copy, each.incident
            if copy is None:
                continue
            if copy.id not in in_place:
                self.left["gone"] += 1
            elif copy.id in allowed:
                self.left["allowed"] += 1
            elif copy.id in busy:
                self.left["busy"] += 1
            elif incident is None or incident.is_called_harmless or incident.is_merged:
                self.left["alone"] += 1
            else:
                self.by_kind[each.finding.verdict] += 1
                self.mailboxes.add(copy.recipient)
                self.of_incident.setdefault(incident.id, []).append(copy.id)


def _rehearsed(run: ScanBack) -> tuple[Rehearsed, dict[UUID, list[UUID]]]:
    """Also the ids of the copies by incident."""
    chosen = _Chosen()
    for found in _slices(run):
        chosen.take(run.tenant_id, found)
    ids = sorted(str(copy_id) for group in chosen.of_incident.values() for copy_id in group)
    rehearsed = Rehearsed(
        copies=len(ids),
        mailboxes=len(chosen.mailboxes),
        incidents=len(chosen.of_incident),
        by_kind=dict(chosen.by_kind),
        left_allowed=chosen.left["allowed"],
        left_gone=chosen.left["gone"],
        left_busy=chosen.left["busy"],
        left_alone=chosen.left["alone"],
        refusal=why_not_acting(run.tenant_id),
        digest=sha256(",".join(ids).encode()).hexdigest()[:32],
    )
    return rehearsed, chosen.of_incident


def _slices(run: ScanBack) -> Iterator[list[Found]]:
    """Everything that the run found, so many at a time: memory does not grow with the mailbox."""
    rows = ScanBackFinding.objects.filter(tenant=run.tenant_id, run=run).select_related("mailbox")
    after: UUID | None = None
    while True:
        left = rows.filter(id__gt=after) if after else rows
        findings = list(left.order_by("id")[:AT_ONCE])
        if not findings:
            return
        yield _with_copies(findings, run.tenant_id)
        after = findings[-1].id


@transaction.atomic
def pull_findings(*, run: ScanBack, actor: Person, digest: str, reason: str = "") -> UUID:
    """A job for each incident, all with the answered group id.  Reversible, each by itself.

    ``digest`` is that of the rehearsal.  Raises ``Conflict`` where it would not do now what was
    rehearsed, or the client does not let its mail be moved; ``WrongInput`` where nothing is left.
    """
    rehearsed, chosen = _rehearsed(run)
    if rehearsed.refusal:
        raise Conflict(rehearsed.refusal)
    if rehearsed.digest != digest:
        raise Conflict("The copies have changed since the rehearsal: look at it again.")
    if not chosen:
        raise WrongInput("Nothing that was found is left to pull.")
    group_id = new_id()
    incidents = Incident.objects.in_bulk(list(chosen))
    for incident_id in sorted(chosen):
        rows = Delivery.objects.filter(tenant=run.tenant_id, id__in=chosen[incident_id])
        start_job(
            Job.Kind.PULL,
            "pull",
            list(rows.order_by("id")),
            incidents[incident_id],
            actor=actor,
            reason=reason or "Found by looking back.",
            group_id=group_id,
            detail={"scan_back": str(run.id)},
        )
    return group_id
