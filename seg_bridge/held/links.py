"""The links of a digest: whoever has one may look at one held mail and wish for it, once.

A token is client, link and a MAC over both under a key of the installation; nothing of it is
stored.  Without a valid MAC no row is looked for, so that an answer says nothing of what there is.
Using it writes the mailbox's wish through a door; the worker decides by the policy (requests.py).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from incidents.client_words import MOST_CHARS, REQUESTS
from incidents.models import Delivery
from incidents.models.mail import Place
from seg_bridge.held.models import HeldLink
from tenants.doors import ask
from tenants.errors import NotThere, WrongInput
from tenants.work import ring

_TOKEN = re.compile(r"(\d{1,18})-([0-9a-f]{32})-([A-Za-z0-9_-]{43})\Z")
_WAITING = (Place.HOLD, Place.QUARANTINE)


@dataclass(frozen=True, slots=True)
class LinkName:
    """Which link of which client a token names; it carries a valid MAC."""

    tenant_id: int
    link_id: UUID


def token_of(link: HeldLink) -> str:
    name = f"{link.tenant_id}-{link.id.hex}"
    return f"{name}-{_mac(name)}"


def read_token(token: str) -> LinkName:
    """Raises ``NotThere`` for what this installation never gave out.  Asks no database."""
    found = _TOKEN.match(token)
    if found is None:
        raise NotThere
    tenant_id, link_id, mac = found.groups()
    if not hmac.compare_digest(mac, _mac(f"{tenant_id}-{link_id}")):
        raise NotThere
    return LinkName(int(tenant_id), UUID(link_id))


def _mac(name: str) -> str:
    key = hmac.digest(settings.MASTER_KEY, b"bailey held link 1", hashlib.sha256)
    mac = hmac.digest(key, name.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def access_link(name: LinkName) -> Delivery:
    """The mail that the link is for.  Needs the portal's scope of the client.

    Raises ``NotThere``: used, past its end, or the mail waits no more; the answer is the same.
    """
    links = HeldLink.objects.filter(
        tenant_id=name.tenant_id,
        id=name.link_id,
        used_at=None,
        expires_at__gt=timezone.now(),
        delivery__place__in=_WAITING,
    )
    link = links.select_related("delivery__message").first()
    if link is None:
        raise NotThere
    copy: Delivery = link.delivery
    return copy


def use_link(name: LinkName, text: str) -> None:
    """The mailbox wishes for the mail; the link is then used up.  Needs the portal's scope.

    Raises as ``access_link`` does.
    """
    text = text.strip() or "Asked for by a link of the digest."
    if len(text) > MOST_CHARS:
        raise WrongInput(_("Please say it in a few sentences."))
    if ask("door_held_link", name.link_id, text) is None:
        raise NotThere
    transaction.on_commit(lambda: ring(REQUESTS))
