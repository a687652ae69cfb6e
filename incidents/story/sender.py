"""Who wrote, and whose name was borrowed for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from incidents.mail.signals.domains import Likeness, likeness
from incidents.models import Message
from incidents.story.lines import Line, in_english, join
from tenants.models import Domain, Mailbox, Tenant

_CHIEF = re.compile(r"Chief (\w)\w* Officer\Z")


class Client:
    """What the story has to know of the client: name, domains, and who carries which name."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.name = tenant.name
        self.domains = list(
            Domain.objects.filter(tenant=tenant).order_by("name").values_list("name", flat=True)
        )

    def likeness_of(self, domain: str) -> Likeness | None:
        """How this domain imitates one of the client's own; None: it does not."""
        if not domain or domain in self.domains:
            return None
        return next(filter(None, (likeness(domain, own) for own in self.domains)), None)

    def role_of(self, display_name: str) -> str:
        return role_of(self.tenant.id, display_name)


def role_of(tenant_id: int, display_name: str) -> str:
    """``CFO``, or the name itself; "" where nobody of the client is called so."""
    if not display_name.strip():
        return ""
    person = Mailbox.objects.filter(
        tenant=tenant_id, display_name__iexact=display_name.strip()
    ).first()
    if person is None:
        return ""
    chief = _CHIEF.match(person.job_title)
    return f"C{chief.group(1).upper()}O" if chief else person.display_name


def sender_lines(messages: Sequence[Message], client: Client) -> Iterator[Line]:
    for message in messages:
        name = f"“{message.sender_name}” " if message.sender_name else ""
        address = message.sender_address or _("an unreadable sender")
        like = client.likeness_of(message.sender_domain)
        how = f" ({_how(like)})" if like else ""
        said = f"{client.name}'s domain is {like.original}. " if like else ""
        is_plausible = message.sent_at and message.sent_at <= message.first_seen_at
        yield Line(
            at=message.sent_at if message.sent_at and is_plausible else message.first_seen_at,
            lane="sender",
            lead=_("%(name)swrote from %(address)s%(how)s.")
            % {"name": name, "address": address, "how": how},
            text=f"{said}Subject: {message.subject or '(none)'}",
            source=f"message:{message.id}",
        )


def _how(like: Likeness) -> str:
    """In English what differs; in other languages what it is like."""
    return like.how if in_english() else _("like %(domain)s") % {"domain": like.original}


def proofs(facts: Mapping[str, Any], like: Likeness | None) -> str:
    """What SPF, DKIM and DMARC said, and what that is worth; "" where nobody asked."""
    results: dict[str, str] = {}
    for each in facts.get("auth") or ():
        results.setdefault(str(each.get("method", "")).upper(), str(each.get("result", "")))
    told = [name for name in ("SPF", "DKIM", "DMARC") if results.get(name) == "pass"]
    failed = [name for name in ("SPF", "DKIM", "DMARC") if results.get(name) == "fail"]
    parts = []
    if told:
        why = " because the sender owns the lookalike domain" if like else ""
        parts.append(f"{join(told)} passed{why}.")
    if failed:
        parts.append(f"{join(failed)} failed.")
    return " ".join(parts)
