"""What hangs together: the things that the mails of an incident, or those with one thing, share.

Things stand on both sides and are joined by what they occur in: by groups of equal mails of an
incident, or by the incidents, and the harmless mail of each client, with a thing.  Two things hang
together where one line leads from both to the same middle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse

from console.queries.entities import KINDS, Thing, things_in
from console.queries.entity_lists import newest_mails
from incidents.ledger import Period
from incidents.mail.fingerprint import normal_subject
from incidents.models import Delivery, Incident, IncidentMessage, Message

MOST_MAILS = 300
MOST_NODES = 40
MOST_JOINTS = 12
MOST_LISTED = 500


@dataclass(slots=True, eq=False)
class Joint:
    """What things occur in together.  ``href`` "": it has no page; ``note`` says where it is."""

    label: str
    note: str
    href: str
    mails: int = 0


@dataclass(slots=True, eq=False)
class Node:
    """A thing.  ``mails_in``: in how many mails of each joint it occurs."""

    thing: Thing
    is_focus: bool = False
    first_at: datetime | None = None
    last_at: datetime | None = None
    mails_in: dict[int, int] = field(default_factory=dict)

    @property
    def mails(self) -> int:
        return sum(self.mails_in.values())

    @property
    def href(self) -> str:
        return entity_link("entity", self.thing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """``nodes`` are all things, the best joined first; ``shown`` those that a picture has room for.

    ``mails`` were looked at; ``is_cut``: there are more, and these are the newest.
    """

    joints: list[Joint]
    nodes: list[Node]
    shown: list[Node]
    mails: int
    is_cut: bool

    @property
    def rows(self) -> list[tuple[Node, list[Joint]]]:
        """Each thing with what it occurs in, the biggest first."""
        return [(n, [self.joints[place] for place in sorted(n.mails_in)]) for n in self.nodes]

    @property
    def hidden(self) -> int:
        return len(self.nodes) - len(self.shown)


def entity_link(name: str, thing: Thing) -> str:
    """The address of a thing's page ``name``."""
    return f"{reverse(name)}?{urlencode({'kind': thing.kind.name, 'value': thing.value})}"


def graph_of_incident(incident: Incident) -> Graph:
    found = Message.objects.filter(memberships__incident=incident, tenant=incident.tenant_id)
    mails = list(found.order_by("-first_seen_at", "-id")[: MOST_MAILS + 1])
    growing = _Growing()
    for mail in mails[:MOST_MAILS]:
        subject = normal_subject(mail.subject)
        joint = Joint(
            mail.subject or "(no subject)",
            f"from {mail.sender_address or 'a sender that is not readable'}",
            reverse("message", args=[mail.id]),
        )
        growing.add(mail, (mail.sender_address, subject), joint)
    return growing.graph(is_cut=len(mails) > MOST_MAILS)


def graph_of_thing(thing: Thing, period: Period, *, client: str = "") -> Graph:
    pairs = newest_mails(thing, period, client=client, most=MOST_MAILS + 1)
    clients, ids = {tenant for tenant, _ in pairs}, [mail for _, mail in pairs[:MOST_MAILS]]
    found = Message.objects.filter(tenant__in=clients, id__in=ids, same_as=None)
    members = IncidentMessage.objects.filter(tenant__in=clients, message__in=ids)
    incidents = {
        member.message_id: member.incident for member in members.select_related("incident__tenant")
    }
    growing = _Growing(thing)
    for mail in found.select_related("tenant").order_by("-first_seen_at", "-id"):
        incident = incidents.get(mail.id)
        if incident is not None:
            where = f"Incident #{incident.number} at {incident.tenant.name}"
            joint = Joint(incident.title, where, reverse("incident", args=[incident.id]))
            growing.add(mail, incident.id, joint)
        else:
            growing.add(mail, mail.tenant_id, Joint("In no incident", f"at {mail.tenant.name}", ""))
    return growing.graph(is_cut=len(pairs) > MOST_MAILS)


class _Growing:
    """Mail by mail; ``focus`` is the thing that it is about."""

    def __init__(self, focus: Thing | None = None) -> None:
        self._focus = (focus.kind.name, focus.value) if focus else None
        self._mails: list[tuple[Message, object]] = []
        self._joints: dict[object, Joint] = {}

    def add(self, mail: Message, key: object, joint: Joint) -> None:
        self._mails.append((mail, key))
        self._joints.setdefault(key, joint).mails += 1

    def graph(self, *, is_cut: bool) -> Graph:
        places = self._places()
        nodes: dict[tuple[str, str], Node] = {}
        recipients = _recipients([mail for mail, _ in self._mails])
        for mail, key in self._mails:
            things = {
                (thing.kind.name, thing.value): thing
                for thing in (*things_in(mail), *recipients[mail.id])
            }
            for name, thing in things.items():
                node = nodes.setdefault(name, Node(thing, is_focus=name == self._focus))
                place = places[key]
                node.mails_in[place] = node.mails_in.get(place, 0) + 1
                node.first_at = min(node.first_at or mail.first_seen_at, mail.first_seen_at)
                node.last_at = max(node.last_at or mail.first_seen_at, mail.first_seen_at)
        ordered = sorted(nodes.values(), key=_rank)[:MOST_LISTED]
        joints = self._ordered_joints()
        return Graph(
            joints=joints,
            nodes=ordered,
            shown=_chosen(ordered, MOST_NODES - len(joints)),
            mails=len(self._mails),
            is_cut=is_cut,
        )

    def _ordered_joints(self) -> list[Joint]:
        """The biggest; with too many, the small ones are one."""
        ordered = sorted(self._joints.values(), key=lambda each: -each.mails)
        if len(ordered) <= MOST_JOINTS:
            return ordered
        rest = ordered[MOST_JOINTS - 1 :]
        mails = sum(each.mails for each in rest)
        return [*ordered[: MOST_JOINTS - 1], Joint(f"{len(rest)} more", "together", "", mails)]

    def _places(self) -> dict[object, int]:
        """Where in ``_ordered_joints`` each stands."""
        ordered = sorted(self._joints, key=lambda key: -self._joints[key].mails)
        last = min(len(ordered), MOST_JOINTS) - 1
        return {key: min(place, last) for place, key in enumerate(ordered)}


def _rank(node: Node) -> tuple[bool, int, int, int, str]:
    """What joins most stands first."""
    order = list(KINDS).index(node.thing.kind.name)
    return not node.is_focus, -len(node.mails_in), -node.mails, order, node.thing.value


def _chosen(ordered: Sequence[Node], most: int) -> list[Node]:
    """The best of each kind in turn, so that many recipients do not hide the one link."""
    by_kind: dict[str, list[Node]] = defaultdict(list)
    for node in ordered:
        by_kind[node.thing.kind.name].append(node)
    in_turn = zip_longest(*(by_kind[name] for name in KINDS))
    return [node for row in in_turn for node in row if node is not None][:most]


def _recipients(mails: Iterable[Message]) -> dict[UUID, list[Thing]]:
    mails = list(mails)
    copies = Delivery.objects.filter(
        tenant__in={mail.tenant_id for mail in mails}, message__in=[mail.id for mail in mails]
    )
    found: dict[UUID, list[Thing]] = defaultdict(list)
    for mail, address in copies.values_list("message_id", "recipient"):
        found[mail].append(Thing(KINDS["mailbox"], address, address))
    return found
