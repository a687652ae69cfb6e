"""Where a client's layers or its mail host disturb each other, as pages and the API say it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from console.queries.blindness import Blind, Blindness
from console.queries.clients import ClientRow
from incidents.interference import Fix, fixes_of, harm_of, what_is_wrong
from incidents.models import Delivery, Incident, Interference
from incidents.opening import open_bypass
from tenants.ids import as_uuid
from tenants.models import Tenant

Kind = Interference.Kind
# What must be on record of a copy for a check to look at it.
_COMPARED = {
    Kind.HEADER: "copies that the gateway passed and their mailboxes have shown",
    Kind.CONNECTOR: "copies of senders whom the gateway found in order, with what the mail host"
    " found of the same",
    Kind.LINKS: "copies with links that both layers have read",
    Kind.DOUBLE_QUARANTINE: "copies that the gateway passed as harmless or a person released",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One finding.  ``proof``: the newest of its ``copies``, newest first."""

    cause: str
    value: str
    words: str
    harm: str
    fixes: tuple[Fix, ...]
    copies: int
    first_at: datetime
    last_at: datetime
    proof: list[Delivery]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """``state``: ``found``; ``clear``, nothing among ``copies``; ``nothing``, no copy to compare;
    ``blind``, not known now; ``absent``, a layer is not there; ``unlooked``, the worker has not
    looked yet.  Times are None only then.
    """

    kind: str
    title: str
    compared: str
    state: str
    copies: int = 0
    is_cut: bool = False
    since: datetime | None = None
    looked_at: datetime | None = None
    found: list[Found]


@dataclass(frozen=True, slots=True)
class Page:
    """``bypass``: the open incident of mail around the gateway, which no check finds again."""

    client: Tenant
    blind: Blind
    checks: list[Check]
    bypass: Incident | None
    bypass_mails: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A client in a list.  ``state`` as of a ``Check``, the one that needs most of the reader."""

    state: str
    findings: int
    copies: int
    since: datetime | None


def interference_page(client: Tenant) -> Page:
    """Needs the client's scope; as many queries however much mail there is."""
    blind = Blindness([client.id]).of(client.id)
    rows = {row.kind: row for row in Interference.objects.filter(tenant=client)}
    copies = _proof(client, rows.values())
    bypass = open_bypass(client)
    return Page(
        client=client,
        blind=blind,
        checks=[_check(kind, rows.get(kind), blind, copies) for kind in Kind.values],
        bypass=bypass,
        bypass_mails=bypass.memberships.count() if bypass else 0,
    )


def with_summary(clients: Iterable[ClientRow]) -> list[tuple[ClientRow, Summary]]:
    """Each client with what its checks found; one query more."""
    clients = list(clients)
    rows: dict[int, list[Interference]] = {}
    for row in Interference.objects.filter(tenant__in=[one.client.id for one in clients]):
        rows.setdefault(row.tenant_id, []).append(row)
    return [(one, _summary(rows.get(one.client.id, []), one.blind)) for one in clients]


_URGENT_FIRST = ("found", "blind", "unlooked", "absent", "clear", "nothing")


def _summary(rows: list[Interference], blind: Blind) -> Summary:
    states = [_state(row, blind) for row in rows] or [_state(None, blind)]
    return Summary(
        state=min(states, key=_URGENT_FIRST.index),
        findings=sum(len(_findings(row)) for row in rows),
        copies=max((row.copies for row in rows), default=0),
        since=max((row.since for row in rows), default=None),
    )


def _state(row: Interference | None, blind: Blind) -> str:
    if row is not None and _findings(row):
        return "found"
    if blind.layers:
        return "blind"
    if not (row and row.copies) and not (blind.has_gateway and blind.has_mailbox):
        return "absent"
    if row is None:
        return "unlooked"
    return "clear" if row.copies else "nothing"


def _findings(row: Interference) -> list[dict[str, Any]]:
    return [each for each in row.findings if isinstance(each, dict)]


def _proof(client: Tenant, rows: Iterable[Interference]) -> dict[UUID, Delivery]:
    ids = {
        found
        for row in rows
        for each in _findings(row)
        for one in each["proof"]
        if (found := as_uuid(one))
    }
    copies = Delivery.objects.filter(tenant=client, id__in=ids)
    return {copy.id: copy for copy in copies.prefetch_related("message", "tenant")}


def _check(
    kind: str, row: Interference | None, blind: Blind, copies: dict[UUID, Delivery]
) -> Check:
    plain: dict[str, Any] = {
        "kind": kind,
        "title": Kind(kind).label,
        "compared": _COMPARED[Kind(kind)],
    }
    state = _state(row, blind)
    if row is None:
        return Check(**plain, state=state, found=[])
    return Check(
        **plain,
        state=state,
        copies=row.copies,
        is_cut=row.is_cut,
        since=row.since,
        looked_at=row.looked_at,
        found=[_found(each, row.copies, copies) for each in _findings(row)],
    )


def _found(each: dict[str, Any], of: int, copies: dict[UUID, Delivery]) -> Found:
    cause, value = each["cause"], each["value"]
    ids = [found for one in each["proof"] if (found := as_uuid(one))]
    return Found(
        cause=cause,
        value=value,
        words=what_is_wrong(cause, value, each["copies"], of),
        harm=harm_of(cause),
        fixes=fixes_of(cause, value),
        copies=each["copies"],
        first_at=datetime.fromisoformat(each["first_at"]),
        last_at=datetime.fromisoformat(each["last_at"]),
        proof=[copies[one] for one in ids if one in copies],
    )
