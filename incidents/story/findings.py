"""What was found wrong with a client's access or records, and since when it is put right."""

from __future__ import annotations

from collections.abc import Iterator

from incidents.campaigns.moving import lineage
from incidents.models import Finding, Incident
from incidents.story.lines import Line, Tone
from tenants.scope import Role, current_scope

# Seen by the gateway, or at the DNS names that lead to it; the others are the mailbox layer's.
_OF_GATEWAY = ("mx", "dkim", "unaccounted")


def finding_lines(incident: Incident) -> Iterator[Line]:
    """The provider's own: what it lost, and how it gets that back."""
    if not incident.finding or current_scope().role is Role.PORTAL:
        return
    rows = Finding.objects.filter(tenant=incident.tenant_id, incident__in=lineage(incident))
    for row in rows.order_by("since"):
        lane = "gateway" if row.code in _OF_GATEWAY else "mailbox"
        what, _, more = row.words.partition(". ")
        lead, source = f"{what.rstrip('.')}.", f"finding:{row.id}"
        yield Line(at=row.since, lane=lane, lead=lead, text=more, source=source)
        if row.settled_at is not None:
            at, good = row.settled_at, Tone.GOOD
            yield Line(at=at, lane=lane, lead="No longer so:", text=lead, source=source, tone=good)
