"""What every act on an incident shares: it stands on the revision that was seen, or names who came
first; it is on record and told.
"""

from __future__ import annotations

from typing import Any

from incidents.announce import announce_incident
from incidents.ledger import note_incident
from incidents.models import Incident
from incidents.sla.reckoning import RECKONED, reckon
from tenants.audit import Actor, write_audit
from tenants.errors import Conflict
from tenants.models import AuditEntry, Person, Tenant

# Act → what a sentence says of it: "Bo resolved it at 09:02 UTC."
ACTS = {
    "incidents.incident.assigned": "changed the owner",
    "incidents.incident.state_changed": "changed the state",
    "incidents.incident.resolved": "resolved it",
    "incidents.incident.reopened": "reopened it",
    "incidents.incident.shared": "shared it with the client",
    "incidents.incident.unshared": "withdrew it from the client",
    "incidents.incident.ticket_changed": "changed the ticket",
    "incidents.incident.waiting": "stopped the clocks",
    "incidents.incident.answered": "let the clocks run again",
    "incidents.incident.quieted": "put it aside",
    "incidents.incident.woken": "brought it back",
    "incidents.incident.merged": "merged another into it",
    "incidents.incident.split": "split mail off",
    "incidents.incident.mail_moved": "moved mail away from it",
    "incidents.incident.regrouping_undone": "undid what was done to its boundary",
}


def done(
    incident: Incident, action: str, actor: Person | Actor, reason: str = "", **detail: Any
) -> None:
    """The last two parts of every service: audit, and announce on commit."""
    write_audit(
        action,
        actor=actor,
        provider_id=_provider_of(incident, actor),
        tenant_id=incident.tenant_id,
        object_kind="incident",
        object_id=incident.id,
        reason=reason,
        **detail,
    )
    announce_incident(incident.tenant_id, incident.id)


def _provider_of(incident: Incident, actor: Person | Actor) -> int:
    if isinstance(actor, Person):
        return actor.provider_id
    return Tenant.objects.values_list("provider_id", flat=True).get(id=incident.tenant_id)


def hold(incident: Incident, revision: int | None) -> None:
    """Lock the row and read it anew, so that nobody acts on it until this transaction ends.

    ``revision``: what the actor had seen; None: whatever it is now.  Raises ``Conflict`` that says
    who did what since.
    """
    incident.refresh_from_db(from_queryset=Incident.objects.select_for_update())
    if incident.merged_into_id is not None:
        raise Conflict(f"#{incident.number} was merged: its mail is in another incident now.")
    if revision is not None and revision != incident.revision:
        raise Conflict(who_came_first(incident, revision))


def change(incident: Incident, **values: Any) -> None:
    """Write these fields of a held row, count the revision up and reckon its times anew.

    The ledger hears of a new state: a closed incident says what its mails were.
    """
    for name, value in values.items():
        setattr(incident, name, value)
    reckon(incident)
    incident.revision += 1
    incident.save(update_fields=[*values, *RECKONED, "revision"])
    if "state" in values:
        note_incident(incident)


def who_came_first(incident: Incident, revision: int) -> str:
    """``Bo resolved it at 09:02 UTC. …``: every act since this revision, oldest first."""
    entries = AuditEntry.objects.filter(
        tenant_id=incident.tenant_id,
        object_id=str(incident.id),
        action__in=list(ACTS),
        detail__revision__gt=revision,
    ).order_by("at", "id")
    acts = [
        f"{entry.actor_name} {ACTS[entry.action]} at {entry.at:%H:%M} UTC" for entry in entries[:5]
    ]
    said = "; ".join(acts) or "Somebody changed it"
    return f"{said}. Nothing of yours was done: look at it again and decide anew."
