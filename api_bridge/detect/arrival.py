"""How the mail reached the mailbox: past the gateway, with what proof, in which conversation."""

from __future__ import annotations

import re
from collections.abc import Iterator

from api_bridge.detect.context import Case, Detector
from incidents.mail.signals.domains import same_owner
from incidents.mail.signals.text import fold
from incidents.observations import Reason
from incidents.words import Direction

_QUOTE_START = re.compile(
    r"^(?:>|-{2,}\s?(?:Original Message|Urspr)|_{10,}|On .{5,120} wrote:|From: |Von: |De : |De: )",
    re.M,
)
_QUOTED_ADDRESS = re.compile(r"([\w.+-]{1,64})@((?:[\w-]{1,63}\.){1,6}[a-z]{2,24})", re.I)


def past_the_gateway(case: Case) -> Iterator[Reason]:
    if case.context.direction is not Direction.INBOUND:
        return
    if case.context.trace_state == "missing":
        yield Reason(
            "gateway_bypassed",
            "The mail does not carry the gateway's trace: it came straight to the mailbox host.",
        )
    elif case.context.trace_state == "invalid":
        yield Reason("trace_forged", "The mail carries a trace of the gateway that is not genuine.")


def proof_of_sender(case: Case) -> Iterator[Reason]:
    """Authentication as the trusted hop found it."""
    domain = case.reading.sender_domain
    results = {result.method: result for result in reversed(case.context.auth)}
    dmarc = results.get("dmarc")
    if case.context.is_internal or not results:
        return
    if dmarc and dmarc.result == "fail":
        yield Reason(
            "mailbox_dmarc_fail",
            f"The mailbox host found no proof that the mail is from {domain} (DMARC fail).",
            domain,
        )
    elif dmarc and dmarc.result in ("pass", "bestguesspass"):
        yield Reason("mailbox_dmarc_pass", f"DMARC proves that the mail is from {domain}.", domain)
    spf = results.get("spf")
    if spf and spf.result in ("fail", "softfail") and not (dmarc and dmarc.result == "pass"):
        yield Reason(
            "mailbox_spf_fail",
            f"The mailbox host found the sending host not allowed for {spf.domain or domain} (SPF "
            f"{spf.result}).",
            spf.domain,
        )


def hijacked_thread(case: Case) -> Iterator[Reason]:
    """An answer in a conversation from somebody who was never in it."""
    sender, facts = case.sender, case.reading.facts
    if sender is None or not sender.address or facts.list_id or case.context.is_internal:
        return
    known = case.context.thread_participants
    domains = {address.rpartition("@")[2] for address in known}
    if known and not any(same_owner(domain, sender.domain) for domain in domains):
        yield Reason(
            "thread_joined_by_stranger",
            f"The mail answers a conversation of the client, but {sender.address} was never "
            "part of it.",
            sender.address,
        )
    yield from _quoted_namesake(case)


def _quoted_namesake(case: Case) -> Iterator[Reason]:
    """The quoted mail is by the same name at another domain: somebody took the thread along."""
    sender, text = case.sender, case.reading.facts.text[:30_000]
    start = _QUOTE_START.search(text)
    if sender is None or start is None or not case.reading.sender_owner:
        return
    local = fold(sender.address.partition("@")[0])
    for match in _QUOTED_ADDRESS.finditer(text, start.start()):
        domain = match.group(2).lower()
        if (
            fold(match.group(1)) == local
            and len(local) > 3
            and not same_owner(domain, sender.domain)
        ):
            if domain in case.context.own_domains:
                continue
            yield Reason(
                "thread_continued_from_other_domain",
                f"The quoted mail is by {match.group(0)}; this answer under the same name comes "
                f"from {sender.domain}.",
                match.group(0),
            )
            return


DETECTORS: tuple[Detector, ...] = (past_the_gateway, proof_of_sender, hijacked_thread)
