"""One copy in the spool, and how it stands on the disk."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolEntry:
    """Times are Unix seconds.  ``sha256`` names the original bytes, which are kept as evidence.

    ``is_held``: a person wants it to wait.  ``last_reply``: why it waits.  ``claimed``: as in
    ``OutgoingMail``.
    """

    name: str
    ulid: str
    tenant_id: int
    internet_message_id: str
    sha256: str
    mail_from: str
    recipients: tuple[str, ...]
    is_smtputf8: bool
    is_8bit: bool
    spooled_at_s: float
    due_at_s: float
    attempts: int = 0
    is_held: bool = False
    last_reply: str = ""
    direction: str = "inbound"
    claimed: str = ""

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode("ascii")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        fields = json.loads(data)
        return cls(**{**fields, "recipients": tuple(fields["recipients"])})
