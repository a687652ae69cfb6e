"""How much work the mail made: incidents per 1,000 mailboxes and day, and how they were closed.

The demo's hours are minutes, so that a day is counted in mail: ``A_DAY`` mails for each mailbox.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q

from incidents.models import Delivery, Incident, IncidentMessage, Job
from incidents.words import THREATS, Direction
from tenants.models import Mailbox

A_DAY = 40
_ACTIONS = (Job.Kind.PULL, Job.Kind.RESTORE, Job.Kind.RELEASE, Job.Kind.BLOCK)


@dataclass(frozen=True, slots=True)
class Measure:
    """``settled``: condemned mails that never became an incident; a layer settled them alone."""

    mailboxes: int
    copies: int
    incidents: int
    closed: int
    closed_without_action: int
    settled: int

    @property
    def mailbox_days(self) -> float:
        return self.copies / A_DAY

    @property
    def per_1000(self) -> float:
        return 1000 * self.incidents / self.mailbox_days if self.copies else 0.0

    def in_words(self) -> list[str]:
        share = f"{100 * self.closed_without_action / self.closed:.0f} %" if self.closed else "–"
        return [
            f"{self.copies} copies of mail for {self.mailboxes} mailboxes: as much as"
            f" {self.mailbox_days:.1f} days of one mailbox at {A_DAY} mails a day",
            f"{self.incidents} incidents, {self.per_1000:.0f} per 1,000 mailboxes and day"
            " (the demo is made of attacks)",
            f"{self.closed} closed, {self.closed_without_action} of them without an action"
            f" ({share})",
            f"{self.settled} condemned mails were settled by a layer alone, without an incident",
        ]


def measure() -> Measure:
    """Needs a scope with the clients to count."""
    acted = Job.objects.filter(
        tenant=OuterRef("tenant"), incident=OuterRef("pk"), kind__in=_ACTIONS
    )
    closed = Incident.objects.filter(state=Incident.State.RESOLVED)
    threats = Q(gateway_verdict__in=THREATS) | Q(mailbox_verdict__in=THREATS)
    members = IncidentMessage.objects.filter(tenant=OuterRef("tenant"), message=OuterRef("message"))
    condemned = Delivery.objects.filter(threats).exclude(Exists(members))
    return Measure(
        mailboxes=Mailbox.objects.filter(state=Mailbox.State.ACTIVE).count(),
        copies=Delivery.objects.exclude(direction=Direction.OUTBOUND).count(),
        incidents=Incident.objects.count(),
        closed=closed.count(),
        closed_without_action=closed.exclude(Exists(acted)).count(),
        settled=condemned.values("message_id").distinct().count(),
    )
