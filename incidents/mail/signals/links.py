"""Where the links of a mail lead, and whether the reader can see it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from incidents.mail.facts import Link
from incidents.mail.signals.domains import (
    a_label,
    belongs_to,
    has_suspicious_tld,
    imitates_latin,
    is_bulk_sender,
    is_free_host,
    is_ip,
    is_shared_host,
    is_shortener,
    registered_domain,
    same_owner,
)
from incidents.mail.signals.reading import Reading, Signal
from incidents.mail.signals.sender import brands_named_in, looks_random
from incidents.observations import Reason

_SHOWN_HOST = re.compile(r"^(?:https?://)?((?:[\w-]{1,63}\.)+[a-z]{2,24})(?:[/:?#]|$)", re.I)
HTTPS_SINCE = 2019
"""Year from which a link without encryption is odd."""

_PROGRAM = re.compile(r"\.(?:exe|scr|js|vbs|hta|iso|img|lnk|bat|msi|jar|apk|cab|zip|rar|7z)$", re.I)
_SERVER_SCRIPT = re.compile(r"\.(?:php|cfm|asp)\d?$", re.I)
_TOKEN_PATH = re.compile(r"/(?=[^/]{0,200}\d)(?=[^/]{0,200}[A-Z])[A-Za-z0-9_-]{28,}/?$")
_UNSUBSCRIBE = re.compile(
    r"unsub|opt.?out|remove|preference|manage|subscription|abmeld|desinscri|desab|list", re.I
)
_TAKEN_OVER = re.compile(
    r"/(?:wp-includes|wp-admin|wp-content/(?:plugins|themes)|\.well-known)/", re.I
)


def text_against_target(reading: Reading) -> Iterator[Reason]:
    """The text of a link shows an address of another owner than its target."""
    for link in reading.links:
        match = _SHOWN_HOST.match(link.text.strip()) if link.text else None
        if not match:
            continue
        shown = a_label(match.group(1).lower())
        if not registered_domain(shown) or same_owner(shown, link.host):
            continue
        if is_bulk_sender(link.host) or same_owner(link.host, reading.sender_domain):
            continue  # newsletters count clicks on their own or their mailer's host
        yield Reason(
            "link_text_differs",
            f"A link shows {shown}, but leads to {link.host}.",
            f"{shown} → {link.host}",
        )
        return


def bare_ip(reading: Reading) -> Iterator[Reason]:
    for link in reading.links:
        if is_ip(link.host):
            yield Reason("link_to_ip", f"A link leads to the bare address {link.host}.", link.host)
            return


def hidden_target(reading: Reading) -> Iterator[Reason]:
    for link in reading.links:
        if is_shortener(link.host):
            yield Reason(
                "link_shortener",
                f"A link goes through {link.host}, so its target cannot be seen.",
                link.url,
            )
            return


def free_host(reading: Reading) -> Iterator[Reason]:
    for link in reading.links:
        if is_free_host(link.host) and not same_owner(link.host, reading.sender_domain):
            yield Reason(
                "link_free_host",
                f"A link leads to {link.host}, where anybody can put a page.",
                link.host,
            )
            return


def suspicious_ending(reading: Reading) -> Iterator[Reason]:
    for link in reading.links:
        if has_suspicious_tld(link.host) and link.domain != reading.sender_owner:
            yield Reason(
                "link_suspicious_tld",
                f"A link leads to {link.host}, whose ending is cheap and much abused.",
                link.host,
            )
            return


def own_address_in_link(reading: Reading) -> Iterator[Reason]:
    """The recipient's address is built into a link, as forms that fill themselves in want it."""
    wanted = [address for address in reading.recipients[:3] if len(address) > 6]
    if not wanted:
        return
    for link in reading.links:
        if same_owner(link.host, reading.sender_domain) or is_bulk_sender(link.host):
            continue
        if _UNSUBSCRIBE.search(f"{link.url} {link.text}"):
            continue
        target = unquote(link.url).lower()
        if any(address in target for address in wanted):
            yield Reason(
                "link_carries_recipient",
                f"A link to {link.host} carries the recipient's own address.",
                link.host,
            )
            return


def disguised(reading: Reading) -> Iterator[Reason]:
    """Addresses written so that they are misread: user@host, ports, punycode, many labels."""
    for link in reading.links:
        parts = _split(link)
        if parts is None:
            continue
        authority = parts[1]
        if "@" in authority:
            what = "hides its host behind an @"
        elif re.search(r":(?!80$|443$)\d+$", authority):
            what = "uses an unusual port"
        elif "xn--" in link.host and imitates_latin(link.host):
            what = "has a host of foreign letters that look Latin"
        elif link.host.count(".") >= 5:
            what = "has a host of many parts"
        else:
            continue
        yield Reason("link_disguised", f"A link {what}: {authority}.", authority)
        return


def _split(link: Link) -> tuple[str, str, str, str] | None:
    """(scheme, authority, path, query), None where the address cannot be read."""
    try:
        parts = urlsplit(link.url)
    except ValueError:
        return None
    return parts.scheme, parts.netloc, parts.path, parts.query


def open_redirect(reading: Reading) -> Iterator[Reason]:
    """A link to one host that carries the address of another in its query."""
    for link in reading.links:
        parts = _split(link)
        if parts is None or is_bulk_sender(link.host):
            continue
        match = re.search(r"https?://([\w.-]+)", unquote(f"{parts[2]}?{parts[3]}"))
        if not match or same_owner(match.group(1), link.host):
            continue
        if same_owner(link.host, reading.sender_domain) or same_owner(
            match.group(1), reading.sender_domain
        ):
            continue
        yield Reason(
            "link_redirects",
            f"A link to {link.host} passes on to {match.group(1)}.",
            f"{link.host} → {match.group(1)}",
        )
        return


def program_behind_link(reading: Reading) -> Iterator[Reason]:
    for link in reading.links:
        parts = _split(link)
        if parts and _PROGRAM.search(parts[2]) and not is_shared_host(link.host):
            yield Reason(
                "link_to_program", f"A link loads a program or archive from {link.host}.", link.url
            )
            return


def taken_over_site(reading: Reading) -> Iterator[Reason]:
    for link in reading.links:
        parts = _split(link)
        if parts and _TAKEN_OVER.search(parts[2]):
            yield Reason(
                "link_into_site_innards",
                f"A link leads into the technical folders of {link.host}, "
                "as pages on a site that was broken into do.",
                link.url,
            )
            return


def brand_in_host(reading: Reading) -> Iterator[Reason]:
    """A brand's name as a label of a host that is not the brand's."""
    for link in reading.links:
        if is_shared_host(link.host):
            continue
        for named in brands_named_in(link.host.replace(".", " ").replace("-", " ")):
            own = named.brand.domains
            first = registered_domain(link.host).partition(".")[0]
            if belongs_to(link.host, own) or first in {one.partition(".")[0] for one in own}:
                continue
            yield Reason(
                "brand_in_link_host",
                f"A link names “{named.words}”, but {link.host} does not belong to "
                f"{named.brand.name}.",
                link.host,
            )
            return


def random_host(reading: Reading) -> Iterator[Reason]:
    for link in reading.links:
        if is_shared_host(link.host) or is_bulk_sender(link.host) or is_ip(link.host):
            continue
        if looks_random(link.domain.partition(".")[0]):
            yield Reason(
                "link_host_random",
                f"A link leads to {link.host}, a name made by chance.",
                link.host,
            )
            return


def one_target_many_links(reading: Reading) -> Iterator[Reason]:
    """Many links, all to one strange host: the whole mail is one button."""
    hosts = reading.link_hosts
    count = sum(1 for link in reading.facts.links if link.where == "html")
    if count >= 3 and len(hosts) == 1:
        host = next(iter(hosts))
        if not is_shared_host(host) and not same_owner(host, reading.sender_domain):
            yield Reason(
                "links_all_to_one_stranger",
                f"All {count} links lead to {host}, which is not the sender's.",
                host,
            )


def unencrypted(reading: Reading) -> Iterator[Reason]:
    """Every link is http, years after honest senders stopped."""
    sent = reading.facts.sent_at
    if sent is None or sent.year < HTTPS_SINCE or not reading.links:
        return
    if all(link.url.startswith("http:") for link in reading.links):
        host = reading.links[0].host
        yield Reason("links_unencrypted", f"All links go to {host} unencrypted.", host)


def script_of_stranger(reading: Reading) -> Iterator[Reason]:
    """A bare server script at a host that is not the sender's."""
    for link in reading.links:
        parts = _split(link)
        if parts is None or is_shared_host(link.host) or is_bulk_sender(link.host):
            continue
        if _SERVER_SCRIPT.search(parts[2]) and not same_owner(link.host, reading.sender_domain):
            yield Reason(
                "link_to_script",
                f"A link leads to a bare script at {link.host}, which is not the sender's.",
                link.url[:200],
            )
            return


def long_token(reading: Reading) -> Iterator[Reason]:
    """A path of nothing but a long random token, at a stranger's host or a cheap ending."""
    for link in reading.links:
        parts = _split(link)
        if parts is None or is_shared_host(link.host) or is_bulk_sender(link.host):
            continue
        if _TOKEN_PATH.search(parts[2]) and (
            has_suspicious_tld(link.host) or not same_owner(link.host, reading.sender_domain)
        ):
            yield Reason(
                "link_path_random",
                f"A link to {link.host} has a path made by chance.",
                link.host,
            )
            return


def strange_host(reading: Reading) -> Iterator[Reason]:
    """No link leads to the sender's own domain, and some lead to a domain of nobody we know."""
    hosts = [host for host in reading.link_hosts if not is_shared_host(host)]
    if not hosts or not reading.sender_owner:
        return
    if any(same_owner(host, reading.sender_domain) for host in hosts):
        if has_suspicious_tld(reading.sender_domain):
            yield Reason(
                "cheap_domain_of_its_own",
                f"Sender and links share {reading.sender_owner}, whose ending is cheap and much "
                "abused.",
                reading.sender_owner,
            )
        else:
            yield Reason(
                "links_to_own_domain",
                f"Links lead to the sender's own domain {reading.sender_owner}.",
                reading.sender_owner,
            )
    else:
        yield Reason(
            "links_to_strangers",
            f"No link leads to the sender's domain {reading.sender_owner}; "
            f"they lead to {', '.join(sorted(hosts)[:3])}.",
            hosts[0],
        )


def only_shared_hosts(reading: Reading) -> Iterator[Reason]:
    hosts = list(reading.link_hosts)
    if not hosts or any(same_owner(host, reading.sender_domain) for host in hosts):
        return
    if all(is_shared_host(host) or is_free_host(host) for host in hosts):
        yield Reason(
            "links_only_shared_hosts",
            f"All links lead to large shared hosts ({hosts[0]}), which anybody can use.",
            hosts[0],
        )


def brand_link_missing(reading: Reading) -> Iterator[Reason]:
    """The text names a brand, but no link leads to it and the sender is a stranger to it."""
    if not reading.links:
        return
    named = brands_named_in(f"{reading.sender_name} {reading.shown_text[:600]}")
    hosts = (*reading.link_hosts, reading.sender_domain)
    if named and not any(belongs_to(host, named[0].brand.domains) for host in hosts):
        yield Reason(
            "brand_without_its_links",
            f"The text begins with “{named[0].words}”, but no link and no sender belongs to "
            f"{named[0].brand.name}.",
            named[0].brand.name,
        )


SIGNALS: tuple[Signal, ...] = (
    text_against_target,
    bare_ip,
    hidden_target,
    free_host,
    suspicious_ending,
    own_address_in_link,
    disguised,
    open_redirect,
    program_behind_link,
    taken_over_site,
    brand_in_host,
    random_host,
    one_target_many_links,
    unencrypted,
    script_of_stranger,
    long_token,
    strange_host,
    only_shared_hosts,
    brand_link_missing,
)
