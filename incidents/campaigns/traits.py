"""What one mail may have in common with others: hosts, files, senders, wording, payment details.

Pure, from the stored facts alone (``MailFacts.as_json()``), so that counting over all mail and
comparing two mails use the same values.  Hostile input: every text is cut and made storable.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

from incidents.mail.fingerprint import link_shape, normal_subject
from incidents.mail.signals import lists
from incidents.mail.urls import registered_domain, split_url

MOST_PER_KIND = 8
SMALLEST_FILE_BYTES = 2_000
KINDS = (
    *("url_host", "url_shape", "url", "file", "image", "sender", "sender_domain", "sender_infra"),
    *("ip", "subject_shape", "display_name", "borrowed_name", "reply_to"),
    *("phone", "iban", "wallet"),
)
_LABEL_LENGTH = 200
_LINKS_READ = 200
_LEAST_LETTERS = 6
_VARIABLE_WORD = re.compile(r"[\w.+-]*@[\w.-]+|[\w/-]*\d[\w/-]*")
_WORD = re.compile(r"[^\W\d_]+|[#~]", re.UNICODE)


class Trait(NamedTuple):
    """``value`` identifies it (32 hex characters), ``label`` is what people read (≤ 200)."""

    kind: str
    value: str
    label: str


def make_trait(kind: str, text: str) -> Trait:
    """The trait of a text in its normal form: equal text gives an equal value."""
    storable = text.replace("\x00", "\ufffd").encode("utf-8", "replace")
    digest = blake2b(b"%b\n%b" % (kind.encode(), storable), digest_size=16).hexdigest()
    return Trait(kind, digest, storable.decode()[:_LABEL_LENGTH])


def traits_of(facts: Mapping[str, Any]) -> list[Trait]:
    """Each trait once, at most ``MOST_PER_KIND`` of a kind; [] for facts without any."""
    found: list[Trait] = []
    for kind, texts in _texts_by_kind(facts):
        distinct = dict.fromkeys(filter(None, texts))
        found += [make_trait(kind, text) for text in islice(distinct, MOST_PER_KIND)]
    return list(dict.fromkeys(found))


def _texts_by_kind(facts: Mapping[str, Any]) -> Iterator[tuple[str, Iterable[str]]]:
    links = [each["url"] for each in islice(facts.get("links") or (), _LINKS_READ)]
    yield "url_host", map(_host, links)
    yield "url_shape", map(_shape, links)
    yield "url", map(exact_link, links)
    yield "file", _files(facts, is_inline=False)
    yield "image", _files(facts, is_inline=True)
    address = str((facts.get("sender") or {}).get("address") or "").lower()
    domain = registered_domain(address.rpartition("@")[2])
    yield "sender", [address]
    yield "sender_domain", [domain]
    ip = outside_ip(facts)
    yield "ip", [ip]
    yield "sender_infra", [_infrastructure(facts, ip)]
    yield "subject_shape", [subject_shape(facts)]
    shown = _display_name(facts, address)
    yield "display_name", [shown]
    # One hand with many throw-away addresses keeps the name that it borrows.
    yield "borrowed_name", [f"{shown} at {domain}" if shown and is_free_mailer(domain) else ""]
    yield "reply_to", _replies(facts, address)
    extra = facts.get("extra") or {}
    yield "phone", extra.get("phones") or ()
    accounts = extra.get("accounts") or ()
    yield "iban", [number for kind, number in accounts if kind not in _WALLETS]
    yield "wallet", [number for kind, number in accounts if kind in _WALLETS]


_WALLETS = ("bitcoin", "ethereum")


def _host(url: str) -> str:
    """The registered domain, private suffixes included: ``x.web.app`` is not ``web.app``."""
    host = split_url(url).host
    return registered_domain(host) or host


def _shape(url: str) -> str:
    shape = link_shape(url)
    return shape if "/" in shape else ""


def exact_link(url: str) -> str:
    """Host and path without the query, which names the reader as a rule."""
    parts = split_url(url)
    path = parts.path.rstrip("/")
    return f"{parts.host}{path}" if parts.host and path else ""


def _files(facts: Mapping[str, Any], *, is_inline: bool) -> Iterator[str]:
    for each in facts.get("attachments") or ():
        if bool(each.get("is_inline")) == is_inline and each["size_bytes"] > SMALLEST_FILE_BYTES:
            yield each["sha256"]


def outside_ip(facts: Mapping[str, Any]) -> str:
    """The address that handed the mail to the client's own or its host's server, "" if unknown.

    The newest hop where two different organisations meet; hops below it are the sender's word.
    """
    for hop in facts.get("hops") or ():
        ip = str(hop.get("from_ip") or "")
        there = _organisation(str(hop.get("from_name") or hop.get("helo") or ""))
        here = _organisation(str(hop.get("by") or ""))
        if ip and (not there or here != there) and _is_public(ip):
            return ip
    return ""


# Mail passes between these names inside of Microsoft 365 before it reaches a mailbox.
_ONE_ORGANISATION = frozenset({"outlook.com", "office365.com", "exchangelabs.com"})


def _organisation(host: str) -> str:
    domain = registered_domain(host.rstrip(".").lower())
    return "outlook.com" if domain in _ONE_ORGANISATION else domain


# The same servers send again and again.
@lru_cache(maxsize=4096)
def _is_public(ip: str) -> bool:
    try:
        return ipaddress.ip_address(ip).is_global
    except ValueError:
        return False


def _infrastructure(facts: Mapping[str, Any], ip: str) -> str:
    """The sender's network with the domain that signed, else with the name the server gave."""
    if not ip:
        return ""
    signed = (
        registered_domain(each["domain"])
        for each in facts.get("auth_results") or ()
        if each["method"] == "dkim" and each["result"] == "pass" and each["domain"]
    )
    greeted = (
        registered_domain(str(hop.get("helo") or "").lower())
        for hop in facts.get("hops") or ()
        if hop.get("from_ip") == ip
    )
    name = next(signed, "") or next(greeted, "")
    return f"{_network(ip)} {name}" if name else ""


@lru_cache(maxsize=4096)
def _network(ip: str) -> str:
    bits = 48 if ":" in ip else 24
    return str(ipaddress.ip_network(f"{ip}/{bits}", strict=False))


def subject_shape(facts: Mapping[str, Any]) -> str:
    """The subject with numbers, addresses and the recipient's names blanked; "" if too short."""
    subject = normal_subject(str(facts.get("subject") or ""))
    subject = _VARIABLE_WORD.sub("#", subject)
    names = _recipient_words(facts)
    words = ["~" if word in names else word for word in _WORD.findall(subject)]
    letters = sum(len(word) for word in words if word not in "#~")
    return " ".join(words) if letters >= _LEAST_LETTERS and len(words) > 1 else ""


def _recipient_words(facts: Mapping[str, Any]) -> set[str]:
    words: set[str] = set()
    for each in islice(facts.get("to") or (), 5):
        local, _, domain = str(each.get("address") or "").partition("@")
        for text in (local, domain.partition(".")[0], str(each.get("name") or "")):
            words.update(_WORD.findall(text.casefold()))
    return {word for word in words if len(word) > 1}


def _display_name(facts: Mapping[str, Any], address: str) -> str:
    """The sender's shown name; "" where it only repeats the address."""
    name = str((facts.get("sender") or {}).get("name") or "")
    name = " ".join(_WORD.findall(unicodedata.normalize("NFKC", name).casefold()))
    return "" if len(name) < _LEAST_LETTERS or name.replace(" ", "") in address else name


def _replies(facts: Mapping[str, Any], sender: str) -> Iterator[str]:
    """Where answers go, if not to the sender."""
    for each in facts.get("reply_to") or ():
        address = str(each.get("address") or "").lower()
        if address and address != sender:
            yield address


def is_free_mailer(domain: str) -> bool:
    """Whether anybody can have an address at this domain."""
    exact, first_labels = lists.free_mailers()
    return domain in exact or domain.partition(".")[0] in first_labels
