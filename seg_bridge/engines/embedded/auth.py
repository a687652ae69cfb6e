"""SPF, DKIM and DMARC of a mail as the gate received it, by RFC 7208, 6376 and 7489.

pyspf and dkimpy do the arithmetic; alignment, policy and everything about names is here, because
the packages that offer it cut domains at a hyphen (contract note on authheaders 0.16.3).  A
resolver that fails gives ``temperror`` and never an exception.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Final

import dkim
import spf

from incidents.mail.facts import AuthResult
from incidents.mail.signals.domains import is_ip, registered_domain
from seg_bridge.engines.embedded.resolver import Lookup, ResolverFailed

SIGNATURES_CHECKED: Final = 4
BYTES_CHECKED: Final = 30_000_000
HEADER_BYTES_CHECKED: Final = 256 * 1024
HEADER_LINES_CHECKED: Final = 4_000
SIGNATURE_BYTES: Final = 8 * 1024
"""dkimpy compares every name that a signature lists with every header, and joins folded lines one
by one."""
KEY_CHARACTERS: Final = 1_000
"""Room for an RSA key of 4096 bits; the sender chooses the key, and a larger one is his weapon:
dkimpy reckons in plain Python."""
_SIGNATURE: Final = re.compile(rb"(?im)^dkim-signature[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*")
_SILENT: Final = logging.getLogger("seg_bridge.engines.embedded.dkim")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def _strip_trailing_whitespace(content: bytes) -> bytes:
    """As dkimpy's own, but a long run of spaces is looked at once, not once for each of them."""
    return re.sub(rb"(?<![\t ])[\t ]+\r\n", b"\r\n", content)


dkim.canonicalization.strip_trailing_whitespace = _strip_trailing_whitespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """``results`` in the words of RFC 8601.  ``dmarc`` is ``pass fail none temperror permerror``,
    ``policy`` what the From domain asks for a failing mail (``none quarantine reject``, "" without
    a record), ``policy_domain`` where that record stands.
    """

    results: tuple[AuthResult, ...]
    spf: str
    dkim: str
    dmarc: str
    policy: str = ""
    policy_domain: str = ""
    aligned_by: tuple[str, ...] = ()
    is_unavailable: bool = False


def authenticate(
    raw: bytes,
    *,
    client_ip: str,
    helo: str,
    mail_from: str,
    from_domain: str,
    authserv_id: str,
    lookup: Lookup,
) -> Authentication:
    """``from_domain`` is the domain of the one From address, "" where there is none."""
    spf_result, spf_domain, spf_why = check_spf(client_ip, helo, mail_from, lookup)
    signatures = check_dkim(raw, lookup) or (Signature("none", "", ""),)
    dmarc = _Dmarc.read(from_domain, lookup)
    aligned: list[str] = []
    if spf_result == "pass" and dmarc.is_aligned(spf_domain, "aspf"):
        aligned.append("spf")
    if any(one.result == "pass" and dmarc.is_aligned(one.domain, "adkim") for one in signatures):
        aligned.append("dkim")
    best_dkim = _best([one.result for one in signatures])
    verdict = dmarc.verdict(
        is_aligned=bool(aligned), is_unsure="temperror" in (spf_result, best_dkim)
    )
    policy = f"p={dmarc.policy}" if dmarc.policy else ""
    return Authentication(
        results=(
            AuthResult(authserv_id, "spf", spf_result, spf_domain, spf_why),
            *(AuthResult(authserv_id, "dkim", s.result, s.domain, s.why) for s in signatures),
            AuthResult(authserv_id, "dmarc", verdict, from_domain, policy),
        ),
        spf=spf_result,
        dkim=best_dkim,
        dmarc=verdict,
        policy=dmarc.policy,
        policy_domain=dmarc.domain,
        aligned_by=tuple(aligned),
        is_unavailable="temperror" in (spf_result, best_dkim, verdict),
    )


def _best(results: list[str]) -> str:
    for wanted in ("pass", "temperror", "fail", "permerror", "neutral"):
        if wanted in results:
            return wanted
    return "none"


# SPF


class _SpfQuery(spf.query):  # type: ignore[misc]
    """pyspf's evaluation over our resolver, with its limit on lookups without an answer."""

    def __init__(self, lookup: Lookup, client_ip: str, sender: str, helo: str) -> None:
        super().__init__(i=client_ip, s=sender, h=helo, querytime=20)
        self._lookup = lookup

    def dns(
        self,
        name: str,
        qtype: str,
        cnames: object = None,
        ignore_void: bool = False,
    ) -> list[object]:
        del cnames  # the resolver follows them
        try:
            records = self._lookup(str(name), qtype)
        except ResolverFailed as error:
            raise spf.TempError(f"DNS {error}") from error
        if not records and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError(f"Void lookup limit of {spf.MAX_VOID_LOOKUPS} exceeded")
        if qtype in ("TXT", "SPF"):
            return [(record.encode("utf-8", "replace"),) for record in records]
        if qtype == "MX":
            return [(int(pref), host) for pref, _, host in (r.partition(" ") for r in records)]
        return list(records)


def check_spf(client_ip: str, helo: str, mail_from: str, lookup: Lookup) -> tuple[str, str, str]:
    """(result, domain that was checked, explanation).  An empty MAIL FROM is checked by HELO."""
    domain = mail_from.rpartition("@")[2] or helo
    if not client_ip or not is_ip(client_ip) or "." not in domain or is_ip(domain):
        return "none", domain, ""
    try:
        sender = mail_from if "@" in mail_from else ""
        query = _SpfQuery(lookup, client_ip, sender, helo or "unknown")
        result, _, why = query.check()
    except ResolverFailed as error:
        return "temperror", domain, str(error)
    except (ValueError, TypeError, IndexError, KeyError, UnicodeError, RecursionError) as error:
        # pyspf trips over some malformed records instead of calling them a permanent error.
        return "permerror", domain, type(error).__name__
    if result == "ambiguous":
        result = "permerror"
    return str(result), domain.lower(), str(why)[:200]


# DKIM


@dataclass(frozen=True, slots=True)
class Signature:
    result: str
    domain: str
    why: str


class _KeyLookupFailed(dkim.DKIMException):  # type: ignore[misc]
    """The key could not be asked for; dkimpy itself would call that a failed signature."""


def check_dkim(raw: bytes, lookup: Lookup) -> tuple[Signature, ...]:
    """One result a signature, topmost first, at most ``SIGNATURES_CHECKED``; fewer of a large mail,
    so that no more than ``BYTES_CHECKED`` are hashed.
    """
    header = re.split(rb"\r?\n\r?\n", raw[: HEADER_BYTES_CHECKED + 1], maxsplit=1)[0]
    found = _SIGNATURE.findall(header)
    if not found or len(raw) > BYTES_CHECKED:
        return ()
    is_too_long = len(header) > HEADER_BYTES_CHECKED or header.count(b"\n") > HEADER_LINES_CHECKED
    if is_too_long or max(map(len, found)) > SIGNATURE_BYTES:
        return (Signature("permerror", "", "the headers are too long to be checked"),)
    count = min(len(found), SIGNATURES_CHECKED, max(1, BYTES_CHECKED // len(raw)))
    try:
        message = dkim.DKIM(raw, logger=_SILENT)
    except (dkim.DKIMException, ValueError, IndexError):
        return (Signature("permerror", "", "the headers cannot be read"),)
    return tuple(_check_one(message, at, lookup) for at in range(count))


def _check_one(message: dkim.DKIM, at: int, lookup: Lookup) -> Signature:
    def key_of(name: bytes, timeout: float = 5) -> bytes | None:
        del timeout  # the resolver has its own
        try:
            records = lookup(name.decode("ascii", "replace"), "TXT")
        except ResolverFailed as error:
            raise _KeyLookupFailed(str(error)) from error
        if not records or len(records[0]) > KEY_CHARACTERS:
            return None
        return records[0].encode("ascii", "replace")

    message.domain = None
    try:
        is_valid = message.verify(idx=at, dnsfunc=key_of)
    except _KeyLookupFailed as error:
        result, why = "temperror", str(error)
    except dkim.ValidationError as error:
        result, why = "fail", "the body was changed" if "body hash" in str(error) else str(error)
    except dkim.DKIMException as error:
        result, why = "permerror", str(error)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, UnicodeError) as error:
        # dkimpy lets malformed tags and keys through as plain Python errors.
        result, why = "permerror", type(error).__name__
    else:
        result, why = ("pass", "") if is_valid else ("fail", "the signature does not fit")
    domain = (message.domain or b"").decode("ascii", "replace").lower()
    return Signature(result, domain, why[:200])


# DMARC


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dmarc:
    from_domain: str
    domain: str = ""
    tags: dict[str, str]
    failure: str = ""

    @classmethod
    def read(cls, from_domain: str, lookup: Lookup) -> _Dmarc:
        """The record of the From domain, or of its registered domain (RFC 7489, 6.6.3)."""
        from_domain = from_domain.lower().rstrip(".")
        places = dict.fromkeys((from_domain, registered_domain(from_domain)))
        for place in places:
            if not place:
                continue
            try:
                records = lookup(f"_dmarc.{place}", "TXT")
            except ResolverFailed:
                return cls(from_domain=from_domain, tags={}, failure="temperror")
            found = [tags for record in records if (tags := _dmarc_tags(record)) is not None]
            if len(found) == 1:
                return cls(from_domain=from_domain, domain=place, tags=found[0])
            if found:  # several records: as if there were none
                return cls(from_domain=from_domain, tags={})
        return cls(from_domain=from_domain, tags={})

    @property
    def policy(self) -> str:
        if not self.domain:
            return ""
        asked = self.tags.get("p", "none")
        if self.domain != self.from_domain:
            asked = self.tags.get("sp", asked)
        return asked if asked in ("none", "quarantine", "reject") else "none"

    def is_aligned(self, domain: str, mode_tag: str) -> bool:
        """Strict: the same domain.  Relaxed (the default): the same registered domain."""
        domain = domain.lower().rstrip(".")
        if not domain or not self.from_domain:
            return False
        if domain == self.from_domain:
            return True
        if self.tags.get(mode_tag, "r") == "s":
            return False
        owner = registered_domain(domain)
        return bool(owner) and owner == registered_domain(self.from_domain)

    def verdict(self, *, is_aligned: bool, is_unsure: bool) -> str:
        if self.failure:
            return self.failure
        if not self.domain:
            return "none"
        if is_aligned:
            return "pass"
        return "temperror" if is_unsure else "fail"


def _dmarc_tags(record: str) -> dict[str, str] | None:
    """The tags of a record, None where it is none (RFC 7489, 6.3: ``v=DMARC1`` comes first)."""
    parts = [part.partition("=") for part in record.split(";")]
    tags = {name.strip().lower(): value.strip().lower() for name, _, value in parts if name.strip()}
    first = parts[0][0].strip().lower()
    return tags if first == "v" and tags.get("v") == "dmarc1" else None
