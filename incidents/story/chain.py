"""Whom a mail was passed on to, and by them again, as the sent items tell it (FEATURES 52).

A step is proven by the sent mail of whoever took it.  What arrived of it is found by that mail's
Message-ID **and** its sender: an id alone anybody can write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from incidents.models import Delivery, Observation
from incidents.models.mail import Direction, Place
from incidents.story.lines import Line, Names, join
from incidents.story.reading import read_and_did
from incidents.story.sender import Client
from tenants.scope import Role, current_scope

DEEPEST, MOST = 5, 100
CLOCKS_DIFFER = timedelta(hours=1)
_BY_SENT_ITEMS = "Seen in the sent items."


@dataclass(frozen=True, slots=True)
class Step:
    """``copy`` was passed on to ``recipients``; ``arrived``: what lies in the client's mailboxes of
    what was sent.
    """

    copy: Delivery
    recipients: tuple[str, ...]
    arrived: tuple[Delivery, ...]


def chain_of(tenant_id: int, copies: Sequence[Delivery]) -> list[Step]:
    """The steps of these copies, then those of what arrived, at most ``DEEPEST`` times."""
    steps: list[Step] = []
    waiting = [copy for copy in copies if copy.forwarded_by][:MOST]
    proofs: set[UUID | None] = set()
    for _depth in range(DEEPEST):
        waiting = [copy for copy in waiting if copy.forwarded_by not in proofs]
        if not waiting or len(steps) >= MOST:
            break
        proofs |= {copy.forwarded_by for copy in waiting}
        found = _steps(tenant_id, waiting)
        steps += found
        waiting = [copy for step in found for copy in step.arrived if copy.forwarded_by][:MOST]
    return steps


def _steps(tenant_id: int, copies: Sequence[Delivery]) -> list[Step]:
    since = min(copy.forwarded_at for copy in copies if copy.forwarded_at) - CLOCKS_DIFFER
    rows = Observation.objects.filter(
        tenant=tenant_id, observed_at__gte=since, id__in=[copy.forwarded_by for copy in copies]
    )
    sent = {row.id: row for row in rows.only("id", "internet_message_id", "mail")}
    arrived = _arrived(tenant_id, sent.values())
    return [
        Step(
            copy,
            _recipients(sent[copy.forwarded_by].mail),
            tuple(arrived[_name(sent[copy.forwarded_by])]),
        )
        for copy in copies
        if copy.forwarded_by in sent
    ]


def _arrived(tenant_id: int, sent: Any) -> dict[tuple[str, str], list[Delivery]]:
    names = {_name(each) for each in sent}
    ids = [message_id for message_id, sender in names if message_id and sender]
    found: dict[tuple[str, str], list[Delivery]] = defaultdict(list)
    rows = Delivery.objects.filter(
        tenant=tenant_id,
        message__tenant=tenant_id,
        message__internet_message_id__in=ids,
        direction=Direction.INTERNAL,
    )
    for copy in rows.select_related("message").order_by("recipient")[:MOST] if ids else ():
        name = (copy.message.internet_message_id, copy.message.sender_address)
        if name in names:
            found[name].append(copy)
    return found


def _name(sent: Observation) -> tuple[str, str]:
    sender = sent.mail.get("sender") or {}
    return sent.internet_message_id, str(sender.get("address") or sent.recipient)


def _recipients(mail: dict[str, Any]) -> tuple[str, ...]:
    people = [*(mail.get("to") or ()), *(mail.get("cc") or ())]
    return tuple(sorted({str(each.get("address") or "") for each in people} - {""}))


def chain_lines(
    copies: Sequence[Delivery],
    seen: Mapping[Any, Sequence[Observation]],
    names: Names,
    client: Client,
) -> Iterator[Line]:
    """In the portal without the recipients: it does not read what layers wrote."""
    forwarded = [copy for copy in copies if copy.forwarded_at]
    is_portal = current_scope().role is Role.PORTAL
    steps = [] if is_portal or not forwarded else chain_of(client.tenant.id, copies)
    told = {step.copy.id for step in steps}
    steps += [Step(copy, (), ()) for copy in forwarded if copy.id not in told]
    for step in steps:
        assert step.copy.forwarded_at is not None
        short = [_short(each, names, client) for each in step.recipients]
        who = _short(step.copy.recipient, names, client)
        is_first = read_and_did(step.copy, seen.get(step.copy.id, ()), step.copy.forwarded_at)
        yield Line(
            at=step.copy.forwarded_at,
            lane="person",
            lead=_passed_on(who, short, is_first=is_first),
            text=" ".join(filter(None, (_BY_SENT_ITEMS, _where(step, names, client)))),
            source=f"observation:{step.copy.forwarded_by}",
            recipients=(step.copy.recipient,),
            names_them=True,
        )


def _passed_on(who: str, whom: Sequence[str], *, is_first: bool) -> str:
    """``is_first``: that she read it is told nowhere else."""
    if whom:
        return f"{who} {'read it and ' if is_first else ''}passed it on to {join(whom)}."
    did = _("%(who)s read it and passed it on.") if is_first else _("%(who)s passed it on.")
    return did % {"who": who}


def _short(address: str, names: Names, client: Client) -> str:
    """Outsiders always by their whole address."""
    return names.of(address) if address.rpartition("@")[2] in client.domains else address


def _where(step: Step, names: Names, client: Client) -> str:
    places = {copy.recipient: copy.place for copy in step.arrived}
    outside = [each for each in step.recipients if each.rpartition("@")[2] not in client.domains]
    said = [
        f"{_short(each, names, client)}: {Place(place).label.lower()}"
        for each, place in places.items()
    ]
    parts = [f"What arrived of it: {join(said)}."] if said else []
    if outside:
        verb = "is" if len(outside) == 1 else "are"
        parts.append(f"{join(outside)} {verb} outside {client.name}: nobody can pull it there.")
    return " ".join(parts)
