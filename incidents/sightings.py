"""What is on record of copies: their observations, for whoever tells of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from incidents.models import Delivery, Observation, Sighting

MOST = 2000


def history_of(copies: Iterable[Delivery], most: int = MOST) -> dict[UUID, list[Observation]]:
    """Delivery id → its observations, oldest first; of all copies together the newest ``most``."""
    copies = list(copies)
    sightings = list(
        Sighting.objects.filter(
            tenant__in={copy.tenant_id for copy in copies},
            delivery__in=[copy.id for copy in copies],
        )
        .order_by("-observed_at", "-observation_id")
        .values_list("delivery_id", "observation_id", "observed_at")[:most]
    )
    # The times prune partitions.
    rows = Observation.objects.filter(
        id__in=[seen for _, seen, _ in sightings], observed_at__in={at for _, _, at in sightings}
    ).in_bulk()
    found: dict[UUID, list[Observation]] = defaultdict(list)
    for delivery_id, observation_id, _ in reversed(sightings):
        if observation_id in rows:
            found[delivery_id].append(rows[observation_id])
    return found
