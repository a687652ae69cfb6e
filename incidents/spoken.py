"""What people and the mail host itself say of copies: their latest word stands on each copy."""

from __future__ import annotations

from collections.abc import Sequence

from incidents.bulk import run
from incidents.known import Copy, Known, Seen
from incidents.words import Layer


def store_spoken(known: Known) -> None:
    """Writes the words of this batch; an older one changes nothing."""
    for layer, statement in _STORE.items():
        latest: dict[object, tuple[Seen, Copy]] = {}
        for seen, copy in known.sights:
            if seen.layer != layer or seen.verdict is None:
                continue
            before = latest.get(copy.id)
            if before is None or before[0].observed_at <= seen.observed_at:
                latest[copy.id] = seen, copy
        if latest:
            _store(statement, known.tenant_id, list(latest.values()))


def _store(statement: str, tenant_id: int, words: Sequence[tuple[Seen, Copy]]) -> None:
    run(
        statement,
        [
            [copy.id for _, copy in words],
            [seen.verdict for seen, _ in words],
            [seen.observed_at for seen, _ in words],
            tenant_id,
        ],
    )


_WRITE = """
UPDATE incidents_delivery d SET {layer}_verdict = w.verdict, {layer}_at = w.at
FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS w (id, verdict, at)
WHERE d.tenant_id = %s AND d.id = w.id AND (d.{layer}_at IS NULL OR d.{layer}_at <= w.at)
"""
_STORE = {layer: _WRITE.format(layer=layer) for layer in (Layer.PERSON, Layer.VENDOR)}
