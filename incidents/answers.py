"""Who answered a mail, or passed it on: from what the mailboxes themselves sent.

The mailbox layer tells of each mail in a mailbox's sent folder.  It speaks of a copy of that same
mailbox if it names the copy's Message-ID, or is of the same conversation by the mail host's word.

- replied: it names the copy as what it answers, or goes to whoever wrote it (or to where he wants
  his answers);
- forwarded: its subject says so, and it does not go to him.

Nothing that was sent before the copy came speaks of it.  The first of each kind counts.  Whatever
is known first, the answer or the mail, waits for the other, so that their order changes nothing.
Every function must run in the client's scope.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from django.utils import timezone

from incidents.bulk import fetch, run
from incidents.known import Copy, Known, Seen, storable_id
from incidents.mail.answers import answer_key, answered_ids, is_forward_subject
from incidents.models import Answer

CLOCKS_DIFFER = timedelta(minutes=2)
KEPT_FOR = timedelta(days=45)
MOST_COPIES = 1_000
SWEEP_ROWS = 20_000

Names = Answer.Names
Said = Literal["replied", "forwarded"]


@dataclass(frozen=True, slots=True)
class _Had:
    """A copy in its mailbox.  ``writers``: who wrote it, and where he wants his answers."""

    id: UUID
    recipient: str
    received_at: datetime
    keys: frozenset[str]
    writers: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Mark:
    """The first of its kind wins; of two at the same moment the one that was told first."""

    at: datetime
    by: UUID


def conversation_key(seen: Seen) -> str:
    """As ``Delivery.conversation`` has it, "" for none."""
    return answer_key(seen.conversation) if seen.conversation else ""


def note_answers(known: Known, sent: Sequence[Seen]) -> set[UUID]:
    """Keeps what the mailboxes ``sent`` and marks the copies that it, or earlier answers, speak of.

    ``known`` is stored already.  Answers the messages of which a copy has changed.
    """
    fresh = [answer for seen in sent for answer in _answers_of(known.tenant_id, seen)]
    Answer.objects.bulk_create(fresh)
    changed = [copy for copy in known.copies.values() if copy.is_new or copy.is_changed]
    keys = {key for copy in changed for key in _keys_of(copy)}
    answers = _answers_by_key(known.tenant_id, keys)
    waiting = [copy.id for copy in changed if not answers.keys().isdisjoint(_keys_of(copy))]
    copies = _copies(known.tenant_id, waiting) + _copies_named_by(known, sent)
    for answer in fresh:
        answers.setdefault(answer.key, []).append(answer)
    marks: dict[Said, dict[UUID, _Mark]] = {"replied": {}, "forwarded": {}}
    for copy in copies:
        _mark(copy, answers, known.mailboxes_of(copy.recipient), marks)
    return _store("replied", known.tenant_id, marks["replied"]) | _store(
        "forwarded", known.tenant_id, marks["forwarded"]
    )


def _answers_of(tenant_id: int, seen: Seen) -> list[Answer]:
    named = [
        (answer_key(text), Names.ANCESTOR if place else Names.PARENT)
        for place, text in enumerate(_ids_named_by(seen))
    ]
    if seen.conversation:
        named.append((conversation_key(seen), Names.CONVERSATION))
    people = [*(seen.mail.get("to") or ()), *(seen.mail.get("cc") or ())]
    recipients = sorted({each.get("address", "") for each in people} - {""})
    return [
        Answer(
            tenant_id=tenant_id,
            mailbox=seen.recipient,
            key=key,
            names=names,
            observation_id=seen.id,
            sent_at=seen.received_at,
            is_forward=is_forward_subject(seen.subject),
            recipients=recipients,
        )
        for key, names in named
    ]


def _ids_named_by(seen: Seen) -> list[str]:
    mail = seen.mail
    ids = answered_ids(str(mail.get("in_reply_to") or ""), mail.get("references") or ())
    return [storable_id(each) for each in ids]


def _keys_of(copy: Copy) -> set[str]:
    named = copy.mail.internet_message_id
    return {answer_key(named) if named else "", copy.conversation} - {""}


def _answers_by_key(tenant_id: int, keys: Collection[str]) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = defaultdict(list)
    if keys:
        for answer in Answer.objects.filter(tenant=tenant_id, key__in=keys):
            found[answer.key].append(answer)
    return found


_COPY = """
SELECT d.id, d.recipient, d.received_at, d.conversation, m.internet_message_id, m.sender_address,
       coalesce((SELECT array_agg(r->>'address') FROM jsonb_array_elements(CASE
           WHEN jsonb_typeof(m.facts->'reply_to') = 'array' THEN m.facts->'reply_to' END) r), '{}')
FROM incidents_delivery d
JOIN incidents_message m ON m.tenant_id = d.tenant_id AND m.id = d.message_id
WHERE d.tenant_id = %s AND """
_OF_MAILS = """d.recipient = ANY(%s) AND d.message_id IN (
    SELECT o.id FROM unnest(%s::text[]) AS w (message_id)
    CROSS JOIN LATERAL (
        SELECT id FROM incidents_message
        WHERE tenant_id = %s AND internet_message_id = w.message_id
        ORDER BY first_seen_at DESC LIMIT 50
    ) o)"""
_OF_CONVERSATIONS = (
    "d.recipient = ANY(%s) AND d.conversation = ANY(%s) AND d.conversation <> ''"
    f" ORDER BY d.received_at DESC LIMIT {MOST_COPIES}"
)


def _copies(tenant_id: int, ids: Sequence[UUID]) -> list[_Had]:
    return _had(fetch(_COPY + "d.id = ANY(%s)", [tenant_id, list(ids)])) if ids else []


def _copies_named_by(known: Known, sent: Sequence[Seen]) -> list[_Had]:
    names = list({name for seen in sent for name in known.names_of(seen.recipient)})
    ids = list({each for seen in sent for each in _ids_named_by(seen)})
    conversations = list({conversation_key(seen) for seen in sent} - {""})
    found: list[_Had] = []
    if ids:
        of_mails = [known.tenant_id, names, ids, known.tenant_id]
        found += _had(fetch(_COPY + _OF_MAILS, of_mails))
    if conversations:
        of_conversations = [known.tenant_id, names, conversations]
        found += _had(fetch(_COPY + _OF_CONVERSATIONS, of_conversations))
    return found


def _had(rows: Iterable[Sequence[Any]]) -> list[_Had]:
    return [
        _Had(
            id=row[0],
            recipient=str(row[1]),
            received_at=row[2],
            keys=frozenset({str(row[3]), answer_key(str(row[4])) if row[4] else ""} - {""}),
            writers=frozenset({str(row[5]), *row[6]} - {"", None}),
        )
        for row in rows
    ]


def _mark(
    copy: _Had,
    answers: Mapping[str, Sequence[Answer]],
    mailboxes: Sequence[str],
    marks: Mapping[Said, dict[UUID, _Mark]],
) -> None:
    for answer in (each for key in copy.keys for each in answers.get(key, ())):
        said = _says(answer, copy) if answer.mailbox in mailboxes else None
        if said is None:
            continue
        known = marks[said].get(copy.id)
        if known is None or answer.sent_at < known.at:
            marks[said][copy.id] = _Mark(answer.sent_at, answer.observation_id)


def _says(answer: Answer, copy: _Had) -> Said | None:
    if answer.sent_at < copy.received_at - CLOCKS_DIFFER:
        return None
    is_to_writer = not copy.writers.isdisjoint(answer.recipients)
    if answer.is_forward and not is_to_writer:
        return None if answer.names == Names.ANCESTOR else "forwarded"
    return "replied" if is_to_writer or answer.names == Names.PARENT else None


_WRITE = """
UPDATE incidents_delivery d SET {0}_at = s.at, {0}_by = s.by
FROM unnest(%s::uuid[], %s::timestamptz[], %s::uuid[]) AS s (id, at, by)
WHERE d.tenant_id = %s AND d.id = s.id AND (d.{0}_at IS NULL OR d.{0}_at > s.at)
RETURNING d.message_id
"""


def _store(said: Said, tenant_id: int, marks: Mapping[UUID, _Mark]) -> set[UUID]:
    if not marks:
        return set()
    times, proofs = [each.at for each in marks.values()], [each.by for each in marks.values()]
    rows = fetch(_WRITE.format(said), [list(marks), times, proofs, tenant_id])
    return {row[0] for row in rows}


def sweep_answers(tenant_id: int) -> int:
    """Forgets answers that no mail will come to any more; the marks on the copies stay."""
    return run(
        "DELETE FROM incidents_answer WHERE tenant_id = %s AND id IN ("
        " SELECT id FROM incidents_answer WHERE tenant_id = %s AND sent_at < %s LIMIT %s)",
        [tenant_id, tenant_id, timezone.now() - KEPT_FOR, SWEEP_ROWS],
    )
