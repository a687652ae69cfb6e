"""Facts about a mail that both layers look at, each told in a sentence that a person can check.

A signal is a function of a ``Reading`` that yields ``Reason``s of weight 0: what a reason is worth
is a layer's own business and stands in that layer's ``weights.toml`` (see ``scale``).
"""

from __future__ import annotations

from collections.abc import Iterator

from incidents.mail.signals import attachments, body, envelope, links, money, sender, talk
from incidents.mail.signals.combined import combined
from incidents.mail.signals.reading import Reading, Signal, read
from incidents.mail.signals.scale import Scale, Score, Weight, weigh
from incidents.observations import Reason

SIGNALS: tuple[Signal, ...] = (
    *sender.SIGNALS,
    *envelope.SIGNALS,
    *links.SIGNALS,
    *body.SIGNALS,
    *attachments.SIGNALS,
    *talk.SIGNALS,
    *money.SIGNALS,
)

__all__ = ["SIGNALS", "Reading", "Scale", "Score", "Weight", "read", "shared_reasons", "weigh"]


def shared_reasons(reading: Reading) -> Iterator[Reason]:
    """Every reason that the mail alone gives, unweighted."""
    codes: set[str] = set()
    for signal in SIGNALS:
        for reason in signal(reading):
            codes.add(reason.code)
            yield reason
    yield from combined(frozenset(codes))
