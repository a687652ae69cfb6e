"""How fast the work is done: each figure with its formula, median, p90 and incidents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from django.db.models import Aggregate, Count, DurationField, ExpressionWrapper, F, Q, QuerySet
from django.utils.duration import duration_iso_string

from console.lib.cursor import PAGE, read_cursor, read_id, read_length, write_cursor
from incidents.models import Incident
from tenants.errors import NotThere


@dataclass(frozen=True, slots=True)
class Measure:
    """``formula`` in the words of the fields that the API shows."""

    key: str
    name: str
    formula: str
    start: str
    end: str


MEASURES = {
    measure.key: measure
    for measure in (
        Measure(
            "detect",
            "Time to detect",
            "opened_at − first_seen: from the first sight of the mail by any layer to its incident",
            "first_seen_at",
            "opened_at",
        ),
        Measure(
            "triage",
            "Time to triage",
            "triaged_at − opened_at: until somebody took it or decided what it is",
            "opened_at",
            "triaged_at",
        ),
        Measure(
            "act",
            "Time to act",
            "acted_at − opened_at: until the first pull, restore, release or block was ordered",
            "opened_at",
            "acted_at",
        ),
        Measure(
            "contain",
            "Time to contain",
            "contained_at − opened_at: until nothing was within anybody's reach any more",
            "opened_at",
            "contained_at",
        ),
        Measure(
            "resolve",
            "Time to resolve",
            "resolved_at − opened_at: until it was closed with a cause",
            "opened_at",
            "resolved_at",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Figure:
    """Of ``n`` incidents; ``median`` and ``p90`` are None where there is none."""

    measure: Measure
    n: int
    median: timedelta | None
    p90: timedelta | None


class _Percentile(Aggregate):
    function = "percentile_cont"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = DurationField()


def incidents_behind(key: str, opened: QuerySet[Incident]) -> QuerySet[Incident]:
    """The incidents whose times make this figure, with ``took``, the longest first.

    Raises ``NotThere``.
    """
    if key not in MEASURES:
        raise NotThere
    measure = MEASURES[key]
    took = ExpressionWrapper(F(measure.end) - F(measure.start), output_field=DurationField())
    measured = opened.filter(**{f"{measure.end}__isnull": False}).annotate(took=took)
    return measured.order_by("-took", "id")


def page_behind(
    key: str, opened: QuerySet[Incident], cursor: str
) -> tuple[list[Incident], str, int]:
    """A page of ``incidents_behind`` with their clients, the cursor of the next ("" at the end),
    and how many there are.  Raises ``NotThere``, or ``WrongInput`` for a cursor that is none.
    """
    found = incidents_behind(key, opened)
    n, below = found.count(), found.select_related("tenant")
    after = read_cursor(cursor, str, str)
    if after:
        took, last_id = read_length(after[0]), read_id(after[1])
        below = below.filter(Q(took__lt=took) | Q(took=took, id__gt=last_id))
    rows = list(below[: PAGE + 1])
    older = ""
    if len(rows) > PAGE:
        took = rows[PAGE - 1].took  # type: ignore[attr-defined]
        older = write_cursor(duration_iso_string(took), rows[PAGE - 1].id)
    return rows[:PAGE], older, n


def figures(opened: QuerySet[Incident]) -> list[Figure]:
    """All five of these incidents, by one statement."""
    return _figures(opened.aggregate(**_aggregates()))


def figures_by_client(opened: QuerySet[Incident]) -> list[tuple[str, str, list[Figure]]]:
    """Short name, name and figures of each client with incidents; by one statement."""
    rows = (
        opened.order_by("tenant__name")
        .values("tenant__slug", "tenant__name")
        .annotate(**_aggregates())
    )
    return [
        (row["tenant__slug"], row["tenant__name"], _figures(cast("dict[str, Any]", row)))
        for row in rows
    ]


def _aggregates() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, measure in MEASURES.items():
        took = ExpressionWrapper(F(measure.end) - F(measure.start), output_field=DurationField())
        found[f"{key}_n"] = Count("id", filter=Q(**{f"{measure.end}__isnull": False}))
        found[f"{key}_median"] = _Percentile(took, share=0.5)
        found[f"{key}_p90"] = _Percentile(took, share=0.9)
    return found


def _figures(row: dict[str, Any]) -> list[Figure]:
    return [
        Figure(measure, row[f"{key}_n"], row[f"{key}_median"], row[f"{key}_p90"])
        for key, measure in MEASURES.items()
    ]
