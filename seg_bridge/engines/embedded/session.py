"""What the conversation with the sending host tells, and what its authentication came to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from incidents.mail.signals.domains import (
    has_suspicious_tld,
    is_free_mailer,
    is_ip,
    registered_domain,
    same_owner,
)
from incidents.mail.signals.reading import Reading
from incidents.mail.signals.sender import looks_random
from incidents.observations import Reason
from seg_bridge.engines import Envelope
from seg_bridge.engines.embedded.auth import Authentication

_NUMBERED_HOST = re.compile(
    r"\d{1,3}[-.x_]\d{1,3}[-.x_]\d{1,3}|dynamic|dialup|dial-up|\bdsl|adsl|\bppp|\bdhcp|\bpool|"
    r"broadband|\.dyn\.",
    re.I,
)


def auth_reasons(auth: Authentication, from_domain: str) -> Iterator[Reason]:
    if auth.is_unavailable:
        yield Reason(
            "auth_unavailable",
            "The resolver did not answer, so the sender could not be checked in full.",
        )
    if auth.dmarc == "fail":
        yield _dmarc_failed(auth, from_domain)
    elif auth.dmarc == "pass":
        by = " and ".join(name.upper() for name in auth.aligned_by)
        verb = "prove" if len(auth.aligned_by) > 1 else "proves"
        words = f"{by} {verb} that the mail is from {from_domain}."
        yield Reason("dmarc_pass", words, from_domain)
    elif auth.dmarc == "none" and from_domain:
        yield Reason("dmarc_none", f"{from_domain} publishes no DMARC policy.", from_domain)
    if auth.spf in ("fail", "softfail"):
        yield Reason(
            f"spf_{auth.spf}",
            "The sending host is not one that the envelope sender's domain allows (SPF "
            f"{auth.spf}).",
            auth.results[0].domain,
        )
    if auth.dkim == "fail":
        yield Reason("dkim_fail", "The signature on the mail does not fit its content (DKIM fail).")


def _dmarc_failed(auth: Authentication, from_domain: str) -> Reason:
    wish = {
        "reject": "such mail to be rejected",
        "quarantine": "such mail to be held",
        "none": "nothing to be done about it",
    }[auth.policy or "none"]
    return Reason(
        f"dmarc_fail_{auth.policy or 'none'}",
        f"Neither SPF nor DKIM proves that the mail is from {from_domain}, which asks for {wish}.",
        from_domain,
    )


def session_reasons(reading: Reading, envelope: Envelope) -> Iterator[Reason]:
    """HELO and envelope sender as the host gave them."""
    if envelope.authenticated_as:
        return
    helo = envelope.helo.strip("[]").lower()
    if is_ip(helo):
        yield Reason("helo_ip", f"The sending host gave no name, only {helo}.", helo)
    elif helo and "." not in helo:
        yield Reason("helo_bare", f"The sending host calls itself {helo}, no full name.", helo)
    elif _NUMBERED_HOST.search(helo):
        yield Reason(
            "helo_numbered", f"The sending host {helo} has a name of a home or rented line.", helo
        )
    elif same_owner(helo, reading.sender_domain):
        yield Reason(
            "helo_of_sender", f"The mail was sent by {helo}, a host of the sender's.", helo
        )
    elif looks_random(registered_domain(helo).partition(".")[0]):
        yield Reason("helo_random", f"The sending host {helo} has a name made by chance.", helo)
    elif has_suspicious_tld(helo):
        yield Reason("helo_suspicious_tld", f"The sending host is {helo}, a cheap ending.", helo)
    if is_free_mailer(reading.sender_domain) and helo and "." in helo:
        brand = reading.sender_owner.partition(".")[0]
        hosts = (brand, "google", "outlook", "hotmail", "yahoo", "mail", "mx", "smtp")
        if not any(part in helo for part in hosts):
            yield Reason(
                "free_mailer_from_elsewhere",
                f"The mail says {reading.sender_domain}, but {helo} sent it.",
                helo,
            )
    if not envelope.mail_from and reading.sender_domain and not _is_report(reading):
        yield Reason("empty_envelope", "The mail has no envelope sender, but is no report.")


def _is_report(reading: Reading) -> bool:
    return reading.content_type == "multipart/report" or bool(reading.header("auto-submitted"))
