"""What every regrouping by a person checks first and does last."""

from __future__ import annotations

from collections.abc import Iterable

from incidents.announce import announce_incident
from incidents.campaigns.moving import successor
from incidents.models import Incident, Regrouping
from incidents.services.acts import who_came_first
from tenants.audit import write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Person

SHORTEST_REASON = 5


def check_reason(reason: str) -> None:
    if len(reason.strip()) < SHORTEST_REASON:
        raise WrongInput("Say in a few words why; it stands beside the mail from now on.")


def check_may_be_one(one: Incident, other: Incident) -> None:
    if one.id == other.id:
        raise WrongInput("Name another incident.")
    if one.tenant_id != other.tenant_id:
        raise WrongInput("An incident never spans clients.")
    if (one.kind == Incident.Kind.HEALTH) != (other.kind == Incident.Kind.HEALTH):
        raise WrongInput("A finding about the route of mail and a threat stay apart.")


def check_has_mail(*incidents: Incident) -> None:
    """A word about two incidents is a word about their mails: each must have one."""
    for incident in incidents:
        if not incident.memberships.exists():
            raise WrongInput(f"#{incident.number} has no mail any more: it went elsewhere.")


def check_seen(rows: Iterable[Incident], seen: Incident, revision: int | None) -> None:
    """``revision``: of ``seen`` as the actor had it before her; None: whatever it is now.

    Raises ``Conflict`` that says who did what to it since.
    """
    row = next(each for each in rows if each.id == seen.id)
    if revision is not None and revision != row.revision:
        raise Conflict(who_came_first(row, revision))


def check_closes_nothing(source: Incident, target: Incident) -> None:
    """What is open does not end by going into what somebody has closed."""
    if source.is_open and not target.is_open:
        raise Conflict(
            f"#{target.number} is resolved: what is open in #{source.number} would be closed with"
            f" it. Open #{target.number} again first."
        )


def locked(*incidents: Incident, ordered: bool = True) -> list[Incident]:
    """The rows as they are now, held; by number where ``ordered``.  Raises ``Conflict``."""
    keys = [incident.id for incident in incidents]
    rows = {
        row.id: row
        for row in Incident.objects.select_for_update(of=("self",))
        .select_related("tenant", "campaign")
        .filter(id__in=keys)
        .order_by("id")
    }
    found = [rows[key] for key in keys if key in rows]
    if len(found) < len(keys) or any(row.is_merged for row in found):
        raise Conflict("One of these incidents was merged a moment ago.")
    return sorted(found, key=lambda row: row.number) if ordered else found


def by_number(incident: Incident, number: int) -> Incident:
    """The incident of the same client with this number, or where that number leads.

    Raises ``WrongInput`` where the client has none.
    """
    rows = Incident.objects.select_related("tenant", "campaign")
    found = rows.filter(tenant=incident.tenant_id, number=number).first()
    if found is None:
        raise WrongInput(f"{incident.tenant.name} has no incident #{number}.")
    return successor(found)


def audit_regrouping(done: Regrouping, action: str, actor: Person, reason: str = "") -> None:
    """The last two parts of each: audit, and announce both on commit."""
    assert done.other is not None
    write_audit(
        action,
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=done.tenant_id,
        object_kind="incident",
        object_id=done.incident_id,
        reason=reason or done.reason,
        other=done.other.number,
        other_id=str(done.other_id),
        regrouping=str(done.id),
        revision=done.incident.revision,
        mails=len(done.record.get("mail", {}).get("incidents.IncidentMessage", ())),
    )
    for incident_id in (done.incident_id, done.other_id):
        announce_incident(done.tenant_id, incident_id)
