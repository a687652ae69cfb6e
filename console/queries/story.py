"""The story as pages draw it: two rails, and who was concerned in short."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n

from api_bridge.accounts.models import MailboxSnapshot
from console.queries.portal_told import told_title
from incidents.models import Attachment, ContentAccess, Incident, ReleaseLook, Sighting
from incidents.story import Line, tell_story
from incidents.story.lines import Names
from tenants.ids import as_uuid
from tenants.models import AuditEntry

_WHO = {
    "sender": (_n("Sender"), "calm"),
    "gateway": (_n("Gateway"), "gate"),
    "mailbox": (_n("Mailbox"), "box"),
    "person": (_n("Person"), "high"),
    "action": (_n("Action"), "info"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line as ``_components/story.html`` wants it.

    ``href`` opens the record that it tells of, "" where no page shows that.
    """

    key: str
    at: datetime
    lane: str
    tone: str
    who: str
    lead: str
    text: str
    note: str
    href: str


@dataclass(frozen=True, slots=True)
class StoryPage:
    headline: str
    events: list[Event]
    not_checked: list[str]


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of the log; ``detail`` are pairs of a name and what is on record.

    ``incident``: what it was about, None where that is gone.
    """

    entry: AuditEntry
    incident: Incident | None
    detail: list[tuple[str, str]]


def log_entry_page(entry: AuditEntry) -> LogEntry:
    """Needs the client's scope."""
    about = as_uuid(entry.object_id)
    found = Incident.objects.filter(tenant=entry.tenant_id, id=about) if about else None
    incident = found.first() if found is not None else None
    detail = [(name, _plain(value)) for name, value in sorted(entry.detail.items())]
    return LogEntry(entry, incident, detail)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def story_of(incident: Incident, *, is_plain: bool = False) -> StoryPage:
    """Needs the client's scope.  ``is_plain``: for the client."""
    title = told_title(incident.title) if is_plain else ""
    story = tell_story(incident, title=title, is_for_client=is_plain)
    if is_plain:  # which shows leads alone
        lines = [replace(line, lead=line.lead.rstrip(": \u00a0"), text="") for line in story.lines]
        story = replace(story, lines=lines)
    names = Names(one for line in story.lines for one in line.recipients)
    hrefs = {} if is_plain else _records(incident, story.lines)
    events = [_event(line, names, hrefs.get(line.source, "")) for line in story.lines]
    return StoryPage(story.headline, events, story.not_checked)


def _records(incident: Incident, lines: Sequence[Line]) -> dict[str, str]:
    """Source → the page that shows it, or the place on this one; nothing for what has neither."""
    named: dict[str, set[UUID]] = {}
    for line in lines:
        kind, _, key = line.source.partition(":")
        if (record_id := as_uuid(key)) is not None:
            named.setdefault(kind, set()).add(record_id)
    found: dict[str, str] = {}
    for kind, ids in named.items():
        places = _PLACES[kind](incident, ids) if kind in _PLACES else {}
        found |= {f"{kind}:{record_id}": place for record_id, place in places.items()}
    return found


Places = dict[UUID, str]


def _pages(name: str) -> Callable[[Incident, set[UUID]], Places]:
    return lambda incident, ids: {each: reverse(name, args=[each]) for each in ids}


def _traces(incident: Incident, ids: set[UUID]) -> Places:
    rows = Sighting.objects.filter(tenant=incident.tenant_id, observation_id__in=ids)
    return {
        seen: reverse("trace", args=[copy]) + f"#step-{seen}"
        for seen, copy in rows.values_list("observation_id", "delivery_id")
    }


def _rules(incident: Incident, ids: set[UUID]) -> Places:
    """The list of rules, narrowed so that this one is on its first page."""
    client = incident.tenant.slug
    return {
        rule: f"{reverse('rules')}?{urlencode({'client': client, 'state': 'all', 'q': value})}"
        f"#row-{rule}"
        for rule, value in incident.gateway_rules.filter(id__in=ids).values_list("id", "value")
    }


def _looks(incident: Incident, ids: set[UUID]) -> Places:
    rows = ReleaseLook.objects.filter(tenant=incident.tenant_id, id__in=ids)
    return {
        each: reverse("message", args=[message]) + f"#look-{each}"
        for each, message in rows.values_list("id", "delivery__message_id")
    }


def _calls(incident: Incident, ids: set[UUID]) -> Places:
    return {each: f"#call-{each}" for each in ids}


def _wrong(incident: Incident, ids: set[UUID]) -> Places:
    return dict.fromkeys(ids, "#wrong")


def _comments(incident: Incident, ids: set[UUID]) -> Places:
    """A file's comment."""
    rows = Attachment.objects.filter(tenant=incident.tenant_id, id__in=ids)
    return {file: f"#comment-{comment}" for file, comment in rows.values_list("id", "comment_id")}


def _openings(incident: Incident, ids: set[UUID]) -> Places:
    rows = ContentAccess.objects.filter(tenant=incident.tenant_id, id__in=ids)
    return {
        each: reverse("message", args=[message]) + f"#access-{each}"
        for each, message in rows.values_list("id", "message_id")
    }


def _steps(incident: Incident, ids: set[UUID]) -> Places:
    return {each: f"#step-{each}" for each in ids}


def _snapshots(incident: Incident, ids: set[UUID]) -> Places:
    """The settings of the mailbox over time, at this reading."""
    rows = MailboxSnapshot.objects.filter(tenant=incident.tenant_id, id__in=ids)
    return {
        each: reverse("mailbox_settings", args=[mailbox]) + f"#snapshot-{each}"
        for each, mailbox in rows.values_list("id", "mailbox_id")
    }


def _reports(incident: Incident, ids: set[UUID]) -> Places:
    """The client's list of what people reported, at this report."""
    narrowed = f"{reverse('user_reports')}?{urlencode({'client': incident.tenant.slug})}"
    return {each: f"{narrowed}#row-{each}" for each in ids}


def _outbound(incident: Incident, ids: set[UUID]) -> Places:
    page = reverse("client_outbound", args=[incident.tenant.slug])
    return dict.fromkeys(ids, page)


_PLACES: dict[str, Callable[[Incident, set[UUID]], Places]] = {
    "observation": _traces,
    "message": _pages("message"),
    "job": _pages("job"),
    "look": _looks,
    "rule": _rules,
    "call": _calls,
    "finding": _wrong,
    "attachment": _comments,
    "internal-attachment": _comments,
    "access": _openings,
    "audit": _pages("log_entry"),
    "sign": _pages("account_sign"),
    "snapshot": _snapshots,
    "step": _steps,
    "step-order": _steps,
    "user-report": _reports,
    "incident": _pages("incident"),
    "stop": _outbound,
    "login": _outbound,
}


def _event(line: Line, names: Names, href: str) -> Event:
    who, tone = _WHO[line.lane]
    return Event(
        key=line.source.replace(":", "-"),
        at=line.at,
        lane="action" if line.lane == "sender" else line.lane,
        tone=line.tone or tone,
        who=_(who),
        lead=line.lead,
        text=line.text,
        note="" if line.names_them else names.join(line.recipients),
        href=href,
    )
