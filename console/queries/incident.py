"""One incident: what its page says beside the story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Case, Count, When
from django.urls import reverse
from django.utils import timezone

from console.lib.sla import Sla, sla_left
from console.queries.accounts import AccountCase, account_case
from console.queries.advice import advised, other_actions
from console.queries.advising import Advice
from console.queries.against import words_against
from console.queries.blindness import Blind, Blindness
from console.queries.disagreements import Row as Contradiction
from console.queries.disagreements import of_incident, orders_of
from console.queries.elsewhere import as_rows, incidents_everywhere
from console.queries.entities import Thing, entities_of
from console.queries.findings import Wrong, wrong_with
from console.queries.renewals import RenewalRow, renewals_of
from console.queries.rows import (
    Part,
    copies_words,
    exposure_parts,
    layer_word,
)
from console.queries.user_reports import Reported, reported_in
from console.queries.verdicts import Side, sides_of, what_allowed_it
from incidents.assessment import reach_filter, within_reach
from incidents.client_words import unread_answers
from incidents.codes import CROSS_LAYER
from incidents.models import (
    ClientWord,
    Delivery,
    Incident,
    IncidentMessage,
    Job,
    Message,
    Observation,
    PullProposal,
    Report,
    StandingOrder,
)
from incidents.remediation import was_delivered
from incidents.sightings import history_of
from incidents.story.reading import reported_at
from incidents.warnings import also_seen_at
from incidents.words import differ, is_threat
from seg_bridge.learning.told import Told, lessons_about
from tenants.models import Person

SHOWN_COPIES = 500
SHOWN_ELSEWHERE = 20


@dataclass(frozen=True, slots=True)
class Member:
    message: Message
    reason: str
    copies: int


@dataclass(frozen=True, slots=True)
class CopyRow:
    id: UUID
    recipient: str
    place: str
    first_place: str
    outcome: str
    is_read: bool | None
    reported_at: datetime | None
    clicked_at: datetime | None
    replied_at: datetime | None
    forwarded_at: datetime | None
    verified_at: datetime | None
    is_threat: bool
    match: str
    message_id: UUID


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """``n`` incidents of other clients in sight that are linked to this one's campaign.

    ``shown`` are the latest of them, by client.
    """

    clients: int
    n: int
    shown: list[Incident]

    @property
    def more(self) -> int:
        return self.n - len(self.shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPage:
    incident: Incident
    sla: Sla
    blind: Blind
    exposure: list[Part]
    gateway: str
    mailbox: str
    differ: bool
    against: str
    facts: list[str]
    contradictions: list[Contradiction]
    orders: list[StandingOrder]
    sentence: str
    wrong: Wrong | None
    renewals: list[RenewalRow]
    account: AccountCase | None
    has_mail: bool
    advice: Advice
    proposal: PullProposal | None
    others: list[Advice]
    look_again: str
    everywhere: str
    answers: list[ClientWord]
    sides: list[Side]
    allowed: list[str]
    members: list[Member]
    entities: list[Thing]
    also_seen: int
    copies: list[CopyRow]
    elsewhere: Elsewhere
    jobs: list[Job]
    lessons: list[Told]
    reported: Reported
    reports: list[Report]


def incident_page(incident: Incident, reader: Person) -> IncidentPage:
    blind = Blindness([incident.tenant_id]).of(incident.tenant_id)
    members = members_of(incident)
    copies = shown_copies(incident)
    history = history_of(copies)
    contradictions = of_incident(incident.id, incident.tenant_id)
    advice, proposal = advised(incident, blind, contradictions)
    elsewhere = same_elsewhere(incident)
    wrong = wrong_with(incident)
    account = account_case(incident, reader)
    return IncidentPage(
        incident=incident,
        sla=sla_left(incident, timezone.now()),
        blind=blind,
        exposure=exposure_parts(incident.counts),
        gateway=layer_word(incident.gateway_verdict, incident, "gateway", blind.gateway_since),
        mailbox=layer_word(incident.mailbox_verdict, incident, "mailbox", blind.mailbox_since),
        differ=differ(incident.gateway_verdict, incident.mailbox_verdict),
        against=words_against([each.item for each in contradictions]),
        contradictions=contradictions,
        orders=orders_of(incident),
        facts=[CROSS_LAYER[code] for code in incident.cross_layer if code in CROSS_LAYER],
        sentence=wrong.sentence if wrong else sentence_on_exposure(incident, blind),
        wrong=wrong,
        renewals=renewals_of(incident),
        account=account,
        has_mail=not incident.is_without_mail,
        advice=advice,
        proposal=proposal,
        others=other_actions(incident, blind, advice, proposal),
        look_again=reverse("incident_look", args=[incident.id]) if can_look(blind, copies) else "",
        everywhere=_everywhere(incident, elsewhere),
        answers=unread_answers([incident.id]).get(incident.id, []),
        sides=sides_of(incident, blind, copies, history),
        allowed=what_allowed_it(incident, copies, history),
        members=members,
        entities=entities_of(member.message for member in members),
        also_seen=also_seen_at(incident),
        copies=copy_rows(copies, history),
        elsewhere=elsewhere,
        jobs=_latest_jobs(incident),
        lessons=lessons_about([each.message.id for each in members], is_last_only=True),
        reported=reported_in(incident),
        reports=_latest_reports(incident),
    )


def _everywhere(incident: Incident, elsewhere: Elsewhere) -> str:
    """ "" where it is about no other."""
    is_linked = elsewhere.n or incident.campaign_id
    return reverse("campaign", args=[incident.id]) if is_linked else ""


def _latest_jobs(incident: Incident) -> list[Job]:
    rows = Job.objects.filter(tenant=incident.tenant_id, incident=incident)
    return list(rows.order_by("-created_at")[:20])


def _latest_reports(incident: Incident) -> list[Report]:
    rows = Report.objects.filter(tenant=incident.tenant_id, incident=incident)
    return list(rows.defer("document").order_by("-created_at")[:10])


def members_of(incident: Incident) -> list[Member]:
    """The mails of the incident, newest first, each with why it belongs here."""
    rows = (
        IncidentMessage.objects.filter(tenant=incident.tenant_id, incident=incident)
        .select_related("message")
        .order_by("-message__last_seen_at")[:100]
    )
    counts: dict[UUID, int] = {}
    for message_id in Delivery.objects.filter(
        tenant=incident.tenant_id, message__in=[row.message_id for row in rows]
    ).values_list("message_id", flat=True):
        counts[message_id] = counts.get(message_id, 0) + 1
    return [Member(row.message, row.reason, counts.get(row.message_id, 0)) for row in rows]


def shown_copies(incident: Incident) -> list[Delivery]:
    """At most ``SHOWN_COPIES``; what people can reach first."""
    out_of_reach = Case(When(reach_filter(), then=0), default=1)
    copies = Delivery.objects.filter(
        tenant=incident.tenant_id, message__memberships__incident=incident
    )
    return list(copies.order_by(out_of_reach, "recipient", "-received_at")[:SHOWN_COPIES])


def copy_rows(
    copies: Sequence[Delivery], history: Mapping[UUID, Sequence[Observation]] | None = None
) -> list[CopyRow]:
    """``history``: their observations, where it is asked whether readers reported them.

    What a person says of one copy she says of the mail.
    """
    seen = history or {}
    condemned = {copy.message_id for copy in copies if is_threat(copy.person_verdict)}
    return [
        _copy_row(copy, seen.get(copy.id, ()), is_condemned=copy.message_id in condemned)
        for copy in copies
    ]


def _copy_row(copy: Delivery, seen: Sequence[Observation], *, is_condemned: bool) -> CopyRow:
    return CopyRow(
        id=copy.id,
        recipient=copy.recipient,
        place=copy.place,
        first_place=copy.first_place,
        outcome=copy.outcome,
        is_read=copy.is_read,
        reported_at=reported_at(seen),
        clicked_at=copy.clicked_at,
        replied_at=copy.replied_at,
        forwarded_at=copy.forwarded_at,
        verified_at=copy.verified_at,
        is_threat=is_condemned
        or is_threat(copy.gateway_verdict)
        or is_threat(copy.mailbox_verdict),
        match=copy.match_reason or copy.get_match_display(),
        message_id=copy.message_id,
    )


def can_look(sight: Blind, copies: Sequence[Delivery]) -> bool:
    """There is a mailbox layer to ask, and a copy to ask it for."""
    has_layer = sight.has_mailbox or any(copy.mailbox_item_id for copy in copies)
    return has_layer and any(map(was_delivered, copies))


_UNREAD = (", not read so far", ", none of them read so far")


def _some(n: int, of: int) -> str:
    """``1 of them``; ``both`` and ``all 3`` where it is all of them."""
    if n < of:
        return f"{n} of them"
    return "both" if of == 2 else f"all {of}"


def sentence_on_exposure(incident: Incident, blind: Blind) -> str:
    """One sentence: who can reach a copy now; never "none" while a layer cannot look."""
    counts = incident.counts
    if incident.is_without_mail:
        return "No mail belongs to it: it stands on what was seen of the account."
    unseen = int(counts.get("unseen", 0))
    found = within_reach(counts) - unseen
    if found and incident.is_called_harmless and not blind.mailbox_since:
        where = "is in a mailbox" if found == 1 else "are in mailboxes"
        return f"{copies_words(found).capitalize()} {where}. It was found to be harmless."
    if blind.mailbox_since:
        return "Where copies are now is not known: the mailbox layer is blind."
    if found:
        read, copies = counts.get("read", 0), counts.get("copies", 0)
        # Whatever was read may be among those that were pulled since.
        who = f"; {read} of all {copies} were read" if read else _UNREAD[found > 1]
        if read and found == copies:
            who = ", and was read" if copies == 1 else f", {_some(read, copies)} read"
        more = f"; {unseen} more not yet found" if unseen else ""
        return f"{copies_words(found).capitalize()} can be reached by people now{who}{more}."
    if unseen:
        return f"{copies_words(unseen).capitalize()} sent to mailboxes, not yet seen there."
    if removed := counts.get("removed", 0):
        return f"Nothing is within reach now: {copies_words(removed)} removed and read back."
    if counts.get("held"):
        return f"No copy reached a mailbox: {copies_words(counts['held'])} held at the gateway."
    return "No copy is within anybody's reach now."


def same_elsewhere(incident: Incident) -> Elsewhere:
    found = Incident.objects.filter(
        id__in=as_rows(incidents_everywhere(incident)), merged_into=None
    ).exclude(tenant=incident.tenant_id)
    counted = found.aggregate(n=Count("id"), clients=Count("tenant", distinct=True))
    latest = found.select_related("tenant").order_by("-last_seen_at", "-id")[:SHOWN_ELSEWHERE]
    shown = sorted(latest, key=lambda other: (other.tenant.name, other.number))
    return Elsewhere(clients=counted["clients"], n=counted["n"], shown=shown)
