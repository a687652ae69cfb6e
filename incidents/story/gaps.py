"""What nobody looked at: said, never left to be taken for "nothing found"."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from incidents.account_told import not_looked_at
from incidents.campaigns.moving import lineage
from incidents.layers import blind_layers
from incidents.models import AccountSign, Delivery, Incident, Message
from incidents.signs import OF_SENDING
from incidents.story.lines import join
from incidents.words import LET_THROUGH, Direction
from tenants.models import Mailbox
from tenants.scope import Role, current_scope


def not_checked(
    incident: Incident, messages: Sequence[Message], copies: Sequence[Delivery]
) -> list[str]:
    gaps = [blind.sentence for blind in blind_layers(incident.tenant_id)]
    # What the client sent went to mailboxes that nobody of ours reads.
    ours = [copy for copy in copies if copy.direction != Direction.OUTBOUND]
    delivered = [copy for copy in ours if copy.outcome in LET_THROUGH]
    unseen = sorted({copy.recipient for copy in delivered if copy.verified_at is None})
    if unseen:
        gaps.append(_("Not seen in a mailbox: %(names)s.") % {"names": join(unseen)})
    if any(copy.gateway_at and not copy.gateway_verdict for copy in copies):
        gaps.append(_("An engine of the gateway gave no answer for some copies."))
    closed = list(
        Mailbox.objects.filter(tenant=incident.tenant_id, state=Mailbox.State.BLIND)
        .order_by("address")
        .values_list("address", flat=True)[:50]
    )
    if closed:
        gaps.append(_("Mailboxes that cannot be read: %(names)s.") % {"names": join(closed)})
    if any(copy.verified_at for copy in delivered):
        told = _("%(client)s's archive mailboxes (the mail host does not open them to programs).")
        gaps.append(told % {"client": incident.tenant.name})
    if locked := _locked_files(messages):
        told = ngettext(
            "What is in %(count)d attached file that is locked with a password.",
            "What is in %(count)d attached files that are locked with a password.",
            locked,
        )
        gaps.append(told % {"count": locked})
    if incident.kind == Incident.Kind.ACCOUNT and current_scope().role is not Role.PORTAL:
        gaps += _not_read_of_accounts(incident)
        gaps += [f"Of accounts: {said}" for said in not_looked_at(incident.tenant_id)]
    return gaps


def _locked_files(messages: Sequence[Message]) -> int:
    """Each once, in however many mails it hangs; their names are the sender's words."""
    files = [each for message in messages for each in message.facts.get("attachments") or ()]
    locked = {
        (str(each.get("sha256")), str(each.get("name")))
        for each in files
        if "encrypted" in (each.get("flags") or ())
    }
    return len(locked)


def _not_read_of_accounts(incident: Incident) -> list[str]:
    """Where somebody else may have been in the mailbox itself."""
    signs = AccountSign.objects.filter(tenant=incident.tenant_id, incident__in=lineage(incident))
    if not signs.exclude(code__in=OF_SENDING).exists():
        return []
    return ["Which mails somebody else opened or copied: no log of that is read."]
