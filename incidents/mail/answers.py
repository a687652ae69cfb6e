"""What a mail says of the mail that it answers or passes on.  Pure; every text is hostile.

RFC 5322 3.6.4: ``In-Reply-To`` names what is answered, ``References`` the way there, the nearest
last.  A mail that is passed on names what it passes on in the same headers; its subject says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

MOST_ANSWERED = 10
_ID = re.compile(r"<[^<>\s]{1,996}>")
# Of Outlook, Exchange and Gmail in their users' languages; a gateway's tag may stand first.
_FORWARD = re.compile(
    r"\s*(?:\[[^\]]{1,30}\]\s*)?(?:fwd?|wg|tr|rv|enc|i|vl|vb|doorst|pd|továbbítás|пересл|转发|轉寄|転送)"
    r"\s*(?:\[\d+\])?\s*[:：]",
    re.IGNORECASE,
)


def answered_ids(in_reply_to: str, references: Sequence[str]) -> list[str]:
    """Message-IDs that the mail says it answers, each once, the nearest first; [] for none."""
    nearest = _ID.findall(in_reply_to)[:1]
    way = [each for text in references for each in _ID.findall(text)]
    return list(dict.fromkeys([*nearest, *reversed(way)]))[:MOST_ANSWERED]


def is_forward_subject(subject: str) -> bool:
    """Whether the subject says that the mail passes another on."""
    return _FORWARD.match(subject) is not None


def answer_key(text: str) -> str:
    """A Message-ID, or a mail host's own name of a conversation, as 32 hex characters."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
