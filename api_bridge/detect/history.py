"""Who is new to this mailbox and this client, and who is well known."""

from __future__ import annotations

from collections.abc import Iterator

from api_bridge.detect.context import Case, Detector
from incidents.mail.signals.domains import is_free_mailer
from incidents.observations import Reason

WELL_KNOWN_MAILS = 3


def first_contact(case: Case) -> Iterator[Reason]:
    context, sender = case.context, case.sender
    if not context.history_known or context.is_internal or not sender or not sender.address:
        return
    history = context.sender_history
    if history.mails_to_client == 0:
        yield Reason(
            "first_contact",
            f"{sender.address} has never written to this client before.",
            sender.address,
        )
        if is_free_mailer(sender.domain):
            yield Reason(
                "first_contact_free_mailer",
                f"The stranger writes from {sender.domain}, where anybody gets an address.",
                sender.address,
            )
    elif history.mails_to_mailbox == 0:
        yield Reason(
            "first_contact_with_mailbox",
            f"{sender.address} is known to the client, but has never written to "
            f"{context.recipient.address}.",
            sender.address,
        )


def well_known(case: Case) -> Iterator[Reason]:
    history, sender = case.context.sender_history, case.sender
    if sender is None or not case.context.history_known:
        return
    if history.mails_answered:
        yield Reason(
            "correspondent",
            f"{case.context.recipient.address} has answered mail of {sender.address} before.",
            sender.address,
        )
    elif history.mails_to_mailbox >= WELL_KNOWN_MAILS:
        yield Reason(
            "well_known_sender",
            f"{sender.address} has written {history.mails_to_mailbox} times to this mailbox.",
            sender.address,
        )


DETECTORS: tuple[Detector, ...] = (first_contact, well_known)
