"""Where sources contradict each other about copies.  Pure: computed anew from the deliveries.

``contradictions(copies)`` → kind → the copies that contradict.  The kinds are those of
``Disagreement.Kind``; their codes stand in ``codes.CROSS_LAYER`` too, as marks on incidents.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from incidents.models import Delivery, Disagreement
from incidents.models.mail import Outcome
from incidents.words import GRAVE, HARMLESS, LET_THROUGH, is_threat

Kind = Disagreement.Kind


def contradictions(
    copies: Sequence[Delivery], *, late: Collection[UUID] = ()
) -> dict[str, list[Delivery]]:
    """``copies`` are all of one incident, or of one mail; ``late`` the ids of those whose verdict
    the gateway changed for the worse after it had delivered them.
    """
    found: dict[str, list[Delivery]] = defaultdict(list)
    for copy in copies:
        for kind in _kinds(copy, is_late=copy.id in late):
            found[kind].append(copy)
    if clean := _held_and_clean(copies):
        found[Kind.HELD] = clean
    return dict(found)


def may_be_late(copies: Iterable[Delivery]) -> list[Delivery]:
    """Copies whose gateway verdict may have come after delivery: the history tells."""
    return [
        copy
        for copy in copies
        if copy.outcome in LET_THROUGH
        and not copy.was_released
        # Pulled only where it would have been held for its content.
        and copy.gateway_verdict in GRAVE
        and not is_threat(copy.mailbox_verdict)
    ]


def _kinds(copy: Delivery, *, is_late: bool) -> Iterable[str]:
    was_delivered = copy.outcome in (*LET_THROUGH, Outcome.UNKNOWN)
    gateway, mailbox = is_threat(copy.gateway_verdict), is_threat(copy.mailbox_verdict)
    if mailbox and copy.was_released:
        yield Kind.RELEASED
    elif mailbox and was_delivered and copy.gateway_at and not gateway:
        yield Kind.PASSED
    if is_late and not mailbox:
        yield Kind.LATE
    for kind, word in (
        (Kind.PERSON, copy.person_verdict),
        (Kind.VENDOR, copy.vendor_verdict),
    ):
        if is_threat(word) and was_delivered and not gateway and not mailbox:
            yield kind
    # The mail host calls most mail harmless: only a person's word weighs against a layer's.
    if copy.person_verdict in HARMLESS and (copy.outcome == Outcome.HELD or mailbox):
        yield Kind.PERSON


def _held_and_clean(copies: Sequence[Delivery]) -> list[Delivery]:
    """The gateway stopped it; where the mailbox layer has looked at a copy, it is harmless."""
    stopped = [copy for copy in copies if copy.outcome == Outcome.HELD or copy.was_released]
    looked_at = [copy for copy in copies if copy.outcome in LET_THROUGH]
    if not stopped or not looked_at:
        return []
    if all(copy.mailbox_verdict in HARMLESS for copy in looked_at):
        return [*stopped, *(copy for copy in looked_at if not copy.was_released)]
    return []
