"""Copies that come after a person has decided: pulled by her standing order, each once."""

from __future__ import annotations

from datetime import timedelta

from incidents.allowed import without_allowed
from incidents.assessment import copies_within_reach
from incidents.campaigns.moving import lineage, successor
from incidents.models import Delivery, Disagreement, Incident, Job, StandingOrder
from incidents.modes import QUEUE, Mode, Modes
from incidents.orders import give_order, orders_in_force
from incidents.remediation import copies_of, never_pulled, pull_incident, start_job
from tenants.audit import Actor
from tenants.errors import WrongInput
from tenants.models import Person
from tenants.work import want_work


def follow_orders(incident: Incident, copies: list[Delivery]) -> None:
    """Want the work where a copy came under an order; called whenever the facts have changed."""
    orders = StandingOrder.objects.filter(
        orders_in_force(), tenant=incident.tenant_id, kind=StandingOrder.Kind.PULL
    )
    owed = set(orders.values_list("incident_id", flat=True))
    if owed and owed & set(lineage(incident)) and late_copies(copies):
        want_work(incident.tenant_id, QUEUE)


def late_copies(copies: list[Delivery]) -> list[Delivery]:
    """Those within reach that no pull was ever asked for: each copy is pulled by order once.  None
    that an exception lets be.
    """
    return never_pulled(without_allowed(copies_within_reach(copies)))


def carry_out_order(order: StandingOrder, modes: Modes, *, most: int) -> Job | None:
    """Pull what came since, in the name of who gave the order; None where nothing did.

    A person's order is her yes to later copies, but where Bailey only tells; an order that Bailey
    left behind holds where it acts by itself.  At most ``most`` copies: more than that is for a
    person to decide.
    """
    # An incident that was merged lives on in another, and so do the orders about it.
    incident = successor(order.incident)
    if incident.is_called_harmless:
        return None
    held_by = (Mode.ASK, Mode.AUTO) if order.owner_id is not None else (Mode.AUTO,)
    copies = modes.of_copies(late_copies(copies_of(incident)), *held_by)
    if not copies:
        return None
    until = f"{order.expires_at:%d %B %H:%M} UTC"
    job = start_job(
        Job.Kind.PULL,
        "pull",
        copies[:most],
        incident,
        actor=Actor(order.owner_name, order.owner_id),
        reason=f"Standing order of {order.owner_name} until {until}. {order.reason}".strip(),
        detail={"standing_order": str(order.id), "left_for_a_person": max(0, len(copies) - most)},
    )
    order.acted += len(copies[:most])
    order.save(update_fields=["acted"])
    return job


def carry_out_in_mailboxes(
    item: Disagreement, *, actor: Person | Actor, reason: str
) -> dict[str, str]:
    """The mailbox layer's side of a repair; answers the ids of job and order."""
    incident = item.incident
    lasts = timedelta(days=item.proposal["days"])
    if incident is None:
        raise WrongInput("No incident is open about this mail.")
    if item.proposal["action"] == "leave":
        order = give_order(
            incident=incident, kind=StandingOrder.Kind.LEAVE, actor=actor, lasts=lasts
        )
        return {"order": str(order.id)}
    job = pull_incident(
        incident=incident,
        actor=actor,
        reason=reason or item.proposal["text"],
        late=lasts,
        detail={"disagreement": str(item.id)},
    )
    return {"job": str(job.id)}
