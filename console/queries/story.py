"""The story as pages draw it: two rails, and who was concerned in short."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from incidents.models import Incident
from incidents.story import Line, tell_story

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
            if not line.source.startswith("audit:")
        ]
        story = replace(story, lines=lines)
    names = _short_names({one for line in story.lines for one in line.recipients})
    events = [_event(line, names) for line in story.lines]
    return StoryPage(story.headline, events, story.not_checked)


def _event(line: Line, names: dict[str, str]) -> Event:
    who, tone = _WHO[line.lane]
    if line.lane == "mailbox" and any(word in line.lead for word in _ALARMING):
        tone = "crit"
    if line.lead.startswith("Read back: gone"):
        tone = "good"
    return Event(
        key=line.source.replace(":", "-"),
        at=line.at,
        lane="action" if line.lane == "sender" else line.lane,
        tone=tone,
        who=who,
        lead=line.lead,
        text=line.text,
        note=_join([names[one] for one in line.recipients]),
    )


def _short_names(recipients: Collection[str]) -> dict[str, str]:
    """``it@`` where all are of one domain, else the whole address."""
    domains = {recipient.rpartition("@")[2] for recipient in recipients}
    if len(domains) > 1:
        return {recipient: recipient for recipient in recipients}
    return {recipient: recipient.rpartition("@")[0] + "@" for recipient in recipients}


def _join(names: Sequence[str], most: int = 6) -> str:
    """``a``, ``a and b``, ``a, b, c and 9 more``."""
    if len(names) <= 1:
        return "".join(names)
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"
