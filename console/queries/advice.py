"""What is recommended at an incident, with its effect, and what else can be done."""

from __future__ import annotations

from collections.abc import Sequence

from django.urls import reverse

from console.queries.account_advice import account_advice
from console.queries.advising import Advice, question_of
from console.queries.blindness import Blind
from console.queries.disagreements import Row as Contradiction
from console.queries.rows import can_block, can_pull, copies_words, job_words
from incidents.assessment import within_reach
from incidents.campaigns.moving import lineage
from incidents.models import CallNote, Disagreement, Incident, Job, PullProposal
from incidents.proposals import waiting_for_a_yes
from incidents.words import GRAVE

_PULLED = "They go to a hidden folder, and each is read back. Reversible."
_PULLED_ONE = "It goes to a hidden folder, and is read back. Reversible."
_UNDER_WAY = (Job.State.QUEUED, Job.State.RUNNING)


def advised(
    incident: Incident, blind: Blind, contradictions: list[Contradiction]
) -> tuple[Advice, PullProposal | None]:
    """The next step, and the pull that waits for a yes where that is it."""
    jobs = Job.objects.filter(tenant=incident.tenant_id, incident=incident)
    if running := jobs.filter(kind=Job.Kind.PULL, state__in=_UNDER_WAY).first():
        effect = "Each copy is read back. The job says how it goes."
        return Advice(job_words(running), effect, "", "undo-2"), None
    is_blocked = jobs.filter(kind=Job.Kind.BLOCK, state=Job.State.DONE).exists()
    proposal = proposal_of(incident) if can_pull(incident, blind) else None
    if proposal is not None:
        return _approval(proposal), proposal
    if _asks_for_a_call(incident):
        return _call(incident), None
    return advice_for(incident, blind, contradictions, is_blocked=is_blocked), None


def _approval(proposal: PullProposal) -> Advice:
    """The pull that is prepared; its address takes the yes itself."""
    effect = f"{proposal.why} {proposal.left}".strip()
    return Advice(
        f"Approve: pull {copies_words(proposal.waiting)}",
        f"{effect} {_pulled(proposal.waiting)}",
        reverse("proposal_approve", args=[proposal.id]),
        "undo-2",
    )


def _pulled(n: int) -> str:
    return _PULLED_ONE if n == 1 else _PULLED


def _asks_for_a_call(incident: Incident) -> bool:
    """No copy is left to fetch, but somebody answered or passed it on, and nobody has phoned."""
    if incident.kind == Incident.Kind.ACCOUNT or within_reach(incident.counts):
        return False
    is_answered = incident.counts.get("replied") or incident.counts.get("forwarded")
    if not is_answered or incident.kind not in GRAVE:
        return False
    calls = CallNote.objects.filter(tenant=incident.tenant_id, incident__in=lineage(incident))
    return not calls.exists()


def _call(incident: Incident) -> Advice:
    """A copy that is gone does not bring back money or a password that was sent."""
    done = [
        f"{n} {words}"
        for n, words in (
            (int(incident.counts.get("replied", 0)), "replied"),
            (int(incident.counts.get("forwarded", 0)), "passed on"),
        )
        if n
    ]
    effect = f"{', '.join(done)}: ask what was sent or paid, and note what was said."
    return Advice("Call the contact", effect, question_of(incident, "call"), "phone")


def advice_for(
    incident: Incident,
    sight: Blind,
    contradictions: Sequence[Contradiction] = (),
    *,
    is_blocked: bool = False,
) -> Advice:
    """Never a purge; what can be undone comes first; nothing that the client's layers cannot do."""
    if incident.kind == Incident.Kind.ACCOUNT:
        return account_advice(incident)
    reach = within_reach(incident.counts)
    if reach and not can_pull(incident, sight):
        return _without_a_pull(incident, sight, reach, is_blocked=is_blocked)
    if reach:
        unseen = int(incident.counts.get("unseen", 0))
        return Advice(
            f"Pull {copies_words(reach)}",
            f"{_pulled(reach).rstrip('.')}, no approval needed."
            + (f" {copies_words(unseen).capitalize()} must be found first." if unseen else ""),
            reverse("incident_pull", args=[incident.id]),
            "undo-2",
        )
    repairs = (each.item for each in contradictions if each.is_proposal)
    repair = next((each for each in repairs if not (is_blocked and _blocks(each, incident))), None)
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


def _blocks(item: Disagreement, incident: Incident) -> bool:
    """Its repair is what *Block sender* does."""
    asked = ("block", "sender", incident.sender)
    return tuple(item.proposal.get(each) for each in ("kind", "match", "value")) == asked


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
        return Advice("Block sender", effect, question_of(incident, "block"), "ban")
    effect = f"{why} Call the contact, have them deleted, and note what was said."
    return Advice("Tell the recipients", effect, question_of(incident, "call"), "phone")


def proposal_of(incident: Incident) -> PullProposal | None:
    """What waits for a person's yes; None where nothing does."""
    rows = PullProposal.objects.filter(tenant=incident.tenant_id, incident=incident)
    return rows.filter(waiting_for_a_yes()).first()


def _instead(proposal: PullProposal | None) -> list[Advice]:
    """What else a person can do with a pull that waits for her yes."""
    if proposal is None:
        return []
    decline = reverse("proposal_decline", args=[proposal.id])
    own = question_of(proposal.incident, "pull")
    return [
        Advice("Pull with a reason of yours", "", own, "undo-2"),
        Advice("Leave them", "", decline, ""),
    ]


def other_actions(
    incident: Incident, sight: Blind, advice: Advice, proposal: PullProposal | None = None
) -> list[Advice]:
    """What else can be done, without what is recommended already."""
    wish = _instead(proposal)
    if within_reach(incident.counts) and sight.mailbox_since:
        text = "Pull when the layer sees again"
        wish.append(Advice(text, "", question_of(incident, "pull"), "undo-2"))
    if can_block(incident, sight):
        wish.append(Advice("Block sender", "", question_of(incident, "block"), "ban"))
    if incident.counts.get("removed"):
        wish.append(Advice("Restore", "", question_of(incident, "restore"), "corner-up-left"))
    # Of an account in other hands nobody waits for what it sent; the list of held mail has it.
    is_its_own = incident.kind != Incident.Kind.ACCOUNT or incident.is_called_harmless
    if (held := int(incident.counts.get("held", 0))) and is_its_own:
        text = f"Release {copies_words(held)}"
        wish.append(Advice(text, "", question_of(incident, "release"), "send"))
    if incident.is_open:
        wish.append(Advice("Resolve", "", question_of(incident, "resolve"), "check"))
    else:
        wish = [each for each in wish if each.text != "Block sender"]
        wish.append(Advice("Reopen", "", question_of(incident, "reopen"), "refresh-cw"))
    return [each for each in wish if each.href != advice.href or not incident.is_open]
