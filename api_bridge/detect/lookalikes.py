"""Domains that imitate the client's own or those of firms it deals with."""

from __future__ import annotations

from collections.abc import Iterator

from api_bridge.detect.context import Case, Detector
from incidents.mail.signals.domains import Likeness, is_free_mailer, likeness, registered_domain
from incidents.observations import Reason


def _likeness_to(domain: str, originals: tuple[str, ...] | frozenset[str]) -> Likeness | None:
    """The first original that ``domain`` imitates; None where it is itself one of them."""
    owner = registered_domain(domain)
    if not owner or owner in {registered_domain(original) for original in originals}:
        return None
    if is_free_mailer(owner):
        return None
    for original in sorted(originals):
        like = likeness(owner, original)
        if like is not None:
            return like
    return None


def _tell(like: Likeness, *, whose: str, where: str) -> str:
    return (
        f"The {where} {like.domain} looks like {whose} domain {like.original}, but is another one: "
        f"it differs by {like.how}."
    )


def own_domain_imitated(case: Case) -> Iterator[Reason]:
    like = _likeness_to(case.reading.sender_domain, case.context.own_domains)
    if like is None:
        return
    code = "lookalike_own_domain"
    if like.code == "other_ending":
        code = "own_name_other_ending"
    yield Reason(code, _tell(like, whose="the client's", where="sender's domain"), like.domain)


def vendor_domain_imitated(case: Case) -> Iterator[Reason]:
    vendors = case.context.known_vendor_domains
    like = _likeness_to(case.reading.sender_domain, vendors)
    if like is None or case.is_from_own_domain:
        return
    code = "lookalike_vendor_domain"
    if like.code == "other_ending":
        code = "vendor_name_other_ending"
    yield Reason(code, _tell(like, whose="a known vendor's", where="sender's domain"), like.domain)


def reply_domain_imitates(case: Case) -> Iterator[Reason]:
    """The answers go to a lookalike, while the sender is the real one or anybody."""
    known = frozenset((*case.context.own_domains, *case.context.known_vendor_domains))
    for reply in case.reading.facts.reply_to[:3]:
        if reply.domain == case.reading.sender_domain:
            continue
        like = _likeness_to(reply.domain, known)
        if like is not None:
            yield Reason(
                "lookalike_reply_domain",
                _tell(like, whose="the known", where="domain that answers go to,"),
                reply.address,
            )
            return


def link_imitates(case: Case) -> Iterator[Reason]:
    for host in case.reading.link_hosts:
        like = _likeness_to(host, case.context.own_domains)
        if like is not None and like.code != "other_ending":
            yield Reason(
                "lookalike_link_host", _tell(like, whose="the client's", where="link's host"), host
            )
            return


DETECTORS: tuple[Detector, ...] = (
    own_domain_imitated,
    vendor_domain_imitated,
    reply_domain_imitates,
    link_imitates,
)
