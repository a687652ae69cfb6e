"""What a row of the queue says about one incident, in two lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from console.lib.sla import sla_left
from console.presence import who_looks
from console.queries.against import others_against
from console.queries.blindness import Blind, Blindness
from console.queries.elsewhere import campaign_words, clients_of_campaigns
from console.queries.findings import next_step_of
from console.queries.user_reports import reporters_of, reporters_words
from incidents.assessment import within_reach
from incidents.client_words import unread_answers
from incidents.models import CallNote, Incident, Job, PullProposal
from incidents.proposals import waiting_for_a_yes
from incidents.words import GRAVE, differ
from tenants.models import Person

_ANY_ID = UUID(int=0)
# Of an incident, what a row is made of and its place in the queue; it has twice as many columns.
ROW_FIELDS = (
    *("tenant", "number", "revision", "title", "subject", "sender", "kind", "finding", "state"),
    *("severity", "queue_rank", "opened_at", "due_at", "waiting_since", "owner_name", "campaign"),
    *("gateway_verdict", "mailbox_verdict", "cross_layer", "counts"),
)


@dataclass(frozen=True, slots=True)
class Part:
    text: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One incident in two lines, as the tag ``queue_row`` draws it.

    ``differ``: the layers disagree; ``against``: who else disagrees with them, in words.
    ``is_about_mail``: there is something to be exposed and to be judged.
    """

    id: UUID
    revision: int
    href: str
    assign_href: str
    severity: str
    sla_text: str
    sla_tone: str
    title: str
    subject: str
    client: str
    sender: str
    number: str
    campaign: str
    reported: str
    exposure: list[Part]
    gateway: str
    mailbox: str
    differ: bool
    against: str
    did: str
    next_step: str
    owner: str
    looking: list[str]
    blind_since: datetime | None
    mailbox_blind_since: datetime | None
    is_about_mail: bool = True


def rows_for(incidents: Iterable[Incident], person: Person) -> list[Row]:
    """Rows of these incidents; eight queries and one look into the cache for all of them."""
    incidents = list(incidents)
    if not incidents:
        return []
    now = timezone.now()
    blindness = Blindness(incident.tenant_id for incident in incidents)
    jobs = latest_jobs(incidents)
    looking = who_looks(incidents, but=person)
    clients = clients_of_campaigns(incidents)
    answered = unread_answers([incident.id for incident in incidents])
    reporters = reporters_of(incidents)
    against = others_against(incidents)
    waiting = pulls_waiting(incidents)
    to_call = to_be_called_about(incidents)
    return [
        _row(
            incident,
            now,
            blindness,
            jobs.get(incident.id),
            looking.get(incident.id, []),
            campaign_words(clients.get(incident.id, 0)),
            reporters_words(reporters.get(incident.id, 0)),
            against.get(incident.id, ""),
            pull_waits=waiting.get(incident.id, 0),
            needs_call=incident.id in to_call,
            has_answer=incident.id in answered,
        )
        for incident in incidents
    ]


@cache
def _address(route: str) -> str:
    """With ``{}`` for the id: a hundred look-ups in the table of routes were a tenth of a page."""
    return reverse(route, args=[_ANY_ID]).replace(str(_ANY_ID), "{}")


def latest_jobs(incidents: Iterable[Incident]) -> dict[UUID, Job]:
    """The latest action of each incident; reports are no action."""
    jobs = Job.objects.filter(
        tenant_id__any_of={incident.tenant_id for incident in incidents},
        incident_id__any_of=[incident.id for incident in incidents],
    ).exclude(kind__in=(Job.Kind.REPORT, Job.Kind.ACQUIRE, Job.Kind.LOOK))
    latest = jobs.order_by("created_at")
    return {job.incident_id: job for job in latest if job.incident_id is not None}


def pulls_waiting(incidents: Iterable[Incident]) -> dict[UUID, int]:
    """Incident → copies of the pull that Bailey has prepared and that waits for a person's yes."""
    rows = PullProposal.objects.filter(
        waiting_for_a_yes(),
        tenant_id__any_of={incident.tenant_id for incident in incidents},
        incident_id__any_of=[incident.id for incident in incidents],
    )
    return dict(rows.values_list("incident_id", "waiting"))


def to_be_called_about(incidents: Iterable[Incident]) -> set[UUID]:
    """Those of which no copy is left to fetch, but somebody answered or passed it on, and nobody
    has phoned: a copy that is gone brings back no money and no password that was sent.
    """
    answered = {each.id: each.tenant_id for each in incidents if _was_answered(each)}
    if not answered:
        return set()
    calls = CallNote.objects.filter(
        Q(incident__in=answered) | Q(incident__merged_into__in=answered),
        tenant_id__any_of=set(answered.values()),
    )
    about = calls.values_list("incident_id", "incident__merged_into_id")
    return set(answered) - {each for both in about for each in both}


def _was_answered(incident: Incident) -> bool:
    counts = incident.counts
    is_answered = counts.get("replied") or counts.get("forwarded")
    is_open = incident.is_open and not within_reach(counts)
    return bool(is_answered) and is_open and incident.kind in GRAVE


def _row(
    incident: Incident,
    now: datetime,
    blindness: Blindness,
    job: Job | None,
    looking: list[str],
    campaign: str,
    reported: str,
    against: str,
    *,
    pull_waits: int,
    needs_call: bool,
    has_answer: bool,
) -> Row:
    blind = blindness.of(incident.tenant_id)
    sla = sla_left(incident, now)
    gateway = layer_word(incident.gateway_verdict, incident, "gateway", blind.gateway_since)
    mailbox = layer_word(incident.mailbox_verdict, incident, "mailbox", blind.mailbox_since)
    did, next_step = did_and_next(incident, job, blind, pull_waits, needs_call=needs_call)
    next_step = "Read the client's answer" if has_answer else next_step
    return Row(
        id=incident.id,
        revision=incident.revision,
        href=_address("incident").format(incident.id),
        assign_href=_address("incident_take").format(incident.id),
        severity=incident.severity,
        sla_text=sla.text,
        sla_tone=sla.tone,
        title=incident.title,
        subject=incident.subject,
        client=incident.tenant.name,
        sender=incident.sender,
        number=f"#{incident.number}",
        campaign=campaign,
        reported=reported,
        exposure=exposure_parts(incident.counts),
        gateway=gateway,
        mailbox=mailbox,
        differ=differ(incident.gateway_verdict, incident.mailbox_verdict),
        against=against,
        did=did,
        next_step=next_step,
        owner=incident.owner_name,
        looking=looking,
        blind_since=blind.since,
        is_about_mail=not incident.is_without_mail,
        mailbox_blind_since=blind.mailbox_since,
    )


def layer_word(verdict: str, incident: Incident, layer: str, blind_since: datetime | None) -> str:
    """What this layer said; "blind" where it could not look, "not_seen" where it had no chance."""
    if verdict:
        return verdict
    if blind_since:
        return "blind"
    counts = incident.counts
    if layer == "gateway":
        kept = any(counts.get(key) for key in ("held", "rejected", "deferred"))
        had_no_chance = not kept and "delivered_unscanned" not in incident.cross_layer
    else:
        arrived = ("in_inbox", "in_junk", "removed", "gone", "was_exposed")
        had_no_chance = not any(counts.get(key) for key in arrived)
    return "not_seen" if had_no_chance else ""


def exposure_parts(counts: dict[str, Any]) -> list[Part]:
    """``2 in inbox``, ``1 read``, ``1 replied``: what can still do harm comes first."""
    said = (
        ("in_inbox", "in inbox", "crit"),
        ("in_junk", "in junk", "warn"),
        ("unseen", "not yet found", "high"),
        ("read", "read", "high"),
        ("clicked", "link opened", "crit"),
        ("replied", "replied", "crit"),
        ("forwarded", "passed on", "high"),
    )
    return [Part(f"{counts[key]} {words}", tone) for key, words, tone in said if counts.get(key)]


def can_pull(incident: Incident, sight: Blind) -> bool:
    """A mailbox layer sees the client, or has seen where the copies are, and may move mail."""
    seen = within_reach(incident.counts) - int(incident.counts.get("unseen", 0))
    is_able = sight.mailbox_since is None and not sight.acts_not
    return is_able and (sight.has_mailbox or seen > 0)


def can_block(incident: Incident, sight: Blind) -> bool:
    """A gateway is there, or has looked at it, and the sender's mail comes through it."""
    is_inside = "internal_only" in incident.cross_layer or incident.kind == Incident.Kind.ACCOUNT
    has_gateway = sight.has_gateway or bool(incident.gateway_verdict)
    return bool(incident.sender) and has_gateway and not is_inside


def did_and_next(
    incident: Incident,
    job: Job | None,
    sight: Blind,
    pull_waits: int = 0,
    *,
    needs_call: bool = False,
) -> tuple[str, str]:
    """What Bailey did last, and what is to be done with the layers that the client has.

    ``pull_waits``: copies of a pull that is prepared and waits for a yes; ``needs_call``: of
    ``to_be_called_about``.
    """
    reach = within_reach(incident.counts)
    did = job_words(job, is_earlier=reach > 0) if job else "Nothing done yet"
    if job and not job.is_over:
        return did, ""
    if incident.finding:
        return "Noticed by Bailey", next_step_of(incident.finding) if incident.is_open else ""
    if incident.kind == Incident.Kind.ACCOUNT and incident.is_open:
        noticed = "Noticed by Bailey" if incident.is_without_mail else "Gateway stopped it"
        is_new = incident.state == Incident.State.NEW and incident.acted_at is None
        if incident.acted_at is not None:
            noticed = "Steps at the account"
        return did if job else noticed, "Call the contact" if is_new else "Go on with the response"
    if pull_waits and can_pull(incident, sight):
        return did, "Pull waits for approval"
    held = incident.counts.get("held", 0)
    if reach:
        if can_pull(incident, sight):
            return did, f"Pull {copies_words(reach)}"
        is_blocked = job is not None and job.kind == Job.Kind.BLOCK
        blocks_next = can_block(incident, sight) and not is_blocked
        return did, "Block the sender" if blocks_next else "Tell the recipients"
    if needs_call:
        return did, "Call the contact"
    if held and not job:
        return f"Gateway holds {copies_words(held)}", "Release or keep"
    return did, "Confirm and resolve" if incident.is_open else ""


def copies_words(n: int) -> str:
    return "1 copy" if n == 1 else f"{n} copies"


_DOING = {
    Job.Kind.PULL: ("Pull", "Pulled"),
    Job.Kind.RESTORE: ("Restore", "Restored"),
    Job.Kind.RELEASE: ("Release", "Released"),
    Job.Kind.BLOCK: ("Block", "Sender blocked"),
}


_OF_COPIES = (Job.Kind.PULL, Job.Kind.RESTORE, Job.Kind.RELEASE)


def job_words(job: Job, *, is_earlier: bool = False) -> str:
    """``Pull runs: 3 of 7``, ``Pulled 2, read back``: short, for it stands in a row.

    ``is_earlier``: copies are within reach again, a pull was not the end: ``Pulled 2 before``.
    """
    doing, done = _DOING.get(Job.Kind(job.kind), (job.get_kind_display(), job.get_kind_display()))
    total = job.counts.get("copies", 0)
    made, gone = (_over(job, *states) for states in (("verified", "already"), ("gone",)))
    over = made + gone
    if who := job.detail.get("stopped_by"):
        return f"{doing} stopped by {who}: {over} of {total} done"
    if not job.is_over:
        return f"{doing} runs: {over} of {total}" if total else f"{doing} waits"
    if job.state == Job.State.FAILED:
        return f"{doing} failed"
    if not total and job.kind in _OF_COPIES:
        left = job.detail.get("left_to_other_jobs")
        return f"{doing} left to the job before" if left else f"{doing}: no copy to act on"
    if not total:
        return done
    if is_earlier and job.kind == Job.Kind.PULL and made and job.state == Job.State.DONE:
        return f"{done} {made} before"
    return _made_words(job, doing, done, made, gone)


def _made_words(job: Job, doing: str, done: str, made: int, gone: int) -> str:
    failed = _over(job, "failed")
    if not made and not failed:
        return f"{doing}: {gone} gone already"
    rest = [f"{n} {how}" for n, how in ((failed, "failed"), (gone, "gone")) if n]
    if not rest and job.kind != Job.Kind.RELEASE:  # where that arrived is looked at later
        rest = ["read back"]
    return ", ".join([f"{done} {made}", *rest])


def _over(job: Job, *states: str) -> int:
    return sum(job.counts.get(state, 0) for state in states)
