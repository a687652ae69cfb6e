"""Out of the way, never out of sight: snooze, mute, and suppressions.

Each needs a reason and an end; all are counted and listed.  What is snoozed wakes with any further
mail, what is muted or suppressed with more within somebody's reach.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from incidents.assessment import within_reach
from incidents.models import Incident, Quiet, Suppression
from incidents.services.acts import change, done, hold
from tenants.audit import BAILEY, write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Person, Tenant

QUIETED = "incidents.incident.quieted"
WOKEN = "incidents.incident.woken"
RULE_ADDED = "incidents.suppression.added"
RULE_REMOVED = "incidents.suppression.removed"
LONGEST = timedelta(days=180)
OVER = "Its time is over."
# Only a rule that names the kind silences these.
_BY_KIND = Suppression.Match.KIND
_LOUD = (Incident.Kind.MALWARE, Incident.Kind.BEC, Incident.Kind.ACCOUNT)


def _check(reason: str, until: datetime) -> None:
    now = timezone.now()
    if not reason.strip():
        raise WrongInput("Say why: silence without a reason is how things get lost.")
    if not now < until <= now + LONGEST:
        raise WrongInput(f"Silence ends within {LONGEST.days} days, and not in the past.")


@transaction.atomic
def quiet_incident(
    *,
    incident: Incident,
    actor: Person,
    kind: str,
    until: datetime,
    reason: str,
    revision: int | None = None,
) -> None:
    """``kind``: ``snoozed`` or ``muted``."""
    if kind not in (Quiet.Kind.SNOOZED, Quiet.Kind.MUTED):
        raise WrongInput("An incident is snoozed or muted; silence for others is a rule.")
    _check(reason, until)
    hold(incident, revision)
    if not incident.is_open:
        raise Conflict("This incident is resolved: it is quiet already.")
    end_quiet(incident, f"{actor.name} put it aside anew.")
    _begin(incident, kind, until, reason.strip(), actor.name)
    change(incident, quiet=kind, quiet_until=until)
    done(
        incident,
        QUIETED,
        actor,
        reason.strip(),
        kind=kind,
        until=until.isoformat(),
        revision=incident.revision,
    )


@transaction.atomic
def wake_incident(
    *, incident: Incident, actor: Person, reason: str = "", revision: int | None = None
) -> None:
    hold(incident, revision)
    if not end_quiet(incident, f"{actor.name} brought it back."):
        raise Conflict("This incident is not quiet.")
    change(incident, quiet="", quiet_until=None)
    done(incident, WOKEN, actor, reason, revision=incident.revision)


def _begin(
    incident: Incident,
    kind: str,
    until: datetime,
    reason: str,
    by: str,
    rule: Suppression | None = None,
) -> None:
    Quiet.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        kind=kind,
        suppression=rule,
        reason=reason,
        until=until,
        copies=int(incident.counts.get("copies", 0)),
        exposed=within_reach(incident.counts),
        started_at=timezone.now(),
        started_by=by,
    )


def end_quiet(incident: Incident, why: str) -> bool:
    """Did one hold?  The caller writes the incident's own fields.

    One whose time was over has ended then, not now: its clocks ran on.
    """
    now, held = timezone.now(), _holding(incident)
    held.filter(until__lte=now).update(ended_at=F("until"), ended_why=OVER)
    return bool(held.update(ended_at=now, ended_why=why[:300]))


def _holding(incident: Incident) -> QuerySet[Quiet]:
    return Quiet.objects.filter(tenant=incident.tenant_id, incident=incident, ended_at=None)


def follow_quiet(incident: Incident) -> None:
    """After the facts changed: wake what has reason to, silence what a rule is about.

    Sets ``quiet`` and ``quiet_until``; the caller saves them.
    """
    if incident.quiet:
        held = _holding(incident).first()
        why = _reason_to_wake(incident, held) if held else "It was not on record."
        if why:
            end_quiet(incident, why)
            incident.quiet, incident.quiet_until = "", None
            done(incident, WOKEN, BAILEY, why)
    elif incident.state == Incident.State.NEW and incident.owner_id is None:
        _suppress(incident)


def _reason_to_wake(incident: Incident, held: Quiet) -> str:
    """ "" where it stays quiet."""
    exposed, copies = within_reach(incident.counts), int(incident.counts.get("copies", 0))
    if timezone.now() >= held.until:
        return OVER
    if exposed > held.exposed:
        return f"More is within reach: {exposed} copies, {held.exposed} when it was put aside."
    if incident.kind in _LOUD and held.suppression and held.suppression.match != _BY_KIND:
        return f"It is {incident.get_kind_display().lower()}: a rule by sender silences none."
    if held.kind == Quiet.Kind.SNOOZED and copies > held.copies:
        return f"More of it came: {copies} copies, {held.copies} when it was put aside."
    return ""


def _suppress(incident: Incident) -> None:
    if Quiet.objects.filter(tenant=incident.tenant_id, incident=incident).exists():
        return  # it woke once: a rule does not silence it again
    rule = rule_for(incident)
    # A rule is for what opens from then on: more mail of what people see already stays loud.
    if rule is not None and rule.created_at <= incident.opened_at:
        _begin(incident, Quiet.Kind.SUPPRESSED, rule.ends_at, rule.reason, rule.created_by, rule)
        incident.quiet, incident.quiet_until = Quiet.Kind.SUPPRESSED, rule.ends_at
        done(
            incident,
            QUIETED,
            BAILEY,
            rule.reason,
            kind=Quiet.Kind.SUPPRESSED,
            rule=str(rule.id),
            until=rule.ends_at.isoformat(),
        )


def awake() -> Q:
    """Of incidents: not quiet, or no longer."""
    return Q(quiet="") | Q(quiet_until__lte=timezone.now())


def in_force(rules: QuerySet[Suppression]) -> QuerySet[Suppression]:
    return rules.filter(removed_at=None, ends_at__gt=timezone.now())


def rule_for(incident: Incident) -> Suppression | None:
    """The oldest rule in force that is about this incident."""
    Match = Suppression.Match
    sender = incident.sender.lower()
    fits = Q(match=Match.KIND, value=incident.kind)
    if sender and incident.kind not in _LOUD:
        fits |= Q(match=Match.SENDER, value=sender)
        fits |= Q(match=Match.DOMAIN, value=sender.rpartition("@")[2])
    rules = in_force(Suppression.objects.filter(tenant=incident.tenant_id))
    return rules.filter(fits).order_by("created_at").first()


@transaction.atomic
def add_suppression(
    *, tenant: Tenant, actor: Person, match: str, value: str, reason: str, ends_at: datetime
) -> Suppression:
    """For incidents that open from now on.  Raises ``WrongInput``."""
    _check(reason, ends_at)
    value = value.strip().lower()
    if match not in Suppression.Match.values or not value:
        raise WrongInput("A rule names a sender, a domain or a kind.")
    if match == Suppression.Match.KIND and value not in Incident.Kind.values:
        raise WrongInput(f"There is no kind of incident called {value}.")
    if (match == Suppression.Match.SENDER) != ("@" in value):
        raise WrongInput("A sender is an address with @; a domain and a kind have none.")
    rule = Suppression.objects.create(
        tenant=tenant,
        match=match,
        value=value,
        reason=reason.strip(),
        ends_at=ends_at,
        created_by_id=actor.id,
        created_by=actor.name,
    )
    _record(RULE_ADDED, rule, actor, reason.strip(), match=match, value=value)
    return rule


@transaction.atomic
def remove_suppression(*, rule: Suppression, actor: Person, reason: str = "") -> None:
    """Out of force; what it silenced stays quiet until its end, and can be woken."""
    removed = Suppression.objects.filter(id=rule.id, removed_at=None).update(
        removed_at=timezone.now(), removed_by=actor.name
    )
    if not removed:
        raise Conflict("This rule is out of force already.")
    _record(RULE_REMOVED, rule, actor, reason)


def _record(action: str, rule: Suppression, actor: Person, reason: str, **detail: Any) -> None:
    write_audit(
        action,
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=rule.tenant_id,
        object_kind="suppression",
        object_id=rule.id,
        reason=reason,
        **detail,
    )
