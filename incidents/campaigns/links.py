"""Links between campaigns of several clients of one provider, by keyed fingerprints.

1. A mail that comes into an incident has fingerprints (incidents/marks.py).  Those that stand in
   one mail become one root, with all that was joined to them by mail of other clients before.  A
   mail never changes, so a root never has to be taken apart, whatever people do with incidents.
2. Which roots an incident has follows from its mails: kept when mail comes and when it moves.
3. Reading (console/queries/elsewhere.py) asks for the roots of a campaign's incidents and for other
   incidents with these, of the clients in the reader's scope: the wall decides which those are.

Fingerprints are the provider's rows, what a client has are the client's own: the portal reads none
of both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from incidents.bulk import fetch, run
from incidents.campaigns.evidence import Mail
from incidents.campaigns.store import mails_of, rarity_of
from incidents.holding import hold_links
from incidents.marks import link_marks_of
from incidents.models import LinkedMail, Message
from tenants.models import Tenant

# As between campaigns of one client: what was not seen for so long begins anew.
WINDOW = timedelta(days=42)


def follow_links(tenant: Tenant, mails: Collection[Mail]) -> None:
    """Link these mails of incidents with those of other clients.

    Needs the client's scope, with its provider.  The last step of a transaction: mail of the
    provider's other clients waits for its end.
    """
    wanted = _not_linked(tenant, [mail.id for mail in mails])
    _link(tenant, [mail for mail in mails if mail.id in wanted])


def follow_links_of(tenant: Tenant, message_ids: Collection[UUID]) -> None:
    """The same of messages that nobody has read yet."""
    wanted = _not_linked(tenant, message_ids)
    _link(tenant, mails_of(list(Message.objects.filter(id__in=wanted))))


def _not_linked(tenant: Tenant, message_ids: Collection[UUID]) -> set[UUID]:
    known = LinkedMail.objects.filter(tenant=tenant, message__in=message_ids)
    return set(message_ids) - set(known.values_list("message_id", flat=True))


def _link(tenant: Tenant, mails: Collection[Mail]) -> None:
    rarity = rarity_of(tenant.id, mails)
    marks = {mail.id: found for mail in mails if (found := link_marks_of(mail, rarity))}
    if not marks:
        return
    hold_links(tenant.provider_id)
    nodes = _nodes_of(tenant.provider_id, {mark for found in marks.values() for mark in found})
    _become_one(tenant.provider_id, [[nodes[mark] for mark in found] for found in marks.values()])
    LinkedMail.objects.bulk_create(
        LinkedMail(tenant=tenant, message_id=message_id, link_id=nodes[found[0]][0])
        for message_id, found in marks.items()
    )
    run(_ADD, {"tenant": tenant.id, "messages": list(marks)})


def _nodes_of(provider_id: int, marks: Collection[str]) -> Mapping[str, tuple[UUID, UUID]]:
    """Mark → the id of its row and its root; made where it was not seen for ``WINDOW``."""
    now, wanted = timezone.now(), sorted(marks)
    run(_RETIRE, [provider_id, wanted, now - WINDOW])
    rows = fetch(_SEE, {"provider": provider_id, "marks": wanted, "now": now})
    return {mark: (node, root) for node, mark, root in rows}


_RETIRE = """
UPDATE incidents_campaignlink SET is_current = false
WHERE provider_id = %s AND mark = ANY(%s) AND is_current AND seen_at < %s
"""
_SEE = """
INSERT INTO incidents_campaignlink AS l (id, provider_id, mark, root, seen_at, is_current)
SELECT new.id, %(provider)s, new.mark, new.id, %(now)s, true
FROM (SELECT gen_random_uuid() AS id, mark FROM unnest(%(marks)s::text[]) AS mark) AS new
ON CONFLICT (provider_id, mark) WHERE is_current DO UPDATE SET seen_at = excluded.seen_at
RETURNING l.id, l.mark, l.root
"""


def _become_one(provider_id: int, mails: list[list[tuple[UUID, UUID]]]) -> None:
    """All fingerprints of a mail get one root."""
    into: dict[UUID, UUID] = {}

    def root_of(root: UUID) -> UUID:
        while root in into:
            root = into[root]
        return root

    for nodes in mails:
        kept, *others = sorted({root_of(root) for _, root in nodes})
        into.update(dict.fromkeys(others, kept))
    gone = sorted(into)
    if gone:
        run(_UNITE, [gone, [root_of(root) for root in gone], provider_id])


_UNITE = """
UPDATE incidents_campaignlink l SET root = w.kept
FROM unnest(%s::uuid[], %s::uuid[]) AS w (gone, kept)
WHERE l.provider_id = %s AND l.root = w.gone
"""
_ROOTS = """
INSERT INTO incidents_linkedincident (id, tenant_id, incident_id, link_id)
SELECT gen_random_uuid(), %(tenant)s, found.incident_id, found.link_id
FROM (
    SELECT m.incident_id, l.root, min(k.link_id::text)::uuid AS link_id
    FROM incidents_incidentmessage m
    JOIN incidents_linkedmail k ON k.tenant_id = m.tenant_id AND k.message_id = m.message_id
    JOIN incidents_campaignlink l ON l.id = k.link_id
    WHERE m.tenant_id = %(tenant)s AND {which}
    GROUP BY m.incident_id, l.root
) AS found
"""
_ADD = (
    _ROOTS.format(which="m.message_id = ANY(%(messages)s)")
    + """
WHERE NOT EXISTS (
    SELECT FROM incidents_linkedincident i JOIN incidents_campaignlink l ON l.id = i.link_id
    WHERE i.tenant_id = %(tenant)s AND i.incident_id = found.incident_id AND l.root = found.root
)
ON CONFLICT DO NOTHING
"""
)
_GATHER = _ROOTS.format(which="m.incident_id = ANY(%(incidents)s)")


def gather_links(tenant_id: int, incident_ids: Collection[UUID]) -> None:
    """Which roots these incidents have, from the mail that they have now."""
    of = {"tenant": tenant_id, "incidents": list(incident_ids)}
    run(
        "DELETE FROM incidents_linkedincident"
        " WHERE tenant_id = %(tenant)s AND incident_id = ANY(%(incidents)s)",
        of,
    )
    run(_GATHER, of)
