"""A change of mode before it is made: what it would have meant for the last thirty days.

The rehearsal of the gateway (seg_bridge/rehearsal.py) decides mail anew; a mode decides nothing of
a mail, only what Bailey does with it.  So it is counted from the verdicts on record.  Pure reading.

A person's change of mode is made only with the mark of its rehearsal: page and API alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core import signing
from django.db import transaction
from django.utils import timezone

from incidents.models import Delivery, LayerMode, PullProposal
from incidents.modes import LEADS, Mode, Modes, modes_of, set_mode
from incidents.proposals import copies_of_proposal
from incidents.words import GRAVE, HARMLESS
from tenants.errors import Conflict
from tenants.models import MailboxGroup, Person, Tenant
from tenants.people import must_lead

LOOKED_BACK = timedelta(days=30)
MOST = 20_000
SHOWN = 100
FRESH_FOR = timedelta(hours=1)
_SALT = "incidents.mode_rehearsal"


@dataclass(frozen=True, slots=True)
class Changed:
    """Copies whose mailbox would have another mode; ``mistaken``: called harmless by a person."""

    before: Mode
    after: Mode
    copies: int
    mistaken: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeForecast:
    """``condemned``: copies that the mailbox layer called grave since then, of the whole client.
    ``now_moved``: copies that wait, and that Bailey would go and pull as soon as it is in force.
    ``shown``: the newest of the changed ones.
    """

    since: datetime
    condemned: int
    changed: list[Changed]
    mailboxes: int
    now_moved: int
    shown: list[Delivery]

    @property
    def is_empty(self) -> bool:
        return not self.changed


def rehearse_mode(tenant_id: int, group: MailboxGroup | None, mode: str) -> ModeForecast:
    """``mode`` "" for a group: as the client.  Needs the client's scope; writes nothing."""
    now = modes_of(tenant_id)
    then = now.replaced(group, mode)
    since = timezone.now() - LOOKED_BACK
    copies = list(
        Delivery.objects.select_related("message")
        .filter(tenant=tenant_id, received_at__gte=since, mailbox_verdict__in=GRAVE)
        .order_by("-received_at", "-id")[:MOST]
    )
    other = [copy for copy in copies if _modes(copy, now, then)[0] != _modes(copy, now, then)[1]]
    return ModeForecast(
        since=since,
        condemned=len(copies),
        changed=_counted(other, now, then),
        mailboxes=len({copy.recipient for copy in other}),
        now_moved=_now_moved(tenant_id, now, then),
        shown=other[:SHOWN],
    )


def _modes(copy: Delivery, now: Modes, then: Modes) -> tuple[Mode, Mode]:
    return now.of(copy.recipient).mode, then.of(copy.recipient).mode


def _counted(copies: Iterable[Delivery], now: Modes, then: Modes) -> list[Changed]:
    all_of: Counter[tuple[Mode, Mode]] = Counter()
    mistaken: Counter[tuple[Mode, Mode]] = Counter()
    for copy in copies:
        pair = _modes(copy, now, then)
        all_of[pair] += 1
        mistaken[pair] += copy.person_verdict in HARMLESS
    return [Changed(*pair, n, mistaken[pair]) for pair, n in sorted(all_of.items())]


def _now_moved(tenant_id: int, now: Modes, then: Modes) -> int:
    """Of what waits; what the layer is not sure of goes on waiting, so it is the most."""
    rows = PullProposal.objects.filter(tenant=tenant_id, state=PullProposal.State.OPEN)
    waiting = [copy for row in rows.select_related("incident") for copy in copies_of_proposal(row)]
    return sum(
        then.of(copy.recipient).mode is Mode.AUTO and now.of(copy.recipient).mode is not Mode.AUTO
        for copy in waiting
    )


# --- made only as it was rehearsed


def mark_of(tenant: Tenant, group: MailboxGroup | None, mode: str, person: Person) -> str:
    """Proves for an hour that this person had this very change rehearsed, as the modes stood then.

    It names no secret: whoever has it could see the client's modes anyway.
    """
    return signing.dumps(_what(tenant, group, mode, person), salt=_SALT)


@transaction.atomic
def set_rehearsed_mode(
    *,
    rehearsal: str,
    tenant: Tenant,
    mode: str,
    actor: Person,
    group: MailboxGroup | None = None,
    effective_from: datetime | None = None,
    reason: str = "",
) -> LayerMode:
    """As ``set_mode``, and only with the mark of a rehearsal of it.

    Raises ``Conflict`` where that is of something else, an hour old, or somebody decided a mode of
    this client since; and as ``set_mode`` does.
    """
    must_lead(actor, LEADS)
    list(Tenant.objects.select_for_update().filter(id=tenant.id).values_list("id"))
    try:
        seen = signing.loads(rehearsal, salt=_SALT, max_age=FRESH_FOR)
    except signing.SignatureExpired:
        raise Conflict("This rehearsal is more than an hour old. Rehearse it again.") from None
    except signing.BadSignature:
        raise Conflict("Rehearse this change first: nothing was changed.") from None
    wanted = _what(tenant, group, mode, actor)
    if {**seen, "decided": ""} != {**wanted, "decided": ""}:
        raise Conflict("Another change was rehearsed. Rehearse this one: nothing was changed.")
    if seen["decided"] != wanted["decided"]:
        raise Conflict("Somebody decided a mode of this client since. Rehearse it again.")
    return set_mode(
        tenant=tenant,
        group=group,
        mode=mode,
        actor=actor,
        effective_from=effective_from,
        reason=reason,
    )


def _what(
    tenant: Tenant, group: MailboxGroup | None, mode: str, person: Person
) -> dict[str, str | int]:
    latest = LayerMode.objects.filter(tenant=tenant).order_by("-set_at", "-id").first()
    return {
        "tenant": tenant.id,
        "group": str(group.id) if group else "",
        "mode": mode,
        "person": str(person.id),
        "decided": str(latest.id) if latest else "",
    }
