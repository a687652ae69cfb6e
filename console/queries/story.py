"""The story as pages draw it: two rails, and who was concerned in short."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from incidents.models import Incident
from incidents.story import Line, tell_story
from incidents.story.lines import Names

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
    """One line as ``_components/story.html`` wants it."""

    key: str
    at: datetime
    lane: str
    tone: str
    who: str
    lead: str
    text: str
    note: str


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
    events = [_event(line, names) for line in story.lines]
    return StoryPage(story.headline, events, story.not_checked)


def _event(line: Line, names: Names) -> Event:
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
    )
