"""Groups of a client's directory as the scope of entries and policies at the gate.

A group is followed as the mail host's directory has it (api_bridge/groups.py).  What names one
holds for the mailboxes that are in it now: a gate is told their addresses, so that who joins gets
it, and who leaves loses it, with the next snapshot.  A group that is gone from the directory holds
for nobody, and for its mailboxes again once it is back.

People, files and programs write ``group:Finance`` or ``group:<id>`` where an address would stand.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from seg_bridge.gate.policy import normalise_address
from seg_bridge.models import GatewayRule, PolicyLayer
from tenants.errors import NotThere, WrongInput
from tenants.groups import PREFIX
from tenants.ids import as_uuid
from tenants.models import Mailbox, MailboxGroup, MailboxGroupMember


def named_group(tenant_id: int | None, text: str) -> MailboxGroup | None:
    """The group of this client that a recipient names; None: it names an address, or nobody.

    Raises ``WrongInput`` where the client has none of that name, or several.
    """
    wanted = text.strip()
    if not wanted.lower().startswith(PREFIX):
        return None
    if tenant_id is None:
        raise WrongInput("An entry for all clients or for a group of them is for every mailbox.")
    wanted = wanted[len(PREFIX) :].strip()
    known = MailboxGroup.objects.filter(tenant=tenant_id, gone_at=None)
    group_id = as_uuid(wanted)
    found = list(known.filter(id=group_id) if group_id else known.filter(name__iexact=wanted)[:2])
    if not found:
        raise WrongInput(f"The client's directory has no group called {wanted}.")
    if len(found) > 1:
        raise WrongInput(f"Several groups are called {wanted}. Name it by its id: {PREFIX}<id>.")
    return found[0]


def access_group(tenant_id: int, group_id: UUID | str) -> MailboxGroup:
    """Raises ``NotThere``."""
    key = as_uuid(group_id)
    row = MailboxGroup.objects.filter(tenant=tenant_id, id=key).first() if key else None
    if row is None:
        raise NotThere
    return row


def addresses_in(
    tenant_ids: Collection[int], group_ids: Collection[UUID]
) -> dict[UUID, tuple[str, ...]]:
    """Group → every address of its mailboxes, as a gate compares them; none of one that is gone."""
    if not group_ids:
        return {}
    rows = MailboxGroupMember.objects.filter(
        tenant_id__in=tenant_ids, group_id__in=group_ids, group__gone_at=None
    ).exclude(mailbox__state=Mailbox.State.GONE)
    found: dict[UUID, set[str]] = {}
    for group_id, address, aliases in rows.values_list(
        "group_id", "mailbox__address", "mailbox__aliases"
    ):
        found.setdefault(group_id, set()).update(map(normalise_address, (address, *aliases)))
    return {group_id: tuple(sorted(names)) for group_id, names in found.items()}


def groups_at_the_gate(tenant_id: int) -> set[UUID]:
    """Those that something names, whose members are to be read with each list."""
    rules = GatewayRule.objects.filter(
        tenant=tenant_id, removed_at=None, mailbox_group__isnull=False
    )
    layers = PolicyLayer.objects.filter(tenant=tenant_id, mailbox_group__isnull=False)
    found = set(rules.values_list("mailbox_group_id", flat=True))
    return found | set(layers.values_list("mailbox_group_id", flat=True))
