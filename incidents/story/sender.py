"""Who wrote, and whose name was borrowed for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from incidents.mail.signals.domains import Likeness, likeness
from incidents.models import Delivery, Message, Observation
from incidents.models.mail import Layer
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


def outbound_lines(
    messages: Sequence[Message],
    copies: Sequence[Delivery],
    seen: Mapping[Any, Sequence[Observation]],
) -> Iterator[Line]:
    """Of mails that the client sent: alike ones by the same way are one line."""
    sightings: dict[Any, Observation] = {}
    for copy in copies:
        for one in seen.get(copy.id, ()):
            if one.layer == Layer.GATEWAY:
                sightings.setdefault(copy.message_id, one)
    alike: dict[tuple[str, ...], list[Message]] = {}
    for message in messages:
        how = _submitted(sightings.get(message.id))
        key = (message.sender_name, message.sender_address, message.subject, how)
        alike.setdefault(key, []).append(message)
    for (name, address, subject, how), mails in alike.items():
        said = {"name": f"“{name}” " if name else "", "address": address, "how": ""}
        first, n = mails[0], len(mails)
        if n == 1:
            lead = _("%(name)swrote from %(address)s%(how)s.") % said
        else:
            lead = _("%(name)swrote %(count)d mails from %(address)s.") % {**said, "count": n}
        within_s = (mails[-1].first_seen_at - first.first_seen_at).total_seconds()
        span = f"Within {_span(within_s)}, all alike. " if n > 1 else ""
        ends = "" if subject.endswith((".", "!", "?")) else "."
        yield Line(
            at=first.first_seen_at,
            lane="sender",
            lead=lead,
            text=f"{span}Subject: {subject or '(none)'}{ends} {how}".rstrip(),
            source=f"message:{first.id}",
        )


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds" if seconds > 1 else "a second"
    return f"{round(seconds / 60)} minutes"


def _submitted(one: Observation | None) -> str:
    """By which of the client's hosts or logins, and from where; "" where that is not on record."""
    detail = one.detail if one is not None else {}
    by = str((detail.get("sent_by") or {}).get("by") or "")
    ip = str(detail.get("client_ip") or "")
    if not by:
        return ""
    where = f", from the address {ip}" if ip and ip not in by else ""
    return f"Submitted by the {by}{where}."


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
