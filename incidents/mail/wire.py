"""``MailFacts`` and reasons between the reading child and its parent.

JSON, because what comes back from a process that has read hostile mail must not be able to run
anything here.  Small objects travel as lists of their fields in the order of declaration.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from typing import Any

from incidents.mail.facts import Address, Attachment, AuthResult, Hop, Link, MailFacts
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
_PLAIN_TUPLES = ("problems", "references", "shingles")
_NAMES = {kind: tuple(each.name for each in fields(kind)) for kind in set(_NESTED.values())}
_FACT_NAMES = tuple(each.name for each in fields(MailFacts))


def pack_facts(facts: MailFacts) -> bytes:
    """What ``unpack_facts`` turns back into an equal object."""
    data: dict[str, Any] = {name: getattr(facts, name) for name in _FACT_NAMES}
    for name, kind in _NESTED.items():
        names = _NAMES[kind]
        data[name] = [[getattr(each, field) for field in names] for each in data[name]]
    data["sender"] = _packed_address(facts.sender)
    return json.dumps(data, default=_iso, check_circular=False).encode()


def unpack_facts(data: bytes) -> MailFacts:
    """Raises ``ValueError``, ``TypeError`` or ``KeyError`` on anything that is not facts."""
    found = json.loads(data)
    for name, kind in _NESTED.items():
        found[name] = tuple(_unpacked(kind, each) for each in found[name])
    for name in _PLAIN_TUPLES:
        found[name] = tuple(found[name])
    found["headers"] = tuple((name, value) for name, value in found["headers"])
    found["sender"] = Address(*found["sender"]) if found["sender"] else None
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


def _packed_address(address: Address | None) -> list[str] | None:
    return [address.address, address.name, address.raw] if address else None


def _unpacked(kind: type[Any], values: list[Any]) -> Any:
    if kind is Hop:
        at = _NAMES[Hop].index("received_at")
        values[at] = _time(values[at])
    elif kind is Attachment:
        values = [tuple(each) if isinstance(each, list) else each for each in values]
    return kind(*values)


def _iso(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"facts cannot carry {type(value)}")


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
