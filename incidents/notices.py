"""Telling whoever asked for a held mail what became of it: one mail for each wish and outcome.

A mail's own words are shown so that no program makes a link of them (``inert``).
"""

from __future__ import annotations

import re

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from incidents.mail.render import visible_text
from incidents.models import ClientWord, Delivery
from tenants.models import Mailbox, Person
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
    outcome = _("It has been released and is in your mailbox, or will be within minutes.")
    _tell(word, delivery, "released", _("The mail that you asked for is released"), outcome, "")


def tell_refused(word: ClientWord, delivery: Delivery, reason: str) -> None:
    outcome = _("It stays held. Nothing was delivered.")
    _tell(word, delivery, "refused", _("The mail that you asked for stays held"), outcome, reason)


def _tell(
    word: ClientWord, delivery: Delivery, what: str, subject: str, outcome: str, reason: str
) -> None:
    to = address_of(word)
    if not to:
        return
    context = {
        "name": word.person_name,
        "mail_subject": inert(delivery.message.subject) or _("(no subject)"),
        "mail_sender": inert(delivery.message.sender_address) or _("not readable"),
        "recipient": delivery.recipient,
        "asked_at": word.created_at,
        "outcome": outcome,
        "reason": reason,
        "portal": settings.PORTAL_URL if word.source == ClientWord.Source.PORTAL else "",
    }
    post(
        tenant_id=word.tenant_id,
        event=f"request/{word.id}/{what}",
        kind="notice",
        to=to,
        subject=subject,
        text=render_to_string("mail/request_outcome.txt", context),
    )


def address_of(word: ClientWord) -> str:
    """Whom to tell; "" where that person or mailbox is gone."""
    if word.source in (ClientWord.Source.DIGEST, ClientWord.Source.REPORT):
        boxes = Mailbox.objects.filter(tenant_id=word.tenant_id, id=word.person_id)
        return boxes.values_list("address", flat=True).first() or ""
    people = Person.objects.filter(tenant_id=word.tenant_id, id=word.person_id, is_active=True)
    return people.values_list("email", flat=True).first() or ""
