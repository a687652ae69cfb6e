"""Telling whoever asked for a held mail what became of it: one mail for each wish and outcome.

A mail's own words are shown so that no program makes a link of them (``inert``).
"""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from incidents.layers import gateway_layer
from incidents.looks_words import next_step
from incidents.mail.render import visible_text
from incidents.models import ClientWord, Delivery, ReleaseLook
from tenants.models import Mailbox, Person, Tenant
from tenants.outbox import post

MOST_SHOWN = 120
_DOT = re.compile(r"(?<=\w)\.(?=\w)")
_BREAKS = re.compile(r"\s+")


def inert(text: str, most: int = MOST_SHOWN) -> str:
    """One line in which nothing is an address or a link any more, not even to a mail program that
    makes links of what looks like one.
    """
    line = visible_text(_BREAKS.sub(" ", text)).strip()
    line = line if len(line) <= most else line[: most - 1] + "…"
    return _DOT.sub("[.]", line.replace("://", "[:]//").replace("@", "[at]"))


def tell_released(word: ClientWord, delivery: Delivery) -> None:
    """The gateway has handed it on."""
    _tell(
        word,
        delivery,
        "released",
        gettext_noop("The mail that you asked for is released"),
        gettext_noop("It has been released and is in your mailbox, or will be within minutes."),
    )


def tell_refused(word: ClientWord, delivery: Delivery, reason: str) -> None:
    _tell(
        word,
        delivery,
        "refused",
        gettext_noop("The mail that you asked for stays held"),
        gettext_noop("It stays held. Nothing was delivered."),
        reason,
    )


def _tell(
    word: ClientWord, delivery: Delivery, what: str, subject: str, outcome: str, reason: str = ""
) -> None:
    """``subject`` and ``outcome`` are translated here, into the language of whom it goes to."""
    to = address_of(word)
    if not to:
        return
    tenant = Tenant.objects.get(id=word.tenant_id)
    with override(gateway_layer().language_for(tenant.id, to)):
        context = _context(word, delivery, tenant) | {"outcome": _(outcome), "reason": reason}
        post(
            tenant_id=word.tenant_id,
            event=f"request/{word.id}/{what}",
            kind="notice",
            to=to,
            subject=_(subject),
            text=render_to_string("mail/request_outcome.txt", context),
        )


def _context(word: ClientWord, delivery: Delivery, tenant: Tenant) -> dict[str, str]:
    asked_at = word.created_at.astimezone(_zone(tenant.time_zone))
    written = date_format(asked_at, _("j F Y, H:i"))
    return {
        "name": word.person_name,
        "mail_subject": inert(delivery.message.subject) or _("(no subject)"),
        "mail_sender": inert(delivery.message.sender_address) or _("not readable"),
        "recipient": delivery.recipient,
        "asked_at": f"{written} ({asked_at.tzinfo})",
        "portal": settings.PORTAL_URL if word.source == ClientWord.Source.PORTAL else "",
    }


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def address_of(word: ClientWord) -> str:
    """Whom to tell; "" where that person or mailbox is gone."""
    if word.source in (ClientWord.Source.DIGEST, ClientWord.Source.REPORT):
        boxes = Mailbox.objects.filter(tenant_id=word.tenant_id, id=word.person_id)
        return boxes.values_list("address", flat=True).first() or ""
    people = Person.objects.filter(tenant_id=word.tenant_id, id=word.person_id, is_active=True)
    return people.values_list("email", flat=True).first() or ""


def tell_not_kept(look: ReleaseLook) -> None:
    """To whoever of the provider released it: it is not where it was put.  A client's own people
    see their mailbox themselves.
    """
    if look.released_by_id is None:
        return
    person = Person.objects.filter(tenant=None, id=look.released_by_id, is_active=True).first()
    if person is None:
        return
    delivery = look.delivery
    context = {
        "name": person.name,
        "mail_subject": inert(delivery.message.subject) or _("(no subject)"),
        "recipient": delivery.recipient,
        "client": delivery.tenant.name,
        "delivered_at": look.delivered_at,
        "words": look.words,
        "step": next_step(look).text,
        "page": f"{settings.CONSOLE_URL}/console/messages/{delivery.message_id}",
    }
    post(
        tenant_id=look.tenant_id,
        event=f"look/{look.id}/{look.fence}",
        kind="notice",
        to=person.email,
        subject=_("A mail that you released did not stay"),
        text=render_to_string("mail/release_not_kept.txt", context),
    )
