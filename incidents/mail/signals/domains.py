"""Questions about domain names: whose is it, what kind of place is it, does it imitate another.

The registered domain comes from the public suffix list that the ``publicsuffixlist`` package
carries (offline).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cache, lru_cache

from publicsuffixlist import PublicSuffixList

from incidents.mail.signals import lists
from incidents.mail.signals.text import fold, looks_latin


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@cache
def _icann_suffixes() -> PublicSuffixList:
    return PublicSuffixList(only_icann=True)


@lru_cache(maxsize=20_000)
def registered_domain(host: str) -> str:
    """``mail.shop.example.co.uk`` → ``example.co.uk``; "" for an IP, a bare suffix or nothing."""
    host = host.strip(".").lower()
    if not host or is_ip(host):
        return ""
    return _suffixes().privatesuffix(host) or ""


@lru_cache(maxsize=20_000)
def owner_domain(host: str) -> str:
    """The domain that somebody pays a registry for: ``someone.github.io`` → ``github.io``."""
    host = host.strip(".").lower()
    if not host or is_ip(host):
        return ""
    return _icann_suffixes().privatesuffix(host) or ""


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]").removeprefix("ipv6:"))
    except ValueError:
        return False
    return True


def _is_under(host: str, domains: frozenset[str]) -> bool:
    """Whether ``host`` is one of ``domains`` or lies below one."""
    while host:
        if host in domains:
            return True
        host = host.partition(".")[2]
    return False


def same_owner(first: str, second: str) -> bool:
    """Whether two hosts belong to one registered domain (both must have one)."""
    owner = registered_domain(first)
    return bool(owner) and owner == registered_domain(second)


@lru_cache(maxsize=20_000)
def is_free_mailer(domain: str) -> bool:
    exact, families = lists.free_mailers()
    if domain in exact:
        return True
    owner = registered_domain(domain)
    return owner in exact or owner.partition(".")[0] in families


def is_shortener(host: str) -> bool:
    return _is_under(host.removeprefix("www."), lists.shorteners())


@lru_cache(maxsize=20_000)
def is_free_host(host: str) -> bool:
    """A place where anybody puts a page: on our list, or below a private public suffix."""
    if _is_under(host, lists.free_hosts()):
        return True
    owner = registered_domain(host)
    return bool(owner) and owner != owner_domain(host)


def is_shared_host(host: str) -> bool:
    return _is_under(host, lists.shared_hosts())


def is_bulk_sender(domain: str) -> bool:
    return _is_under(domain, lists.bulk_senders())


def has_suspicious_tld(host: str) -> bool:
    return host.rpartition(".")[2] in lists.suspicious_tlds()


def belongs_to(host: str, domains: frozenset[str]) -> bool:
    return _is_under(host, domains)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How ``domain`` imitates ``original``: ``how`` completes "it differs by …"."""

    domain: str
    original: str
    code: str
    how: str


_SWAPS = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("nn", "m"), ("1", "l"), ("0", "o"), ("5", "s"))
_SWAPS_AS_WORDS = {"rn": "r-n, not m", "vv": "v-v, not w", "cl": "c-l, not d", "nn": "n-n, not m"}


@lru_cache(maxsize=20_000)
def likeness(domain: str, original: str) -> Likeness | None:
    """Whether ``domain`` looks like ``original`` without being it.  None: it does not.

    Both are reduced to their registered domain first.  Names under four letters are compared for
    look-alike letters and endings only: one letter more or less is chance there.
    """
    mine, theirs = registered_domain(domain), registered_domain(original)
    if not mine or not theirs or mine == theirs:
        return None
    name, wanted = _name_of(mine), _name_of(theirs)
    code, how = _compare(name, wanted)
    if not code and name == wanted:
        ending, wanted_ending = mine[len(name) :], theirs[len(wanted) :]
        code, how = "other_ending", f"the ending {ending}, not {wanted_ending}"
    if not code:
        return None
    return Likeness(mine, theirs, code, how)


def a_label(host: str) -> str:
    """The host as DNS has it: ``ökologie.example`` → ``xn--kologie-90a.example``."""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def imitates_latin(host: str) -> bool:
    """Whether a label of an ``xn--`` host is made of foreign letters that all look Latin."""
    for label in host.split("."):
        if label.startswith("xn--"):
            name = _decoded(label)
            if not name.isascii() and looks_latin(name).isascii():
                return True
    return False


def _decoded(label: str) -> str:
    try:
        return label.encode("ascii").decode("idna")
    except UnicodeError:
        return label


def _name_of(registered: str) -> str:
    name = registered.partition(".")[0]
    return _decoded(name) if name.startswith("xn--") else name


def _compare(name: str, wanted: str) -> tuple[str, str]:
    """(code, words), or ("", "") where the names are equal or unlike."""
    if name == wanted or len(wanted) < 3:
        return "", ""
    if abs(len(name) - len(wanted)) > 2 and wanted not in name:
        return "", ""  # nothing below can hold; this keeps a walk over many brands cheap
    folded = fold(name)
    if folded == wanted:
        return "confusable_letters", "letters of another alphabet or digits that look alike"
    for pair, letter in _SWAPS:
        if pair in name and name.replace(pair, letter) == wanted.replace(pair, letter):
            return "lookalike_letters", _SWAPS_AS_WORDS.get(pair, f"{pair}, not {letter}")
    if len(wanted) < 4:
        return "", ""
    if name.replace("-", "") == wanted.replace("-", ""):
        return "hyphen", "a hyphen"
    added = _added_word(name, wanted)
    if added:
        return "added_word", f"the added word “{added}”"
    if len(wanted) >= 5 and distance_is_one(folded, wanted):
        return "one_letter", "one letter"
    return "", ""


def _added_word(name: str, wanted: str) -> str:
    if "-" in name:
        parts = name.split("-")
        if wanted in parts:
            return "-".join(part for part in parts if part != wanted)
    for rest in (name.removeprefix(wanted), name.removesuffix(wanted)):
        if rest != name and rest.strip("-") in lists.added_words():
            return rest.strip("-")
    return ""


def distance_is_one(first: str, second: str) -> bool:
    """Whether one letter is added, dropped, replaced, or two neighbours are swapped."""
    if first == second or abs(len(first) - len(second)) > 1:
        return False
    if len(first) > len(second):
        first, second = second, first
    at = 0
    while at < len(first) and first[at] == second[at]:
        at += 1
    if len(first) < len(second):
        return first[at:] == second[at + 1 :]
    swapped = first[at + 1 : at + 2] == second[at : at + 1] and first[at] == second[at + 1 : at + 2]
    if swapped and first[at + 2 :] == second[at + 2 :]:
        return True
    return first[at + 1 :] == second[at + 1 :]
