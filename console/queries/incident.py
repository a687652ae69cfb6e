"""One incident: what its page says beside the story."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db.models import Case, Count, When
from django.urls import reverse
from django.utils import timezone

from console.lib.sla import Sla, sla_left
from console.queries.accounts import AccountCase, account_case
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
    can_block,
    can_pull,
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
    PullProposal,
    Report,
    StandingOrder,
)
from incidents.proposals import waiting_for_a_yes
from incidents.remediation import was_delivered
from incidents.sightings import history_of
from incidents.warnings import also_seen_at
from incidents.words import differ, is_threat
from seg_bridge.learning.told import Told, lessons_about
from tenants.models import Person

SHOWN_COPIES = 500
SHOWN_ELSEWHERE = 20


@dataclass(frozen=True, slots=True)
class Advice:
    """An action with its effect; ``href`` is the question that comes before it."""

    text: str
    effect: str
    href: str
    icon: str


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
    advice, proposal = _advised(incident, blind, contradictions)
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
        others=other_actions(incident, blind, advice),
        look_again=_question(incident, "look") if can_look(blind, copies) else "",
        everywhere=_everywhere(incident, elsewhere),
        answers=unread_answers([incident.id]).get(incident.id, []),
        sides=sides_of(incident, blind, copies, history),
        allowed=what_allowed_it(incident, copies, history),
        members=members,
        entities=entities_of(member.message for member in members),
        also_seen=also_seen_at(incident),
        copies=[copy_row(copy) for copy in copies],
        elsewhere=elsewhere,
        jobs=_latest_jobs(incident),
        lessons=lessons_about([each.message.id for each in members], is_last_only=True),
        reported=reported_in(incident),
        reports=_latest_reports(incident),
    )


def _advised(
    incident: Incident, blind: Blind, contradictions: list[Contradiction]
) -> tuple[Advice, PullProposal | None]:
    """The next step, and the pull that waits for a yes."""
    is_blocked = Job.objects.filter(
        tenant=incident.tenant_id, incident=incident, kind=Job.Kind.BLOCK, state=Job.State.DONE
    ).exists()
    proposal = None if blind.acts_not else proposal_of(incident)
    advice = advice_for(incident, blind, contradictions, is_blocked=is_blocked)
    if proposal is not None and within_reach(incident.counts) and can_pull(incident, blind):
        # The same pull stands above it, prepared.
        advice = replace(advice, text="Pull with a reason of yours", effect=_BESIDE)
    return advice, proposal


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


def copy_row(copy: Delivery) -> CopyRow:
    return CopyRow(
        id=copy.id,
        recipient=copy.recipient,
        place=copy.place,
        first_place=copy.first_place,
        outcome=copy.outcome,
        is_read=copy.is_read,
        clicked_at=copy.clicked_at,
        replied_at=copy.replied_at,
        forwarded_at=copy.forwarded_at,
        verified_at=copy.verified_at,
        is_threat=is_threat(copy.gateway_verdict) or is_threat(copy.mailbox_verdict),
        match=copy.match_reason or copy.get_match_display(),
        message_id=copy.message_id,
    )


def can_look(sight: Blind, copies: Sequence[Delivery]) -> bool:
    """There is a mailbox layer to ask, and a copy to ask it for."""
    has_layer = sight.has_mailbox or any(copy.mailbox_item_id for copy in copies)
    return has_layer and any(map(was_delivered, copies))


_BESIDE = "The reason stands in the log; copies that come later can be ordered with it."


def advice_for(
    incident: Incident,
    sight: Blind,
    contradictions: Sequence[Contradiction] = (),
    *,
    is_blocked: bool = False,
) -> Advice:
    """Never a purge; what can be undone comes first; nothing that the client's layers cannot do."""
    if incident.kind == Incident.Kind.ACCOUNT:
        effect = "Ask whether it was the person herself. If not, have the password of "
        effect += f"{incident.sender} renewed and its sessions ended."
        if not incident.is_without_mail:
            effect += " It cannot send until somebody lifts the stop."
        return Advice("Call the contact", effect, _question(incident, "call"), "phone")
    reach = within_reach(incident.counts)
    if reach and not can_pull(incident, sight):
        return _without_a_pull(incident, sight, reach, is_blocked=is_blocked)
    if reach:
        unseen = int(incident.counts.get("unseen", 0))
        return Advice(
            f"Pull {copies_words(reach)}",
            "They go to a hidden folder, and each is read back. Reversible, no approval needed."
            + (f" {copies_words(unseen).capitalize()} must be found first." if unseen else ""),
            reverse("incident_pull", args=[incident.id]),
            "undo-2",
        )
    repair = next((each.item for each in contradictions if each.is_proposal), None)
    if repair is not None:
        return Advice(
            "Accept the repair",
            repair.proposal["text"],
            reverse("disagreement_accept", args=[repair.id]),
            "check",
        )
    held = int(incident.counts.get("held", 0))
    return Advice(
        f"Keep {copies_words(held)} held and resolve" if held else "Resolve",
        "Nothing is within anybody's reach."
        + (" Held mail can be released later." if held else ""),
        reverse("incident_resolve", args=[incident.id]),
        "check",
    )


def _without_a_pull(incident: Incident, sight: Blind, reach: int, *, is_blocked: bool) -> Advice:
    """What helps where no layer can fetch a copy back: stop more, then tell the people."""
    n = copies_words(reach)
    if sight.acts_not and not sight.mailbox_since:
        why = f"{n.capitalize()} cannot be pulled. {sight.acts_not}"
    elif sight.has_mailbox:
        why = f"The mailbox layer is blind: {n} cannot be pulled now."
    else:
        why = f"{incident.tenant.name} has no mailbox layer: {n} cannot be pulled."
    if can_block(incident, sight) and not is_blocked:
        effect = f"{why} The gateway holds what this sender sends next; then tell the recipients."
        return Advice("Block sender", effect, _question(incident, "block"), "ban")
    effect = f"{why} Call the contact, have them deleted, and note what was said."
    return Advice("Tell the recipients", effect, _question(incident, "call"), "phone")


def proposal_of(incident: Incident) -> PullProposal | None:
    """What waits for a person's yes; None where nothing does."""
    rows = PullProposal.objects.filter(tenant=incident.tenant_id, incident=incident)
    return rows.filter(waiting_for_a_yes()).first()


def other_actions(incident: Incident, sight: Blind, advice: Advice) -> list[Advice]:
    """What else can be done, without what is recommended already."""
    wish = []
    if within_reach(incident.counts) and sight.mailbox_since:
        text = "Pull when the layer sees again"
        wish.append(Advice(text, "", _question(incident, "pull"), "undo-2"))
    if can_block(incident, sight):
        wish.append(Advice("Block sender", "", _question(incident, "block"), "ban"))
    if incident.counts.get("removed"):
        wish.append(Advice("Restore", "", _question(incident, "restore"), "corner-up-left"))
    if held := int(incident.counts.get("held", 0)):
        text = f"Release {copies_words(held)}"
        wish.append(Advice(text, "", _question(incident, "release"), "send"))
    if incident.is_open:
        wish.append(Advice("Resolve", "", _question(incident, "resolve"), "check"))
    else:
        wish = [each for each in wish if each.text != "Block sender"]
        wish.append(Advice("Reopen", "", _question(incident, "reopen"), "refresh-cw"))
    return [each for each in wish if each.href != advice.href or not incident.is_open]


def _question(incident: Incident, name: str) -> str:
    return reverse(f"incident_{name}", args=[incident.id])


def sentence_on_exposure(incident: Incident, blind: Blind) -> str:
    """One sentence: who can reach a copy now; never "none" while a layer cannot look."""
    counts = incident.counts
    if incident.is_without_mail:
        return "No mail belongs to it: it stands on what was seen of the account."
    unseen = int(counts.get("unseen", 0))
    found = within_reach(counts) - unseen
    if blind.mailbox_since:
        return "Where copies are now is not known: the mailbox layer is blind."
    if found:
        read, copies = counts.get("read", 0), counts.get("copies", 0)
        # Whatever was read may be among those that were pulled since.
        who = f"; {read} of all {copies} were read" if read else ", none of them read so far"
        if read and found == copies:
            who = f", {read} of them read"
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
