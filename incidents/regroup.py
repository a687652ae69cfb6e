"""What people do with the boundaries of incidents: merge, split, move, and undo each.

Each writes the person's word into the ledger, where it holds against all evidence that comes later,
and withdraws older rows that say the opposite.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from incidents.campaigns import moving
from incidents.campaigns.canonical import Words
from incidents.campaigns.joining import mails_hanging_on
from incidents.campaigns.ledger import (
    Who,
    crossing,
    kept_apart_still,
    note_new_ids,
    repeat,
    standing,
    touching,
    withdraw,
    write_words,
)
from incidents.campaigns.moving import MERGED, Said
from incidents.disagreements import CLOSED, dismiss_with
from incidents.holding import hold_incidents, take_turn
from incidents.models import Disagreement, Edge, Incident, Regrouping
from incidents.opening import refresh_incident
from incidents.regroup_campaigns import put_campaigns_back
from incidents.regrouping_rules import (
    audit_regrouping,
    check_closes_nothing,
    check_has_mail,
    check_may_be_one,
    check_reason,
    check_seen,
    locked,
)
from incidents.sla.reckoning import end_kept_pauses
from tenants.errors import Conflict, WrongInput
from tenants.models import Person

SPLIT = "incidents.incident.split"
MOVED = "incidents.incident.mail_moved"
UNDONE = "incidents.incident.regrouping_undone"


@transaction.atomic
def merge_incidents(
    *, kept: Incident, gone: Incident, actor: Person, reason: str, revision: int | None = None
) -> Regrouping:
    """The older number stays; the other one leads to it from now on.

    ``revision``: of ``kept``, as the actor had seen it.  Raises ``WrongInput`` for what can never
    be one incident, ``Conflict`` where somebody changed or merged one of them a moment ago, or what
    is open would be closed.
    """
    check_reason(reason)
    take_turn(kept.tenant_id)
    seen = kept
    kept, gone = locked(kept, gone)
    check_seen((kept, gone), seen, revision)
    check_may_be_one(kept, gone)
    check_closes_nothing(gone, kept)
    check_has_mail(kept, gone)
    mine, theirs = moving.message_ids_of(kept), moving.message_ids_of(gone)
    against = [
        *_words_apart(Edge.Level.GROUP, mine, theirs),
        *_words_apart(Edge.Level.CAMPAIGN, mails_hanging_on(kept), mails_hanging_on(gone)),
    ]
    of_group = Words(((mine[0], theirs[0]),))
    words = _say(kept, against, of_group, Words(), who=actor, reason=reason)
    done = moving.merge(kept, gone, who=actor, reason=reason, words=words)
    return _finish(done, MERGED, actor)


@transaction.atomic
def split_incident(
    *,
    incident: Incident,
    messages: Collection[UUID],
    actor: Person,
    reason: str,
    revision: int | None = None,
) -> Regrouping:
    """These mails become an incident of their own; the others stay, with the number.

    The new incident keeps owner, state and clock.  Raises ``WrongInput`` unless some go and some
    stay, ``Conflict`` where somebody changed it since the ``revision`` that was seen.
    """
    check_reason(reason)
    take_turn(incident.tenant_id)
    (incident,) = locked(incident)
    check_seen([incident], incident, revision)
    leaving, staying = _parts(incident, messages)
    made = moving.incident_like(incident)
    return _take_out(Regrouping.Kind.SPLIT, incident, made, (leaving, staying), actor, reason)


@transaction.atomic
def move_messages(
    *,
    incident: Incident,
    target: Incident,
    messages: Collection[UUID],
    actor: Person,
    reason: str,
    revision: int | None = None,
) -> Regrouping:
    """These mails go to another incident of the same client; at least one stays.

    ``revision``: of ``incident``, as the actor had seen it.
    """
    check_reason(reason)
    take_turn(incident.tenant_id)
    incident, target = locked(incident, target, ordered=False)
    check_seen([incident], incident, revision)
    check_may_be_one(incident, target)
    check_closes_nothing(incident, target)
    parts = _parts(incident, messages)
    return _take_out(Regrouping.Kind.MOVE, incident, target, parts, actor, reason)


def _take_out(
    kind: Regrouping.Kind,
    source: Incident,
    target: Incident,
    parts: tuple[list[UUID], list[UUID]],
    actor: Person,
    reason: str,
) -> Regrouping:
    before = {"incident": moving.snapshot(source), "other": moving.snapshot(target)}
    leaving, staying = parts
    there = moving.message_ids_of(target)
    level = Edge.Level.GROUP
    left_behind, of_campaigns = _of_campaigns(source, target, parts) if there else ([], Words())
    against = [
        *crossing(level, leaving, staying).exclude(act=Edge.Act.CANNOT),
        *_words_apart(level, leaving, there),
        *_words_apart(Edge.Level.CAMPAIGN, leaving, mails_hanging_on(target) if there else []),
        *left_behind,
    ]
    # Each part hangs together by the person's word: evidence through a mail of the other part, as
    # of a chain of equal mails, is gone with the split.
    together = [*_star(leaving), *_star(staying), *_star([there[0], leaving[0]] if there else [])]
    apart = [(leaving[0], staying[0]), *_apart_still(level, parts, there)]
    of_group = Words(tuple(together), tuple(apart))
    words = _say(source, against, of_group, of_campaigns, who=actor, reason=reason)
    done = moving.take_out(
        kind, source, target, leaving, who=actor, reason=reason.strip(), words=words, before=before
    )
    return _finish(done, SPLIT if kind == Regrouping.Kind.SPLIT else MOVED, actor)


def _apart_still(
    level: str, parts: tuple[list[UUID], list[UUID]], there: Collection[UUID]
) -> list[tuple[UUID, UUID]]:
    """What was kept apart from one part stays apart from the other, but for where it goes."""
    leaving, staying = parts
    pairs = kept_apart_still(level, leaving, staying)
    return [(a, b) for a, b in pairs if a not in leaving or b not in there]


def _of_campaigns(
    source: Incident, target: Incident, parts: tuple[list[UUID], list[UUID]]
) -> tuple[list[Edge], Words]:
    """Where mails go to an incident of another campaign: the words that held them to their former
    one, and what those that stay say in their place.
    """
    if source.campaign_id is not None and source.campaign_id == target.campaign_id:
        return [], Words()
    leaving, staying = parts
    level, hers = Edge.Level.CAMPAIGN, {*leaving, *mails_hanging_on(target)}
    said = touching(standing(level), leaving).filter(act=Edge.Act.MUST)
    left = [edge for edge in said if not {edge.a_id, edge.b_id} <= hers]
    ends = {end for edge in left for end in (edge.a_id, edge.b_id)} - {*leaving, *staying}
    still = kept_apart_still(level, leaving, staying, together=_star([*leaving, *staying]))
    return left, Words(
        tuple((staying[0], end) for end in sorted(ends)),
        tuple((a, b) for a, b in still if a not in hers or b not in hers),
    )


def _words_apart(level: str, left: Collection[UUID], right: Collection[UUID]) -> list[Edge]:
    return list(crossing(level, left, right).filter(act=Edge.Act.CANNOT))


@transaction.atomic
def undo_regrouping(*, done: Regrouping, actor: Person) -> None:
    """Both incidents stand as before, but for what people did since then.

    Raises ``Conflict`` if it was undone already or something later builds on it.
    """
    take_turn(done.tenant_id)
    held = Regrouping.objects.select_for_update().filter(id=done.id, undone_at=None).first()
    if held is None:
        raise Conflict("This was undone already.")
    done = held
    _check_is_latest(done)
    incident, other = done.incident, done.other
    assert other is not None
    hold_incidents([incident.id, other.id])
    written = standing().filter(id__in=done.record.get("edges", ()))
    withdraw(list(written), who=actor, reason="Undone.")
    _say_again(done)
    if "campaigns_before" in done.record:
        put_campaigns_back(done)
    elif done.kind == Regrouping.Kind.MERGE:
        moving.move_back(done.record["mail"], source=other, target=incident)
        moving.move_back(done.record["history"], source=other, target=incident)
        moving.unjoin_campaigns(done)
    else:
        moving.move_back(done.record["mail"], source=incident, target=other)
    if "before" in done.record:
        _restore(done, incident, other)
        _answer_as_before(done, actor)
    done.undone_at, done.undone_by = timezone.now(), actor.name
    done.save(update_fields=["undone_at", "undone_by"])
    _count_up(done)
    audit_regrouping(done, UNDONE, actor, "Undone.")


def _say_again(done: Regrouping) -> None:
    """What this withdrew stands again, under new ids: whoever wrote it can still take it back."""
    rows = list(Edge.objects.filter(id__in=done.record.get("withdrawn", ())))
    if not rows:
        return
    new_ids = {str(row.id): str(again.id) for row, again in zip(rows, repeat(rows), strict=True)}
    note_new_ids(done.tenant_id, new_ids, but=done.id)


def _restore(done: Regrouping, incident: Incident, other: Incident) -> None:
    before, after = done.record["before"], done.record["after"]
    moving.restore(incident, before["incident"], after["incident"])
    if done.kind == Regrouping.Kind.SPLIT:
        # Its number was given out and stays a way to the incident that has the mail.
        late = moving.message_ids_of(other)
        moving.move_mail(other, incident, late)
        end_kept_pauses(other, done.created_at, done.who)
        moving.move_history(other, incident)
        moving.close_as_merged(other, incident)
    else:
        moving.restore(other, before["other"], after["other"])
    for each in (incident, other):
        refresh_incident(Incident.objects.get(id=each.id))


def undoable(incident: Incident) -> list[Regrouping]:
    """What was done to this incident's boundary and can be undone, newest first."""
    rows = Regrouping.objects.filter(Q(incident=incident) | Q(other=incident), undone_at=None)
    return [done for done in rows.order_by("-id")[:20] if not _later(done).exists()]


def _later(done: Regrouping) -> Any:
    both = [done.incident_id, done.other_id]
    builds_on = Q(incident__in=both) | Q(other__in=both)
    # Who said which incidents are a campaign said it of all that were in it.
    if campaigns := list(done.record.get("campaigns_before", ())):
        builds_on |= Q(record__campaigns_before__has_any_keys=campaigns)
    rows = Regrouping.objects.filter(builds_on, tenant=done.tenant_id, undone_at=None)
    return rows.filter(id__gt=done.id)


def _check_is_latest(done: Regrouping) -> None:
    later = _later(done).order_by("-id").first()
    if later is not None:
        raise Conflict(
            f"Something later builds on it: first undo what {later.who} did"
            f" ({later.get_kind_display().lower()})."
        )


def _parts(incident: Incident, messages: Collection[UUID]) -> tuple[list[UUID], list[UUID]]:
    """Those that leave and those that stay, oldest first."""
    chosen = set(messages)
    members = moving.message_ids_of(incident)
    leaving = [member for member in members if member in chosen]
    staying = [member for member in members if member not in chosen]
    if len(leaving) != len(chosen):
        raise WrongInput("Not all of these mails belong to this incident.")
    if not leaving or not staying:
        raise WrongInput("Choose some of the mails: at least one goes and one stays.")
    return leaving, staying


def _star(messages: list[UUID]) -> list[tuple[UUID, UUID]]:
    return [(messages[0], other) for other in messages[1:]]


def _say(
    incident: Incident,
    against: Iterable[Edge],
    of_group: Words,
    of_campaigns: Words,
    *,
    who: Who,
    reason: str,
) -> Said:
    rows = list(against)
    withdraw(rows, who=who, reason=reason.strip())
    written = [
        edge
        for level, words in ((Edge.Level.GROUP, of_group), (Edge.Level.CAMPAIGN, of_campaigns))
        for edge in write_words(
            incident.tenant_id,
            level,
            together=words.together,
            apart=words.apart,
            who=who,
            reason=reason.strip(),
        )
    ]
    return {
        "edges": [str(edge.id) for edge in written],
        "withdrawn": [str(edge.id) for edge in rows],
    }


def _finish(done: Regrouping, action: str, actor: Person) -> Regrouping:
    """Refresh both, count their revisions up, note how they stand, audit, announce."""
    assert done.other is not None
    done.record["answered"] = _answered_by_closing(done)
    for each in (done.incident, done.other):
        fresh = Incident.objects.get(id=each.id)
        if not fresh.is_merged:
            refresh_incident(fresh)
    _answer_as_before(done, actor)
    _count_up(done)
    moving.note_after(done)
    audit_regrouping(done, action, actor)
    return done


def _answered_by_closing(done: Regrouping) -> list[str]:
    """The kinds of contradiction that fell in one of both, and that the other does not ask."""
    state = Disagreement.State
    items = Disagreement.objects.filter(incident__in=[done.incident_id, done.other_id])
    fell = items.filter(state=state.DISMISSED, result__has_key=CLOSED)
    asked = items.filter(state=state.OPEN).values("kind")
    return sorted(set(fell.exclude(kind__in=asked).values_list("kind", flat=True)))


def _answer_as_before(done: Regrouping, actor: Person) -> None:
    """That mail stands elsewhere is nothing new: what closing its incident as harmless has answered
    is not asked again.
    """
    both = Incident.objects.filter(id__in=[done.incident_id, done.other_id], merged_into=None)
    for each in both.order_by("id"):
        if each.is_called_harmless:
            dismiss_with(each, actor, done.record.get("answered", ()))


def _count_up(done: Regrouping) -> None:
    """Whoever looks at one of the two has not seen the mail that it has now."""
    both = Incident.objects.filter(id__in=[done.incident_id, done.other_id])
    both.update(revision=F("revision") + 1)
    done.incident.refresh_from_db(fields=["revision"])
