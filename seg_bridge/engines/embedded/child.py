"""The engine's part in the reading process: all that touches the content of a mail.

A ``Judge`` for ``incidents.mail.reader``; the engine weighs its reasons with what the gate adds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from incidents.mail.facts import MailFacts
from incidents.mail.signals import read, shared_reasons
from incidents.mail.wire import pack_reasons
from incidents.observations import Reason
from seg_bridge.engines.embedded.content import content_reasons


def mail_reasons(raw: bytes, facts: MailFacts) -> Iterator[Reason]:
    """Every reason that the mail alone gives, unweighted; of one that cannot be read only its bytes
    are looked at.
    """
    yield from content_reasons(raw)
    if facts.is_readable:
        yield from shared_reasons(read(facts))


def judge(raw: bytes, facts: MailFacts, told: object) -> list[list[Any]]:
    """``told``: nothing, the gate knows no more of the content than the mail says."""
    del told
    return pack_reasons(mail_reasons(raw, facts))
