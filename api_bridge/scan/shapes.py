"""What a scan is given besides the mail, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api_bridge import history
from api_bridge.connectors import Item
from incidents.observations import Observation
from incidents.userreports.taking import TakenReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """The mailbox in which items lie.  Mail received before ``judged_from`` only teaches.

    ``kind``: of its connection; ``internal_hosts``: ``inside.is_from_inside``.
    """

    mailbox_id: UUID
    tenant_id: int
    address: str
    aliases: tuple[str, ...]
    display_name: str
    judged_from: datetime
    kind: str = "graph"
    internal_hosts: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Who says it, in observations."""
        return f"{self.kind}:{self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """``observation`` None: nothing new to say of it; ``is_judged``: an observation of it exists.
    ``beside``: what others said of it that only this source can tell, the mail host's own filter.
    ``wants_evidence``: ``raw``, the bytes that were read, acquired by ``method``, belong into the
    evidence store; of other mail no bytes are kept.  ``reports``: what it reports, where it lies in
    the client's report mailbox.
    """

    item: Item
    observation: Observation | None = None
    beside: Sequence[Observation] = ()
    is_judged: bool = True
    lessons: Sequence[history.Lesson] = ()
    raw: bytes = b""
    method: str = ""
    wants_evidence: bool = False
    reports: Sequence[TakenReport] = ()
