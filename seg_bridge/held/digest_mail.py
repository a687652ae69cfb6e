"""What a digest says, as text and as HTML.  Nothing of a mail acts in it: see ``inert``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from incidents.models import Delivery
from incidents.models.mail import Place
from incidents.notices import inert
from incidents.release_rights import CLIENT, rights_of
from incidents.words import NOT_SCANNED_WORD
from seg_bridge.held.links import token_of
from seg_bridge.held.models import HeldLink
from seg_bridge.held.schedule import Schedule
from tenants.models import Mailbox, Provider, Tenant

MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class DigestMail:
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Item:
    """``href`` "": nobody may release it, and a wish would change nothing."""

    subject: str
    sender: str
    received: str
    why: str
    where: str
    action: str
    href: str


def write_digest(
    mailbox: Mailbox,
    copies: Sequence[Delivery],
    links: Mapping[UUID, HeldLink],
    schedule: Schedule,
) -> DigestMail:
    """In the language and the zone of ``schedule``.  Needs a scope that names the provider."""
    with override(schedule.language):
        return _write(mailbox, copies, links, schedule.zone)


def _write(
    mailbox: Mailbox,
    copies: Sequence[Delivery],
    links: Mapping[UUID, HeldLink],
    zone: ZoneInfo,
) -> DigestMail:
    tenant = Tenant.objects.select_related("provider").get(id=mailbox.tenant_id)
    listed = copies[:MOST_LISTED]
    rights = rights_of(listed)
    provider: Provider = tenant.provider
    context = {
        "mailbox": mailbox.address,
        "provider": provider.name,
        "client": tenant.name,
        "items": [_item(copy, rights[copy.id].roles, links[copy.id], zone) for copy in listed],
        "more": len(copies) - len(listed),
        "until": date_format(next(iter(links.values())).expires_at.astimezone(zone), _("j F Y")),
        "zone": str(zone),
    }
    count = len(copies)
    subject = ngettext(
        "%(count)d mail is held back for you", "%(count)d mails are held back for you", count
    ) % {"count": count}
    return DigestMail(
        subject,
        render_to_string("mail/digest.txt", context),
        render_to_string("mail/digest.html", context),
    )


def _item(copy: Delivery, roles: frozenset[str], link: HeldLink, zone: ZoneInfo) -> Item:
    received = timezone.localtime(copy.received_at, zone)
    is_held = copy.place == Place.HOLD
    may = CLIENT in roles and is_held
    return Item(
        subject=inert(copy.message.subject) or _("(no subject)"),
        sender=inert(copy.message.sender_address) or _("sender not readable"),
        received=date_format(received, _("j F, H:i")),
        why=_why(copy),
        where=_("held by the gateway") if is_held else _("taken out of your mailbox"),
        action=_("Release it") if may else _("Ask for it"),
        href=f"{settings.PORTAL_URL}/portal/mail/{token_of(link)}" if roles else "",
    )


def _why(copy: Delivery) -> str:
    """The word of the layer that keeps it."""
    held = copy.get_gateway_verdict_display()
    moved = copy.get_person_verdict_display() or copy.get_mailbox_verdict_display()
    word = held if copy.place == Place.HOLD else moved or held
    return _(str(word or NOT_SCANNED_WORD))
