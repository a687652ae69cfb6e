"""What sender and gate said to each other about one mail, for whoever traces it later.

A line about one recipient is told to the recipient's client only; what was said about an address
that is no client's is told to nobody.  The gate's last reply is on record as ``smtp_reply``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

MOST_LINES = 40
MOST_CHARS = 300
_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\uffff]+")

Speaker = Literal["sender", "gate"]


@dataclass(frozen=True, slots=True)
class Said:
    """One line.  ``tenant_id`` None: it concerns every client of the mail."""

    by: Speaker
    text: str
    tenant_id: int | None = None


def exchange(command: str, reply: str, tenant_id: int | None = None) -> tuple[Said, Said]:
    """A command with the gate's answer to it, of several lines the first."""
    return (
        Said("sender", _line(command), tenant_id),
        Said("gate", _line(reply.partition("\r\n")[0]), tenant_id),
    )


def told_to(tenant_id: int, said: Iterable[Said]) -> list[list[str]]:
    """``[speaker, line]`` in order, at most ``MOST_LINES`` and a word about the rest."""
    lines = [[one.by, one.text] for one in said if one.tenant_id in (None, tenant_id)]
    if len(lines) <= MOST_LINES:
        return lines
    left = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], ["gate", f"… and {left} lines more"]]


def _line(text: str) -> str:
    return _NOT_PRINTABLE.sub("?", text)[:MOST_CHARS]
