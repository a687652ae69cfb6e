"""How far Bailey goes by itself in a mailbox: only tell, ask before each pull, or act.

A mode is set for a client, or for a group of its directory.  The written rule:

1. a group's mode goes before the client's, be it stricter or not: it is the more specific word;
2. of several groups of one mailbox the most cautious mode counts (``CAUTIOUS_FIRST``);
3. a group that is gone from the directory decides nothing;
4. where nobody has set anything, Bailey asks.

``modes_of(tenant_id)`` reads them; ``Modes.of(address)`` answers the mode with where it comes
from.  ``set_mode`` changes one, at once or from a time on; until then the former counts, and the
page shows both.  It is the one switch for pulls that nobody has asked for: late verdicts, the herd
rule, standing orders and the mailbox layer's own verdicts all go by it.  docs/mailbox-layer.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from incidents.models import Delivery, LateVerdicts, LayerMode, PullProposal
from tenants.audit import Actor, write_audit
from tenants.errors import NotThere, WrongInput
from tenants.models import Mailbox, MailboxGroup, MailboxGroupMember, Person, Tenant
from tenants.people import must_lead
from tenants.work import want_work

CHANGED = "incidents.mode.changed"
QUEUE = "respond"
Mode = LayerMode.Mode
# Of several groups the first of these that one of them has.
CAUTIOUS_FIRST = (Mode.MONITOR, Mode.ASK, Mode.AUTO)
UNSET = Mode.ASK
LEADS = "How far Bailey goes by itself is a lead's to say. Anybody can stop it: late verdicts."
FURTHEST = timedelta(days=90)
EFFECTS = {
    Mode.MONITOR: (
        "Bailey opens incidents and tells. It moves nothing by itself and asks for nothing: neither"
        " late verdicts nor reports nor standing orders touch these mailboxes. A person can still"
        " pull by hand."
    ),
    Mode.ASK: (
        "Bailey opens incidents and prepares each pull; a person confirms it with one click. A"
        " standing order is such a confirmation for the later copies of its incident."
    ),
    Mode.AUTO: (
        "Bailey pulls by itself what a layer condemns as phishing, fraud or malware and is sure of,"
        " up to the client's limit of copies. What is doubtful or too much waits for a person."
        " Every pull is read back and can be undone."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """The mode of one mailbox or scope.  ``group`` None: the client's own, or, with ``row`` None,
    Bailey's default.
    """

    mode: Mode
    group: MailboxGroup | None = None
    row: LayerMode | None = None

    @property
    def origin(self) -> str:
        """Where it comes from, in words."""
        if self.group is not None:
            return f"group {self.group.name}"
        return "the client" if self.row is not None else "nobody has set one"


class Modes:
    """Of one client, as they are in force at one moment."""

    def __init__(
        self,
        client: Effective,
        groups: dict[UUID, Effective],
        groups_of: dict[str, list[UUID]],
        pending: Sequence[LayerMode],
    ) -> None:
        """``groups_of``: address of a mailbox, or alias, → its groups that have a mode."""
        self.client = client
        self.groups = groups
        self.pending = tuple(pending)
        self._groups_of = groups_of

    def of(self, address: str) -> Effective:
        """Of the mailbox behind this address, whichever of its names it is."""
        theirs = [self.groups[each] for each in self._groups_of.get(address.lower(), ())]
        if not theirs:
            return self.client
        return min(theirs, key=lambda each: (CAUTIOUS_FIRST.index(each.mode), str(each.group)))

    def of_copies(self, copies: Iterable[Delivery], *modes: Mode) -> list[Delivery]:
        """Those that lie in mailboxes of one of these modes."""
        return [copy for copy in copies if self.of(copy.recipient).mode in modes]

    def later(self, group_id: UUID | None) -> LayerMode | None:
        """What has been decided for this scope and is not in force yet."""
        return next((row for row in self.pending if row.group_id == group_id), None)

    @property
    def may_act(self) -> bool:
        """Is there a mailbox in which Bailey acts by itself?"""
        return any(each.mode is Mode.AUTO for each in (self.client, *self.groups.values()))

    @property
    def changed_at(self) -> datetime | None:
        """When the last of them came into force; None: nobody has set any."""
        rows = [each.row for each in (self.client, *self.groups.values())]
        return max((row.effective_from for row in rows if row), default=None)

    @property
    def next_change_at(self) -> datetime | None:
        return min((row.effective_from for row in self.pending), default=None)

    def replaced(self, group: MailboxGroup | None, mode: str) -> Modes:
        """As they would be with this mode in that scope; nothing is written."""
        return self._with(group, mode, self._members_with(group) if group else self._groups_of)

    def _members_with(self, group: MailboxGroup) -> dict[str, list[UUID]]:
        members = {name for box in _boxes_in([group.id]) for name in _names(box[1])}
        names = members | self._groups_of.keys()
        return {
            name: sorted({*self._groups_of.get(name, ()), *([group.id] if name in members else ())})
            for name in names
        }

    def _with(
        self, group: MailboxGroup | None, mode: str, groups_of: dict[str, list[UUID]]
    ) -> Modes:
        if group is None:
            client = Effective(mode=Mode(mode), row=self.client.row or LayerMode())
            return Modes(client, self.groups, groups_of, self.pending)
        groups = {key: each for key, each in self.groups.items() if key != group.id}
        if mode:
            groups[group.id] = Effective(mode=Mode(mode), group=group)
        kept = {name: [each for each in ids if each in groups] for name, ids in groups_of.items()}
        return Modes(self.client, groups, kept, self.pending)


def modes_of(tenant_id: int, *, at: datetime | None = None) -> Modes:
    """``at`` None: now.  Needs the client's scope.  Without modes for groups, one query."""
    at = at or timezone.now()
    rows = LayerMode.objects.filter(tenant=tenant_id, dropped_at=None)
    in_force: dict[UUID | None, LayerMode] = {}
    pending = []
    for row in rows.order_by("effective_from", "set_at", "id"):
        if row.effective_from <= at:
            in_force[row.group_id] = row
        else:
            pending.append(row)
    own = in_force.pop(None, None)
    client = Effective(mode=Mode(own.mode) if own else UNSET, row=own)
    wanted = {key: row for key, row in in_force.items() if key is not None and row.mode}
    if not wanted:
        return Modes(client, {}, {}, pending)
    standing = MailboxGroup.objects.filter(tenant=tenant_id, id__in=list(wanted), gone_at=None)
    groups = {
        group.id: Effective(mode=Mode(wanted[group.id].mode), group=group, row=wanted[group.id])
        for group in standing
    }
    groups_of: dict[str, list[UUID]] = {}
    for group_id, box in _boxes_in(list(groups)):
        for name in _names(box):
            groups_of.setdefault(name, []).append(group_id)
    return Modes(client, groups, groups_of, pending)


def _boxes_in(group_ids: Sequence[UUID]) -> list[tuple[UUID, Mailbox]]:
    rows = MailboxGroupMember.objects.filter(group__in=group_ids).select_related("mailbox")
    return [(row.group_id, row.mailbox) for row in rows]


def _names(box: Mailbox) -> set[str]:
    return {name.lower() for name in (box.address, *box.aliases)}


def wish_of(tenant_id: int) -> LateVerdicts:
    """The client's limits and its switch; where none is stored, everything is asked."""
    return LateVerdicts.objects.filter(tenant_id=tenant_id).first() or LateVerdicts(
        tenant_id=tenant_id
    )


def govern_some(tenant_id: int) -> set[UUID]:
    """The groups for which a mode was ever decided and that may still count."""
    rows = LayerMode.objects.filter(tenant=tenant_id, dropped_at=None, group__isnull=False)
    return set(rows.values_list("group_id", flat=True))


@transaction.atomic
def set_mode(
    *,
    tenant: Tenant,
    mode: str,
    actor: Person | Actor,
    group: MailboxGroup | None = None,
    effective_from: datetime | None = None,
    reason: str = "",
) -> LayerMode:
    """Decide the mode of a client, or of one of its groups ("": as the client).

    ``effective_from`` None: at once.  What was decided for the same scope and is not in force yet
    gives way.  Raises ``NotAllowed`` for anybody but a lead, ``WrongInput`` or ``NotThere``.
    """
    must_lead(actor, LEADS)
    now = timezone.now()
    at = _checked(tenant, mode, group, effective_from, now)
    scope = LayerMode.objects.filter(tenant=tenant, group=group, dropped_at=None)
    # Of two people who decide at once the second sees the first's.
    list(Tenant.objects.select_for_update().filter(id=tenant.id).values_list("id"))
    scope.filter(effective_from__gt=now).update(dropped_at=now)
    before = scope.filter(effective_from__lte=now).order_by("-effective_from", "-set_at").first()
    row: LayerMode = LayerMode.objects.create(
        tenant=tenant,
        group=group,
        mode=mode,
        effective_from=at,
        reason=reason.strip()[:1000],
        set_by_id=actor.id,
        set_by=actor.name,
    )
    write_audit(
        CHANGED,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="layer_mode",
        object_id=row.id,
        reason=row.reason,
        before=before.mode if before else "",
        after=mode,
        group=str(group or ""),
        effective_from=at.isoformat(),
    )
    # What waited may be wanted now, or no longer.
    PullProposal.objects.filter(tenant=tenant, state=PullProposal.State.OPEN).update(looked_at=None)
    want_work(tenant.id, QUEUE, at=None if at <= now else at)
    return row


def _checked(
    tenant: Tenant,
    mode: str,
    group: MailboxGroup | None,
    effective_from: datetime | None,
    now: datetime,
) -> datetime:
    """When it comes into force.  Raises ``WrongInput`` or ``NotThere``."""
    if group is not None and group.tenant_id != tenant.id:
        raise NotThere
    if mode not in Mode.values and not (group is not None and mode == ""):
        raise WrongInput("A mode is one of monitor, ask and auto; a group may have none.")
    if group is not None and group.gone_at is not None and mode:
        raise WrongInput(f"The group {group.name} is gone from the directory: it decides nothing.")
    at = effective_from or now
    if at > now + FURTHEST:
        raise WrongInput(f"A mode comes into force within {FURTHEST.days} days.")
    return max(at, now)


def groups_with_modes(tenant_id: int) -> Q:
    """For ``MailboxGroup.objects.filter``: standing groups, and gone ones that had a mode."""
    return Q(gone_at=None) | Q(id__in=govern_some(tenant_id))
