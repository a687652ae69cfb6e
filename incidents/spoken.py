"""What people and the mail host itself say of copies: their latest word stands on each copy, and
the first time that the host saw a link of it opened.
"""

from __future__ import annotations

from collections.abc import Sequence

from incidents.bulk import by_column, run, with_rows
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
    clicks = [(copy.id, seen.clicked_at, seen.id) for seen, copy in known.sights if seen.clicked_at]
    if clicks:
        first = {each[0]: each for each in sorted(clicks, key=lambda each: each[1:], reverse=True)}
        run(_CLICKED, [*by_column(first.values()), known.tenant_id])


def _store(statement: str, tenant_id: int, words: Sequence[tuple[Seen, Copy]]) -> None:
    rows = ((copy.id, seen.verdict, seen.observed_at) for seen, copy in words)
    run(statement, [*by_column(rows), tenant_id])


_WRITE = """
UPDATE incidents_delivery d SET {layer}_verdict = s.verdict, {layer}_at = s.at FROM {rows}
WHERE d.tenant_id = %s AND d.id = s.id AND (d.{layer}_at IS NULL OR d.{layer}_at <= s.at)
"""
_ROWS = "id uuid, verdict text, at timestamptz"
_STORE = {layer: with_rows(_WRITE, _ROWS, layer=layer) for layer in (Layer.PERSON, Layer.VENDOR)}
_CLICKED = with_rows(
    """
UPDATE incidents_delivery d SET clicked_at = s.at, clicked_by = s.by FROM {rows}
WHERE d.tenant_id = %s AND d.id = s.id AND (d.clicked_at IS NULL OR d.clicked_at > s.at)
""",
    "id uuid, at timestamptz, by uuid",
)
