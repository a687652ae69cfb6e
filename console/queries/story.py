"""The story as pages draw it: two rails, and who was concerned in short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.urls import reverse

from incidents.models import Incident, Sighting
from incidents.story import Line, tell_story
from incidents.story.lines import Names
from tenants.ids import as_uuid

_WHO = {
    "sender": ("Sender", "calm"),
    "gateway": ("Gateway", "gate"),
    "mailbox": ("Mailbox", "box"),
    "person": ("Person", "high"),
    "action": ("Action", "info"),
}
_ALARMING = ("phishing", "fraud", "malware")


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


def story_of(incident: Incident, *, is_plain: bool = False) -> StoryPage:
    """Needs the client's scope.  ``is_plain``: for the client, without the provider's own steps."""
    story = tell_story(incident)
    if is_plain:
        lines = [
            replace(line, lead=line.lead.rstrip(":"))
            for line in story.lines
            if not line.source.startswith(("audit:", "rule:"))
        ]
        story = replace(story, lines=lines)
    names = Names(one for line in story.lines for one in line.recipients)
    hrefs = {} if is_plain else _records(incident, story.lines)
    events = [_event(line, names, hrefs.get(line.source, "")) for line in story.lines]
    return StoryPage(story.headline, events, story.not_checked)


def _records(incident: Incident, lines: Sequence[Line]) -> dict[str, str]:
    """Source → the page that shows it: of an observation the trace of its copy, and a job's."""
    found: dict[str, str] = {}
    seen: list[UUID] = []
    for line in lines:
        kind, _, key = line.source.partition(":")
        if (record_id := as_uuid(key)) is None:
            continue
        if kind == "job":
            found[line.source] = reverse("job", args=[record_id])
        elif kind == "observation":
            seen.append(record_id)
    rows = Sighting.objects.filter(tenant=incident.tenant_id, observation_id__in=seen)
    for observation, copy in rows.values_list("observation_id", "delivery_id"):
        found[f"observation:{observation}"] = reverse("trace", args=[copy]) + f"#step-{observation}"
    return found


def _event(line: Line, names: Names, href: str) -> Event:
    who, tone = _WHO[line.lane]
    if line.lane == "mailbox" and any(word in line.lead for word in _ALARMING):
        tone = "crit"
    if line.lead.startswith(("Read back: gone", "Checked again: still gone")):
        tone = "good"
    return Event(
        key=line.source.replace(":", "-"),
        at=line.at,
        lane="action" if line.lane == "sender" else line.lane,
        tone=tone,
        who=who,
        lead=line.lead,
        text=line.text,
        note="" if line.names_them else names.join(line.recipients),
        href=href,
    )
