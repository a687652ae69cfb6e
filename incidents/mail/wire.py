"""``MailFacts`` and reasons between the reading child and its parent.

JSON, because what comes back from a process that has read hostile mail must not be able to run
anything here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from incidents.mail.facts import Address, Attachment, AuthResult, Hop, Link, MailFacts
from incidents.mail.json_text import parse_json, write_json
from incidents.observations import Reason

_NESTED: dict[str, type[Any]] = {
    "from_all": Address,
    "reply_to": Address,
    "to": Address,
    "cc": Address,
    "hops": Hop,
    "auth_results": AuthResult,
    "links": Link,
    "attachments": Attachment,
}
_SENT = tuple(name for name in MailFacts.__slots__ if name != "told")
_TOLD = MailFacts(size_bytes=0, raw_sha256="").as_json().keys()
_PLAIN_TUPLES = ("problems", "references", "shingles")


def pack_facts(facts: MailFacts) -> bytes:
    """What ``unpack_facts`` turns back into an equal object."""
    return write_json({name: getattr(facts, name) for name in _SENT})


def pack_told(facts: MailFacts) -> bytes:
    """The same without the mail's content, for ``unpack_told``."""
    return facts.as_json_text()


def unpack_facts(data: bytes) -> MailFacts:
    """Raises ``ValueError``, ``TypeError`` or ``KeyError`` on anything that is not facts."""
    found = parse_json(data)
    found["headers"] = tuple((name, value) for name, value in found["headers"])
    return _made(found)


def unpack_told(data: bytes) -> MailFacts:
    """Facts without content; ``told`` is what came, fit for one line of a journal.

    Raises as ``unpack_facts``.
    """
    found = parse_json(data)
    if not isinstance(found, dict) or found.keys() != _TOLD or b"\n" in data or b"\r" in data:
        raise ValueError("not what is told of a mail")
    found["told"] = data
    return _made(found)


def _made(found: dict[str, Any]) -> MailFacts:
    for hop in found["hops"]:
        hop["received_at"] = _time(hop["received_at"])
    for attachment in found["attachments"]:
        attachment["members"] = tuple(attachment["members"])
        attachment["flags"] = tuple(attachment["flags"])
    for name, kind in _NESTED.items():
        found[name] = tuple(kind(**each) for each in found[name])
    for name in _PLAIN_TUPLES:
        found[name] = tuple(found[name])
    found["sender"] = Address(**found["sender"]) if found["sender"] else None
    found["sent_at"] = _time(found["sent_at"])
    return MailFacts(**found)


def pack_reasons(reasons: Iterable[Reason]) -> list[list[Any]]:
    """What JSON can carry, and ``unpack_reasons`` turns back into equal reasons."""
    return [[each.code, each.text, each.value, each.weight] for each in reasons]


def unpack_reasons(rows: Any) -> tuple[Reason, ...]:
    """Raises ``ValueError`` or ``TypeError`` on anything that is not reasons."""
    return tuple(
        Reason(str(code), str(text), str(value), float(weight))
        for code, text, value, weight in rows
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
