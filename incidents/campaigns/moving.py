"""The mechanics of one incident becoming two or two becoming one, so that each can be undone.

What belongs to an incident follows it: its mail, the keys by which later mail finds it, jobs,
comments and whatever else points at it.  Every moved row is written down, and how both incidents
stood; undoing moves exactly these rows back and keeps what people did in the meantime.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Max
from django.utils import timezone

from incidents.campaigns.belonging import (
    campaign_now,
    join_campaigns,
    part_campaigns,
    put_into,
)
from incidents.campaigns.ledger import Who
from incidents.campaigns.links import gather_links
from incidents.holding import take_turn
from incidents.ledger import note_incident, note_mails
from incidents.models import (
    GroupKey,
    Incident,
    IncidentMessage,
    LinkedIncident,
    Pause,
    Quiet,
    Regrouping,
)
from incidents.sla.reckoning import keep_clock

MERGED = "incidents.incident.merged"
Said = dict[str, Any]
"""``edges``: ids of the ledger's rows that were written; ``withdrawn``: of rows withdrawn."""

# These follow their mail, in a split as in a merge; all other rows follow the incident as a whole.
_WITH_MAIL = (IncidentMessage, GroupKey)
# Somebody put that one aside: what it goes into is loud, and its clocks run.
_OF_ITS_OWN = (Quiet,)
# Changed in one part, all of it is somebody's own word.
_TOGETHER = ({"ticket", "ticket_link"}, {"shared_at", "shared_by"}, {"quiet", "quiet_until"})
# Who the incident is, and a counter that only grows.
_NEVER_RESTORED = {"id", "tenant_id", "number", "opened_at", "revision", "queue_rank"}


def snapshot(incident: Incident) -> dict[str, Any]:
    """How the incident stands in the database now, in JSON values; ``silence``: its quiet."""
    fresh = Incident.objects.get(id=incident.id)
    held = Quiet.objects.filter(tenant=fresh.tenant_id, incident=fresh, ended_at=None).first()
    return {name: _plain(getattr(fresh, name)) for name in _names()} | {
        "silence": str(held.id) if held else None
    }


def _names() -> list[str]:
    names = [field.attname for field in Incident._meta.concrete_fields]
    return [name for name in names if name not in _NEVER_RESTORED]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def restore(incident: Incident, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Put back what the regrouping changed; what somebody changed since then stays hers."""
    now = snapshot(incident)
    fields = {field.attname: field for field in Incident._meta.concrete_fields}
    changed = {name for name in now if now[name] != after.get(name)}
    changed = changed.union(*(parts for parts in _TOGETHER if parts & changed))
    values = {
        name: fields[name].to_python(value)
        for name, value in before.items()
        if name in fields and name not in changed and now[name] != value
    }
    if not values:
        return
    if values.get("campaign_id"):
        # Its campaign may have become another's meanwhile.
        values["campaign_id"] = campaign_now(values["campaign_id"])
    Incident.objects.filter(id=incident.id).update(**values)
    if values.get("quiet") and before.get("silence"):
        # The mail that woke it is gone again: its silence holds until the end that was said.
        Quiet.objects.filter(id=before["silence"]).update(ended_at=None, ended_why="")
    note_incident(incident)


def next_number(tenant_id: int) -> int:
    take_turn(tenant_id)
    rows = Incident.objects.filter(tenant=tenant_id).aggregate(number=Max("number"))
    return int(rows["number"] or 0) + 1


def message_ids_of(incident: Incident) -> list[UUID]:
    """Oldest first."""
    rows = IncidentMessage.objects.filter(incident=incident)
    return list(
        rows.order_by("message__first_seen_at", "message_id").values_list("message_id", flat=True)
    )


def move_mail(source: Incident, target: Incident, message_ids: Collection[UUID]) -> dict[str, Any]:
    """Answers what was moved, by the name of the table, for ``move_back``."""
    moved: dict[str, Any] = {}
    for model in _WITH_MAIL:
        rows = model.objects.filter(incident=source, message__in=message_ids)
        moved[model._meta.label] = [str(key) for key in rows.values_list("id", flat=True)]
        rows.update(incident=target)
    gather_links(source.tenant_id, [source.id, target.id])
    note_mails(source.tenant_id, message_ids)
    return moved


def move_history(source: Incident, target: Incident) -> dict[str, Any]:
    """All else that points at ``source``, as far as ``target`` can have it too."""
    moved: dict[str, Any] = {}
    for model, name in _pointing_here():
        rows = model._base_manager.filter(**{name: source})
        if model is Pause:
            # A clock that stood still for the one did not for the other; who is asked still is.
            rows = rows.filter(ended_at=None)
        keys = list(rows.values_list("pk", flat=True))
        if keys and not _moves(rows, name, target):
            # The target has one of its own, as of a clock or a mark: both stay, the others move.
            keys = [key for key in keys if _moves(rows.filter(pk=key), name, target)]
        if keys:
            moved[f"{model._meta.label}.{name}"] = list(map(str, keys))
    return moved


def _moves(rows: models.QuerySet[Any], name: str, target: Incident) -> bool:
    """False, and nothing is done, where the target has one of its own."""
    try:
        with transaction.atomic():
            rows.update(**{name: target})
    except IntegrityError:
        return False
    return True


def _pointing_here() -> Iterator[tuple[type[models.Model], str]]:
    """Models with a reference to an incident that this role may change, beside those of mail."""
    for model in apps.get_models():
        if model in (*_WITH_MAIL, *_OF_ITS_OWN, Incident, LinkedIncident, Regrouping):
            continue
        for field in model._meta.concrete_fields:
            if field.related_model is Incident and _may_update(model._meta.db_table):
                yield model, field.name


def _may_update(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege(current_user, %s, 'UPDATE')", [table])
        return bool(cursor.fetchone()[0])


def move_back(moved: dict[str, Any], source: Incident, target: Incident) -> None:
    """The rows that went from ``source`` to ``target`` go back, as far as they are still there."""
    for label, keys in moved.items():
        app, model_name, *field = label.split(".")
        model = apps.get_model(app, model_name)
        name = field[0] if field else "incident"
        rows = model._base_manager.filter(**{"pk__in": keys, name: target})
        rows.update(**{name: source})
    gather_links(source.tenant_id, [source.id, target.id])
    note_incident(source)


def close_as_merged(gone: Incident, kept: Incident) -> None:
    """Its number lives on and leads to the one that stays; it counts nothing any more."""
    Incident.objects.filter(id=gone.id).update(
        merged_into=kept,
        campaign=None,
        state=Incident.State.RESOLVED,
        resolved_at=timezone.now(),
        due_at=None,
        due_for="",
        counts=dict.fromkeys(gone.counts, 0),
    )


def lineage(incident: Incident) -> list[UUID]:
    """The incident and all that were merged into it, over several steps."""
    found = [incident.id]
    step: list[UUID] = found
    while step:
        rows = Incident.objects.filter(tenant=incident.tenant_id, merged_into__in=step)
        step = [key for key in rows.values_list("id", flat=True) if key not in found]
        found += step
    return found


def successor(incident: Incident) -> Incident:
    """Where its number leads: itself, or the incident that it went into in the end."""
    while incident.merged_into_id is not None:
        incident = Incident.objects.select_related("tenant").get(id=incident.merged_into_id)
    return incident


def incident_like(source: Incident) -> Incident:
    """A new incident for a part of the mail of ``source``, with its owner, state and clock."""
    made = Incident(
        tenant_id=source.tenant_id,
        number=next_number(source.tenant_id),
        counts=dict(source.counts),
        **{name: getattr(source, name) for name in _INHERITED},
    )
    made.save(force_insert=True)
    keep_clock(source, made)
    return made


_INHERITED = (
    *("title", "kind", "severity", "severity_rank", "state", "classification", "cause_code"),
    *("cause", "owner_id", "owner_name", "shared_at", "shared_by", "first_seen_at"),
    *("last_seen_at", "triaged_at", "acted_at", "contained_at", "resolved_at", "campaign_id"),
)


def take_out(
    kind: str,
    source: Incident,
    target: Incident,
    leaving: Collection[UUID],
    *,
    who: Who,
    reason: str,
    words: Said,
    before: dict[str, Any],
) -> Regrouping:
    """These mails go from ``source`` to ``target``.  The caller checks before, refreshes after."""
    return Regrouping.objects.create(
        tenant_id=source.tenant_id,
        kind=kind,
        incident=source,
        other=target,
        who=who.name,
        who_id=who.id,
        reason=reason,
        record={"mail": move_mail(source, target, leaving), "before": before, **words},
    )


def merge(kept: Incident, gone: Incident, *, who: Who, reason: str, words: Said) -> Regrouping:
    """Everything of ``gone`` goes to ``kept``.  The caller checks before and refreshes after."""
    before = {"incident": snapshot(kept), "other": snapshot(gone)}
    record: dict[str, Any] = {
        "mail": move_mail(gone, kept, message_ids_of(gone)),
        "history": move_history(gone, kept),
        "campaigns": _join_their_campaigns(kept, gone),
        **words,
    }
    close_as_merged(gone, kept)
    if takes := _takes_over(kept, gone):
        Incident.objects.filter(id=kept.id).update(**takes)
    return Regrouping.objects.create(
        tenant_id=kept.tenant_id,
        kind=Regrouping.Kind.MERGE,
        incident=kept,
        other=gone,
        who=who.name,
        who_id=who.id,
        reason=reason,
        record=record | {"before": before},
    )


def _takes_over(kept: Incident, gone: Incident) -> dict[str, Any]:
    """Who sees it and where it is written about, as far as ``kept`` has no such word of its own."""
    takes: dict[str, Any] = {}
    if gone.shared_at is not None and kept.shared_at is None:
        # The client sees this mail already; merging takes nothing back.
        takes |= {"shared_at": gone.shared_at, "shared_by": gone.shared_by}
    if gone.ticket and not kept.ticket:
        takes |= {"ticket": gone.ticket, "ticket_link": gone.ticket_link}
    return takes


def _join_their_campaigns(kept: Incident, gone: Incident) -> dict[str, Any]:
    if gone.campaign is None or gone.campaign_id == kept.campaign_id:
        return {}
    if kept.campaign is None:
        put_into(gone.campaign, [kept.id])
        return {}
    older, younger = sorted((kept.campaign, gone.campaign), key=lambda each: each.number)
    return join_campaigns(older, younger)


def note_after(done: Regrouping) -> None:
    """How both stand when all is done: what differs from it later is somebody's own work."""
    done.record["after"] = {"incident": snapshot(done.incident)}
    if done.other is not None:
        done.record["after"]["other"] = snapshot(done.other)
    done.save(update_fields=["record"])


def unjoin_campaigns(done: Regrouping) -> None:
    """What a merge did to the campaigns of both."""
    if done.record.get("campaigns"):
        part_campaigns(done.record["campaigns"])
