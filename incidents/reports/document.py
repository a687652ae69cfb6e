"""The report's content as one JSON document; PDF, CSV and API show this and nothing else.

Every statement says whether it was ``observed`` (a record holds it), ``derived`` (computed from
records) or ``assessed`` (a judgement, with its confidence), and names its evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from incidents.codes import COUNTS, CROSS_LAYER
from incidents.layers import blind_layers
from incidents.mail.links import defang
from incidents.models import (
    ContentAccess,
    Delivery,
    Evidence,
    Incident,
    IncidentMessage,
    Intent,
    Message,
    Observation,
)
from incidents.models.mail import Layer, Place, Verdict
from incidents.reported import SAID_BY_ANALYST
from incidents.reports.account import (
    account_for_client,
    account_part,
    account_summary,
    account_times,
)
from incidents.reports.times import iso
from incidents.sightings import history_of
from incidents.story import tell_story
from incidents.words import LET_THROUGH, NOT_SCANNED_WORD, VERDICT_WORDS, is_threat

SCHEMA = "bailey-incident-report/1"


def build_document(incident: Incident, *, audience: str, created_by: str) -> dict[str, Any]:
    """All facts of the incident as they stand now.  Needs the client's scope.

    ``audience`` "client" leaves out what only the provider's people say among themselves.
    """
    messages = list(
        Message.objects.filter(memberships__incident=incident).order_by("first_seen_at", "id")
    )
    copies = list(
        Delivery.objects.select_related("message")
        .filter(message__in=messages)
        .order_by("received_at", "recipient")
    )
    seen = _told_of(copies)
    story = tell_story(incident, is_for_client=audience != "internal")
    account = account_part(incident)
    document = {
        "schema": SCHEMA,
        "audience": audience,
        "case": _case(incident, created_by),
        "summary": [*_summary(incident, story.headline), *account_summary(account)],
        "key_times": [*_key_times(incident, copies, seen), *account_times(account)],
        "scope": _scope_part(incident, copies),
        "messages": [_message(message) for message in messages],
        "verdicts": [
            _verdict(one, audience) for one in seen if one.verdict or one.layer == Layer.GATEWAY
        ],
        "timeline": [
            {
                "at": iso(line.at),
                "lane": line.lane,
                "text": f"{line.lead} {line.text}".strip(),
                "recipients": list(line.recipients),
                "source": line.source,
                "kind": line.mark.value,
            }
            for line in story.lines
        ],
        "account": account,
        "actions": _actions(incident),
        "copies": [_copy(copy) for copy in copies],
        "indicators": _indicators(messages),
        "correlation": _correlation(incident),
        "blind": [blind.sentence for blind in blind_layers(incident.tenant_id)],
        "limitations": [*story.not_checked, *_STANDING_LIMITATIONS],
        "evidence": _evidence(incident, messages),
        "custody": _custody(messages),
    }
    return document if audience == "internal" else _for_client(document)


_STANDING_LIMITATIONS = (
    "Mail fetched from Microsoft 365 is rebuilt by Exchange: its hash and DKIM signature need not "
    "match what was sent.",
    "Received lines below the first hop that the client controls are claims of the sender.",
    "A read flag says that a message was marked as read, not that a person read it.",
)


def _case(incident: Incident, created_by: str) -> dict[str, Any]:
    return {
        "id": str(incident.id),
        "number": incident.number,
        "client": incident.tenant.name,
        "tenant": incident.tenant.slug,
        "title": incident.title,
        "subject": incident.subject,
        "kind": incident.kind,
        "kind_label": Incident.Kind(incident.kind).label,
        "severity": incident.severity,
        "severity_parts": incident.severity_parts,
        "state": incident.state,
        "classification": incident.classification,
        "cause": incident.cause,
        "owner": incident.owner_name,
        "ticket": incident.ticket,
        "ticket_link": incident.ticket_link,
        "created_by": created_by,
        "facts_as_of": iso(incident.last_seen_at),
    }


def _summary(incident: Incident, headline: str) -> list[dict[str, Any]]:
    """Sentences, each with its kind and what it rests on."""
    sentences = [
        {"text": headline, "kind": "derived", "evidence": [f"incident:{incident.id}"]},
    ]
    for code in incident.cross_layer:
        sentences.append(
            {"text": CROSS_LAYER[code], "kind": "derived", "evidence": [f"incident:{incident.id}"]}
        )
    for layer, verdict in (
        ("gateway", incident.gateway_verdict),
        ("mailbox layer", incident.mailbox_verdict),
    ):
        word = Verdict(verdict).label.lower() if verdict else "no verdict"
        sentences.append(
            {
                "text": f"The {layer} says: {word}.",
                "kind": "assessed",
                "evidence": [f"incident:{incident.id}"],
            }
        )
    return sentences


def _told_of(copies: Sequence[Delivery]) -> list[Observation]:
    """What is on record of all of them, oldest first."""
    seen = (one for history in history_of(copies).values() for one in history)
    return sorted(seen, key=lambda one: (one.observed_at, one.id))


def _key_times(
    incident: Incident, copies: Sequence[Delivery], seen: Sequence[Observation]
) -> list[dict[str, Any]]:
    def first(times: Iterable[datetime | None]) -> str | None:
        return iso(min((at for at in times if at), default=None))

    condemned = [one for one in seen if is_threat(one.verdict)]
    delivered = [copy for copy in copies if copy.outcome in LET_THROUGH]
    done = Intent.objects.filter(job__incident=incident, state=Intent.State.VERIFIED)
    return [
        {"name": "First delivery", "at": first(copy.received_at for copy in delivered)},
        {
            "name": "First condemned by the gateway",
            "at": first(one.observed_at for one in condemned if one.layer == Layer.GATEWAY),
        },
        {
            "name": "First condemned by the mailbox layer",
            "at": first(one.observed_at for one in condemned if one.layer == Layer.MAILBOX),
        },
        {"name": "Incident opened", "at": iso(incident.opened_at)},
        {"name": "First verified removal", "at": first(one.finished_at for one in done)},
        {"name": "Resolved", "at": iso(incident.resolved_at)},
    ]


def _scope_part(incident: Incident, copies: Sequence[Delivery]) -> dict[str, Any]:
    return {
        "counts": [
            {"name": name, "words": words, "value": incident.counts.get(name, 0)}
            for name, words in COUNTS.items()
        ],
        "recipients": sorted({copy.recipient for copy in copies}),
        "not_seen_in_a_mailbox": sorted(
            {copy.recipient for copy in copies if copy.verified_at is None}
        ),
        "exposed_before_removal": sorted({copy.recipient for copy in copies if copy.was_exposed}),
    }


def _message(message: Message) -> dict[str, Any]:
    facts = message.facts
    return {
        "id": str(message.id),
        "internet_message_id": message.internet_message_id,
        "subject": message.subject,
        "from": message.sender_address,
        "from_name": message.sender_name,
        "envelope_from": facts.get("envelope_from", ""),
        "reply_to": [one["address"] for one in facts.get("reply_to", ())],
        "sent_at_claimed": iso(message.sent_at),
        "first_seen_at": iso(message.first_seen_at),
        "size_bytes": message.size_bytes,
        "sha256": facts.get("raw_sha256", ""),
        "fingerprint": message.fingerprint,
        "problems": facts.get("problems", []),
        "authentication": [
            f"{one['method']}={one['result']} {one.get('domain', '')}".strip()
            for one in [*facts.get("auth", ()), *facts.get("auth_results", ())]
        ],
        "route": [
            {
                "by": hop.get("by", ""),
                "from": f"{hop.get('from_name', '')} {hop.get('from_ip', '')}".strip(),
                "at": hop.get("received_at"),
            }
            for hop in facts.get("hops", ())
        ],
        "links": [
            {"defanged": defang(one["url"]), "text": one.get("text", "")[:200]}
            for one in facts.get("links", ())[:50]
        ],
        "attachments": [
            {
                "name": one["name"],
                "kind": one["kind"],
                "claimed_type": one["claimed_type"],
                "size_bytes": one["size_bytes"],
                "sha256": one["sha256"],
                "flags": one.get("flags", []),
            }
            for one in facts.get("attachments", ())
        ],
    }


def _verdict(seen: Observation, audience: str) -> dict[str, Any]:
    return {
        "at": iso(seen.observed_at),
        "layer": seen.layer,
        "recipient": seen.recipient,
        "verdict": seen.verdict,
        "verdict_label": VERDICT_WORDS[seen.verdict] if seen.verdict else NOT_SCANNED_WORD,
        "score": seen.score,
        "confidence": seen.confidence,
        "engine": f"{seen.engine} {seen.engine_version}".strip(),
        "rule": seen.rule,
        "action": seen.action,
        "reasons": [_reason(each, audience) for each in seen.reasons],
        "source": f"observation:{seen.id}",
    }


def _reason(reason: dict[str, Any], audience: str) -> str:
    """“Ana judged it phishing: …”: why she did is not for the client."""
    text = str(reason["text"])
    if audience == "internal" or reason["code"] != SAID_BY_ANALYST:
        return text
    return f"{text.partition(': ')[0]}."


def _actions(incident: Incident) -> list[dict[str, Any]]:
    intents = (
        Intent.objects.select_related("job", "delivery")
        .filter(job__incident=incident)
        .order_by("created_at", "id")
    )
    return [
        {
            "asked_at": iso(intent.created_at),
            "asked_by": intent.job.requested_by,
            "reason": intent.job.reason,
            "action": intent.action,
            "recipient": intent.delivery.recipient,
            "result": Intent.State(intent.state).label,
            "error": intent.error,
            "finished_at": iso(intent.finished_at),
            "is_reversible": bool(intent.undo),
        }
        for intent in intents
    ]


def _copy(copy: Delivery) -> dict[str, Any]:
    return {
        "recipient": copy.recipient,
        "subject": copy.message.subject,
        "internet_message_id": copy.message.internet_message_id,
        "outcome": copy.outcome,
        "place": copy.place,
        "place_label": Place(copy.place).label,
        "is_read": copy.is_read,
        "clicked_at": iso(copy.clicked_at),
        "replied_at": iso(copy.replied_at),
        "forwarded_at": iso(copy.forwarded_at),
        "was_exposed": copy.was_exposed,
        "gateway_verdict": copy.gateway_verdict or None,
        "mailbox_verdict": copy.mailbox_verdict or None,
        "match": copy.match_reason,
        "received_at": iso(copy.received_at),
        "verified_at": iso(copy.verified_at),
    }


def _indicators(messages: Sequence[Message]) -> list[dict[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for message in messages:
        if message.sender_address:
            found["sender", message.sender_address.replace("@", "[@]")] = None
        for link in message.facts.get("links", ())[:50]:
            found["link", defang(link["url"])] = None
        for attachment in message.facts.get("attachments", ()):
            found["file sha256", attachment["sha256"]] = None
    return [{"kind": kind, "value": value} for kind, value in found]


def _correlation(incident: Incident) -> list[dict[str, str]]:
    members = IncidentMessage.objects.select_related("message").filter(incident=incident)
    return [
        {"message": str(one.message_id), "subject": one.message.subject, "why": one.reason}
        for one in members.order_by("created_at", "id")
    ]


def _evidence(incident: Incident, messages: Sequence[Message]) -> list[dict[str, Any]]:
    digests = [message.evidence for message in messages if message.evidence]
    rows = Evidence.objects.filter(tenant=incident.tenant, sha256__in=digests).order_by("stored_at")
    return [
        {
            "sha256": row.sha256,
            "size_bytes": row.size_bytes,
            "source": row.source,
            "method": row.method,
            "stored_at": iso(row.stored_at),
        }
        for row in rows
    ]


def _custody(messages: Sequence[Message]) -> list[dict[str, Any]]:
    rows = ContentAccess.objects.filter(message__in=list(messages)).order_by("at", "id")
    return [
        {
            "at": iso(row.at),
            "person": row.person_name,
            "what": row.get_what_display(),
            "reason": row.reason,
        }
        for row in rows
    ]


def _for_client(document: dict[str, Any]) -> dict[str, Any]:
    """Without what the provider's people say among themselves; so is its timeline already."""
    case = {
        name: value
        for name, value in document["case"].items()
        if name not in ("owner", "ticket", "ticket_link", "severity_parts", "cause")
    }
    return document | {
        "case": case,
        "verdicts": [
            {name: value for name, value in one.items() if name not in ("rule", "score")}
            for one in document["verdicts"]
        ],
        "actions": [
            {name: value for name, value in one.items() if name != "reason"}
            for one in document["actions"]
        ],
        "account": account_for_client(document["account"]),
    }
