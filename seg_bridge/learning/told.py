"""What came of lessons, in sentences for people."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from seg_bridge.models import Lesson

MOST = 100
_BAYES = {
    "learned": "The filter has learned",
    "known before": "The filter knew before",
    "not needed": "The filter did not need to learn",
}
# Rspamd's way to say that Bayes puts the mail there already.
_SURE_OF_IT, _SURE = "learn conditions denied", ": it holds it so already"
_HASHES = {
    "hashes: shared": "its hashes are known to all clients of the gateway",
    "hashes: taken back": "its hashes are taken back from all clients of the gateway",
    "hashes: too short for a hash": "it is too short for a hash",
}


@dataclass(frozen=True, slots=True)
class Told:
    """``tone`` as of the design system, "" where all is well; ``number`` and ``gate`` of the
    command, None and "" where no gate was asked.
    """

    lesson: Lesson
    sentence: str
    tone: str
    number: int | None
    gate: str

    @property
    def why(self) -> str:
        return f"{self.lesson.because}, by {self.lesson.decided_by}."


def lessons_about(message_ids: Collection[UUID], *, is_last_only: bool = False) -> list[Told]:
    """Newest first, at most ``MOST``; of each mail the last one only, or all.  One query."""
    rows = (
        Lesson.objects.filter(message__in=message_ids)
        .select_related("command__gate", "message")
        .order_by("-id")[:MOST]
    )
    seen: set[UUID] = set()
    found = []
    for row in rows:
        if not (is_last_only and row.message_id in seen):
            found.append(_told(row))
        seen.add(row.message_id)
    return found


def _told(lesson: Lesson) -> Told:
    command = lesson.command
    if command is None and not lesson.refusal:
        waits = f"Its original is fetched first; then a gate learns {_what(lesson.as_spam)}."
        return Told(lesson, waits, "", None, "")
    if command is None:
        return Told(lesson, sentence_of(lesson.as_spam, False, lesson.refusal), "high", None, "")
    gate = command.gate.name
    if command.ok is None:
        waits = f"Gate {gate} has yet to learn {_what(lesson.as_spam)}."
        return Told(lesson, waits, "", command.seq, gate)
    sentence = sentence_of(lesson.as_spam, command.ok, command.detail)
    return Told(lesson, sentence, "" if command.ok else "high", command.seq, gate)


def sentence_of(as_spam: bool | None, ok: bool, detail: str) -> str:
    """``detail`` is the gate's own word of it, or why none was asked."""
    if not ok:
        return f"The filter could not be taught {_what(as_spam)}: {detail.rstrip('.')}."
    said = []
    for part in detail.split("; "):
        word = next((word for word in _BAYES if part.startswith(word)), "")
        if word:
            rest = _SURE if _SURE_OF_IT in part else part.removeprefix(word)
            said.append(f"{_BAYES[word]} {_what(as_spam)}{rest}")
        else:
            said.append(_HASHES.get(part, part))
    sentence = "; ".join(said)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _what(as_spam: bool | None) -> str:
    if as_spam is None:
        return "that its hashes count no more"
    return "that this mail is spam" if as_spam else "that this mail is not spam"
