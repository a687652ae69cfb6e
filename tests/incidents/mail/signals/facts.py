"""A harmless mail as facts, to be changed in one place by each test."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from incidents.mail.facts import Address, Attachment, Link, MailFacts
from incidents.mail.signals import read, shared_reasons
from incidents.mail.signals.domains import registered_domain
from incidents.observations import Reason

HARMLESS = MailFacts(
    size_bytes=900,
    raw_sha256="0" * 64,
    internet_message_id="<4711@nordvent.example>",
    subject="Drawings for Thursday",
    sender=Address("tove@nordvent.example", "Tove Holm"),
    to=(Address("info@acme.example"),),
    sent_at=datetime(2026, 11, 16, 9, 0, tzinfo=UTC),
    text=(
        "Hello all, the drawings for Thursday are done. Could you look at the second sheet and "
        "tell me by noon whether the height fits? We measured it again on the roof this morning, "
        "and the two numbers differ by a hand. Best wishes from Malmo, Tove"
    ),
    envelope_from="tove@nordvent.example",
)


def mail(**changes: Any) -> MailFacts:
    """``headers`` are given as a dict, ``links`` and ``attachments`` as the helpers below make."""
    headers = changes.pop("headers", None)
    if isinstance(headers, dict):
        changes["headers"] = tuple(headers.items())
    return replace(HARMLESS, **changes)


def sent_by(address: str, name: str = "", **changes: Any) -> MailFacts:
    return mail(
        sender=Address(address, name),
        envelope_from=address,
        internet_message_id=f"<1@{address.partition('@')[2]}>",
        **changes,
    )


def link(url: str, text: str = "Open") -> Link:
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
    return Link(url=url, host=host, domain=registered_domain(host), text=text, seen=url)


def attached(name: str, kind: str = "unknown", **rest: Any) -> Attachment:
    fields: dict[str, Any] = {
        "claimed_type": "application/octet-stream",
        "size_bytes": 100,
        "sha256": "0" * 64,
    }
    return Attachment(name=name, kind=kind, **(fields | rest))


def reasons_of(facts: MailFacts) -> list[Reason]:
    return list(shared_reasons(read(facts)))


def codes_of(facts: MailFacts) -> set[str]:
    return {reason.code for reason in reasons_of(facts)}
