"""One mail in structure: who, when, how it came, links and attachments; no content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from console.queries.blindness import Blind, Blindness
from console.queries.incident import CopyRow, copy_rows
from incidents.content import check_may_open
from incidents.mail.links import defang
from incidents.models import ContentAccess, Delivery, Incident, Message
from seg_bridge.learning.told import Told, lessons_about
from tenants.errors import NotAllowed
from tenants.models import Person

SHOWN = 200


@dataclass(frozen=True, slots=True)
class LinkRow:
    """``target`` is inert: defanged, the host in its A-label form."""

    target: str
    text: str
    rewriter: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePage:
    message: Message
    blind: Blind
    incident: Incident | None
    copies: list[CopyRow]
    to: list[str]
    cc: list[str]
    reply_to: list[str]
    links: list[LinkRow]
    attachments: list[dict[str, Any]]
    hops: list[dict[str, Any]]
    auth: list[dict[str, Any]]
    problems: list[str]
    accesses: list[ContentAccess]
    lessons: list[Told]
    why_not: str  # why this person cannot open it, "" if she can


def _copies(message: Message) -> list[Delivery]:
    copies = Delivery.objects.filter(tenant=message.tenant_id, message=message)
    return list(copies.order_by("recipient")[:SHOWN])


def message_page(message: Message, person: Person) -> MessagePage:
    facts: dict[str, Any] = message.facts
    return MessagePage(
        message=message,
        blind=Blindness([message.tenant_id]).of(message.tenant_id),
        incident=Incident.objects.filter(
            tenant=message.tenant_id, memberships__message=message
        ).first(),
        copies=copy_rows(_copies(message)),
        to=_addresses(facts, "to"),
        cc=_addresses(facts, "cc"),
        reply_to=_addresses(facts, "reply_to"),
        links=[_link(link) for link in facts.get("links", [])[:SHOWN]],
        attachments=facts.get("attachments", [])[:SHOWN],
        hops=facts.get("hops", [])[:50],
        auth=[*facts.get("auth", []), *facts.get("auth_results", [])][:50],
        problems=[str(code).replace("_", " ") for code in facts.get("problems", [])],
        accesses=list(
            ContentAccess.objects.filter(tenant=message.tenant_id, message=message).order_by("-at")[
                :20
            ]
        ),
        lessons=lessons_about([message.id]),
        why_not=_why_not(message, person),
    )


def _why_not(message: Message, person: Person) -> str:
    try:
        check_may_open(message=message, person=person)
    except NotAllowed as error:
        return error.sentence
    return ""


def _addresses(facts: dict[str, Any], name: str) -> list[str]:
    return [
        f"{each['name']} <{each['address']}>" if each.get("name") else str(each.get("address", ""))
        for each in facts.get(name, [])[:50]
    ]


def _link(link: dict[str, Any]) -> LinkRow:
    return LinkRow(
        target=defang(str(link.get("url", ""))),
        text=str(link.get("text", "")),
        rewriter=str(link.get("rewriter", "")),
        where=str(link.get("where", "")),
    )
