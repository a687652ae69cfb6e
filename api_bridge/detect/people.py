"""Somebody speaks in the name of the client's own people, or of the client itself."""

from __future__ import annotations

from collections.abc import Iterator

from api_bridge.detect.context import Case, Detector, KnownPerson
from incidents.mail.signals.domains import is_free_mailer, registered_domain
from incidents.mail.signals.text import fold, words
from incidents.observations import Reason

_TITLES = {
    "ceo": (
        "ceo",
        "chief executive",
        "chief executive officer",
        "geschaftsfuhrer",
        "managing director",
    ),
    "cfo": ("cfo", "chief financial officer", "finance director", "head of finance"),
    "president": ("president", "chairman", "director general"),
    "coo": ("coo", "chief operating officer"),
}
_OWN_DESKS = frozenset(
    {"it", "hr", "helpdesk", "support", "admin", "administrator", "payroll", "desk", "service"}
    | {"security", "team", "office", "management", "postmaster", "webmail", "mailbox"}
)


def _name_key(name: str) -> frozenset[str]:
    """The words of a name without order, look-alike letters, initials and titles."""
    parts = [fold(word) for word in words(name)]
    return frozenset(
        part for part in parts if len(part) > 1 and part not in ("mr", "mrs", "ms", "dr")
    )


def _impersonated(case: Case) -> KnownPerson | None:
    """The person whose full name the sender shows, while the address is none of the client's."""
    sender = case.sender
    if not sender or not sender.address or case.is_from_own_domain:
        return None
    shown = _name_key(sender.name)
    local = _name_key(sender.address.partition("@")[0].replace(".", " ").replace("_", " "))
    matches: list[KnownPerson] = []
    for person in case.context.people:
        wanted = _name_key(person.name)
        if len(wanted) < 2 or person.address == sender.address:
            continue
        if wanted <= shown or (not shown and wanted <= local):
            matches.append(person)
    return max(matches, key=lambda person: person.is_vip, default=None)


def person_impersonated(case: Case) -> Iterator[Reason]:
    person = _impersonated(case)
    if person is None or case.sender is None:
        return
    role = f", {person.title}," if person.title else ""
    code = "impersonates_vip" if person.is_vip else "impersonates_colleague"
    yield Reason(
        code,
        f"The sender shows the name of {person.name}{role} whose address is {person.address}, "
        f"but writes from {case.sender.address}.",
        case.sender.address,
    )


def title_impersonated(case: Case) -> Iterator[Reason]:
    """Only a title as the name (“CEO”), from outside, where the client has such a person."""
    if case.is_from_own_domain or case.sender is None or _impersonated(case):
        return
    shown = " ".join(words(case.sender.name))
    for title, spellings in _TITLES.items():
        if shown not in spellings and not any(shown.startswith(f"{word} ") for word in spellings):
            continue
        holder = next(
            (
                person
                for person in case.context.people
                if title in words(person.title)
                or any(spelling in person.title.lower() for spelling in spellings)
                or person.address.partition("@")[0] == title
            ),
            None,
        )
        if holder:
            yield Reason(
                "impersonates_title",
                f"The sender calls himself “{case.sender.name}”, but {holder.address} is the "
                f"{holder.title or title.upper()} and the mail is from {case.sender.address}.",
                case.sender.address,
            )
            return


def own_address_shown(case: Case) -> Iterator[Reason]:
    """The display name is an address of the client's own domain."""
    if case.sender is None or case.is_from_own_domain:
        return
    shown = case.sender.name.lower()
    for domain in case.context.own_domains:
        if f"@{domain}" in shown:
            yield Reason(
                "shows_own_address",
                f"The sender's name shows an address at {domain}, but the mail is from "
                f"{case.sender.address}.",
                case.sender.name,
            )
            return


def own_firm_shown(case: Case) -> Iterator[Reason]:
    """The client's name with a desk's (“Acme IT Support”) as the sender, from outside."""
    if case.sender is None or case.is_from_own_domain:
        return
    shown = words(case.sender.name)
    for domain in case.context.own_domains:
        firm = registered_domain(domain).partition(".")[0]
        if len(firm) >= 3 and firm in [fold(word) for word in shown]:
            if registered_domain(case.sender.domain).partition(".")[0] == firm:
                continue
            is_desk = any(word in _OWN_DESKS for word in shown)
            yield Reason(
                "poses_as_own_desk" if is_desk else "poses_as_own_firm",
                f"The sender calls himself “{case.sender.name}”, but writes from "
                f"{case.sender.domain}, which is not the client's.",
                case.sender.address,
            )
            return


def private_address_of_colleague(case: Case) -> Iterator[Reason]:
    """Answers to one of the client's people are led to a free mailer."""
    person_names = [_name_key(person.name) for person in case.context.people]
    for reply in case.reading.facts.reply_to[:3]:
        if reply.domain in case.context.own_domains or not is_free_mailer(reply.domain):
            continue
        if case.is_from_own_domain or any(
            len(name) > 1 and name <= _name_key(reply.name) for name in person_names
        ):
            yield Reason(
                "replies_leave_the_firm",
                f"The mail speaks for the client's people, but answers go to {reply.address}.",
                reply.address,
            )
            return


DETECTORS: tuple[Detector, ...] = (
    person_impersonated,
    title_impersonated,
    own_address_shown,
    own_firm_shown,
    private_address_of_colleague,
)
