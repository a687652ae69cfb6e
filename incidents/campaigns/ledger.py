"""Reading and writing the edge ledger.  Rows are only ever added; all in the client's scope."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from incidents.campaigns.canonical import Words
from incidents.campaigns.evidence import VERSION, Link
from incidents.campaigns.partition import partition
from incidents.models import Edge, Regrouping
from tenants.audit import BAILEY, Actor
from tenants.models import Person

Who = Person | Actor


def standing(level: str = "") -> QuerySet[Edge]:
    """Every row that says something and was not withdrawn; of one level if it is named."""
    withdrawn = Edge.objects.filter(tenant=OuterRef("tenant"), withdraws=OuterRef("pk"))
    rows: QuerySet[Edge] = Edge.objects.exclude(act=Edge.Act.WITHDRAWAL).exclude(Exists(withdrawn))
    return rows.filter(level=level) if level else rows


def touching(rows: QuerySet[Edge], message_ids: Collection[UUID]) -> QuerySet[Edge]:
    """Those of ``rows`` with an end among these mails."""
    return rows.filter(Q(a__in=message_ids) | Q(b__in=message_ids))


def words_of_people(level: str, message_ids: Collection[UUID]) -> Words:
    """What people said of these mails.  Pairs with one end elsewhere are among them."""
    rows = touching(standing(level), message_ids).filter(act__in=(Edge.Act.MUST, Edge.Act.CANNOT))
    together: list[tuple[UUID, UUID]] = []
    apart: list[tuple[UUID, UUID]] = []
    for act, a, b in rows.order_by("id").values_list("act", "a_id", "b_id"):
        (together if act == Edge.Act.MUST else apart).append((a, b))
    return Words(tuple(together), tuple(apart))


def write_links(tenant_id: int, level: str, links: Iterable[Link], total: int) -> list[Edge]:
    """Bailey's own evidence: a row for each part of a link."""
    rows = [
        Edge(
            tenant_id=tenant_id,
            level=level,
            act=Edge.Act.LINK,
            a_id=link.a,
            b_id=link.b,
            kind=part.kind,
            value=part.value,
            label=part.label,
            messages=part.messages,
            total=None if part.messages is None else total,
            weight=round(part.weight, 3),
            version=VERSION,
            who=BAILEY.name,
            reason=f"{part.share:.0%}" if part.share else "",
        )
        for link in links
        for part in link.parts
    ]
    return Edge.objects.bulk_create(rows)


def write_words(
    tenant_id: int,
    level: str,
    *,
    together: Iterable[tuple[UUID, UUID]] = (),
    apart: Iterable[tuple[UUID, UUID]] = (),
    who: Who,
    reason: str,
) -> list[Edge]:
    """A person's word on pairs of mails; it holds until it is withdrawn."""
    rows = [
        Edge(
            tenant_id=tenant_id,
            level=level,
            act=act,
            a_id=min(pair),
            b_id=max(pair),
            who=who.name,
            who_id=who.id,
            reason=reason,
        )
        for act, pairs in ((Edge.Act.MUST, together), (Edge.Act.CANNOT, apart))
        for pair in pairs
    ]
    return Edge.objects.bulk_create(rows)


def withdraw(rows: Sequence[Edge], *, who: Who, reason: str) -> list[Edge]:
    """Each row stands no longer; repeating it for one that was withdrawn already does nothing."""
    withdrawals = [
        Edge(
            tenant_id=row.tenant_id,
            level=row.level,
            act=Edge.Act.WITHDRAWAL,
            a_id=row.a_id,
            b_id=row.b_id,
            withdraws=row.id,
            who=who.name,
            who_id=who.id,
            reason=reason,
        )
        for row in rows
    ]
    return Edge.objects.bulk_create(withdrawals, ignore_conflicts=True)


def repeat(rows: Iterable[Edge], *, instead: Mapping[UUID, UUID] = {}) -> list[Edge]:
    """Says again, word for word, what was withdrawn: how an undo puts evidence back.

    ``instead``: of another mail than before.
    """
    copies = []
    for row in rows:
        values: dict[str, Any] = {
            field.attname: getattr(row, field.attname)
            for field in Edge._meta.concrete_fields
            if field.name not in ("id", "created_at")
        }
        ends = sorted(instead.get(end, end) for end in (row.a_id, row.b_id))
        values["a_id"], values["b_id"] = ends
        copies.append(Edge(**values))
    return Edge.objects.bulk_create(copies)


def kept_apart_still(
    level: str,
    leaving: Sequence[UUID],
    staying: Sequence[UUID],
    *,
    together: Iterable[tuple[UUID, UUID]] = (),
) -> list[tuple[UUID, UUID]]:
    """What people keep apart from one of two parts, and so from the other as long as their words
    hold both together: the pairs that must be said before these words are withdrawn.

    ``together``: what else makes mails one, as being of one incident.
    """
    both = {*leaving, *staying}
    said = words_of_people(level, list(both))
    inside = [(a, b) for a, b in (*said.together, *together) if a in both and b in both]
    root_of = partition(both, (), together=inside).root_of
    first: dict[tuple[UUID, bool], UUID] = {}
    for part, is_leaving in ((leaving, True), (staying, False)):
        for mail in part:
            first.setdefault((root_of[mail], is_leaving), mail)
    gone = set(leaving)
    pairs: dict[tuple[UUID, UUID], None] = {}
    for a, b in (*said.apart, *((b, a) for a, b in said.apart)):
        if a in both and b not in both:
            other = first.get((root_of[a], a not in gone))
            if other is not None:
                pairs[other, b] = None
    return list(pairs)


def say_of_another(tenant_id: int, mail: UUID, other: UUID) -> None:
    """All that stands about ``mail`` stands about ``other`` from now on: it was that one."""
    old = list(touching(standing(), [mail]).filter(tenant=tenant_id).order_by("id"))
    if not old:
        return
    kept = [row for row in old if {row.a_id, row.b_id} != {mail, other}]
    new = repeat(kept, instead={mail: other})
    withdraw(old, who=BAILEY, reason="Its mail turned out to be another one.")
    note_new_ids(tenant_id, {str(a.id): str(b.id) for a, b in zip(kept, new, strict=True)})


def note_new_ids(tenant_id: int, new_ids: Mapping[str, str], *, but: UUID | None = None) -> None:
    """Whoever wrote these rows can still take them back under their new ids."""
    earlier = Regrouping.objects.filter(
        tenant=tenant_id, undone_at=None, record__edges__has_any_keys=list(new_ids)
    )
    for each in earlier if but is None else earlier.exclude(id=but):
        each.record["edges"] = [new_ids.get(edge, edge) for edge in each.record["edges"]]
        each.save(update_fields=["record"])


def crossing(level: str, left: Collection[UUID], right: Collection[UUID]) -> QuerySet[Edge]:
    """Standing rows of any kind between two sets of mails; "": of either level."""
    return standing(level).filter(Q(a__in=left, b__in=right) | Q(a__in=right, b__in=left))
