"""Mail from inside the client that does not look like its sender: a taken-over mailbox."""

from __future__ import annotations

from collections.abc import Iterator

from api_bridge.detect.context import Case, Detector
from incidents.mail.signals.domains import is_free_host, is_ip, is_shortener, registered_domain
from incidents.mail.signals.talk import topics_of
from incidents.observations import Reason

ENOUGH_MAILS = 5
"""Mails of a sender that must be known before an unusual one can be told."""

_LURES = ("credential", "shared_file", "prize", "parcel", "payment_change", "gift_cards")


def _mailer_of(case: Case) -> str:
    reading = case.reading
    return (reading.header("x-mailer") or reading.header("user-agent")).partition("/")[0].strip()


def unlike_its_sender(case: Case) -> Iterator[Reason]:
    """What differs from the sender's habits, each difference a reason of its own."""
    habits, facts = case.context.usual_features_of_sender, case.reading.facts
    if not case.context.is_internal or habits.mails < ENOUGH_MAILS or case.sender is None:
        return
    who = case.sender.address
    if habits.hours and facts.sent_at and facts.sent_at.hour not in habits.hours:
        yield Reason(
            "internal_unusual_hour",
            f"{who} never writes at this hour ({facts.sent_at:%H:%M}, UTC).",
            f"{facts.sent_at:%H:%M}",
        )
    mailer = _mailer_of(case)
    if habits.mailers and mailer and mailer not in habits.mailers:
        yield Reason(
            "internal_new_mailer", f"{who} has never used the mail program {mailer}.", mailer
        )
    if habits.languages and facts.language and facts.language not in habits.languages:
        yield Reason(
            "internal_new_language",
            f"{who} has never written in this language ({facts.language}).",
            facts.language,
        )


def wider_than_its_sender(case: Case) -> Iterator[Reason]:
    """To more people, or with links to places, that the sender never had."""
    habits = case.context.usual_features_of_sender
    if not case.context.is_internal or habits.mails < ENOUGH_MAILS or case.sender is None:
        return
    who = case.sender.address
    count = len(case.reading.recipients)
    if habits.most_recipients and count > max(10, 3 * habits.most_recipients):
        yield Reason(
            "internal_many_recipients",
            f"{who} wrote to {count} people at once; the most until now was "
            f"{habits.most_recipients}.",
            str(count),
        )
    new_hosts = [
        host
        for host in case.reading.link_hosts
        if habits.hosts and registered_domain(host) not in habits.hosts
    ]
    if new_hosts:
        yield Reason(
            "internal_new_link_host",
            f"{who} has never sent a link to {new_hosts[0]}.",
            new_hosts[0],
        )


def lure_from_inside(case: Case) -> Iterator[Reason]:
    """A colleague's mail that lures to a place outside which anybody can make."""
    if not case.context.is_internal:
        return
    topics = topics_of(case.reading)
    lures = [name for name in _LURES if topics.get(name, (0, ()))[0] >= 4]
    outside = [
        host
        for host in case.reading.link_hosts
        if registered_domain(host) not in {registered_domain(d) for d in case.context.own_domains}
    ]
    if lures and outside:
        said = topics[lures[0]][1][0]
        yield Reason(
            "internal_lure",
            f"A mail between colleagues says “{said}” and leads to {outside[0]}, outside the firm.",
            outside[0],
        )
        cheap = [
            host for host in outside if is_free_host(host) or is_shortener(host) or is_ip(host)
        ]
        if cheap:
            yield Reason(
                "internal_link_to_free_host",
                f"The colleague's link leads to {cheap[0]}, where anybody can put a page.",
                cheap[0],
            )


def own_domain_from_outside(case: Case) -> Iterator[Reason]:
    """The client's own domain as the sender, but the mail came from outside and unproven."""
    if case.context.is_internal or not case.is_from_own_domain or case.sender is None:
        return
    proven = any(
        result.method == "dmarc" and result.result == "pass" for result in case.context.auth
    )
    if not proven:
        yield Reason(
            "own_domain_from_outside",
            f"The mail says {case.sender.address}, the client's own domain, but came from outside "
            "and nothing proves it.",
            case.sender.address,
        )


DETECTORS: tuple[Detector, ...] = (
    unlike_its_sender,
    wider_than_its_sender,
    lure_from_inside,
    own_domain_from_outside,
)
