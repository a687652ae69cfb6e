"""The links of a mail, with what wrapped them undone, and safe ways to write one down."""

from __future__ import annotations

import re
from collections.abc import Iterable

from incidents.mail.facts import Link
from incidents.mail.html import HtmlLink
from incidents.mail.limits import LIMITS, Limits
from incidents.mail.rewriters import unwrap
from incidents.mail.urls import WEB_SCHEMES, registered_domain, split_url

__all__ = ["defang", "find_urls", "html_links", "make_link", "text_links", "unwrap"]

# It begins with a set of letters and ignores case by hand, so the search skips all other letters.
URL_IN_TEXT = re.compile(
    r"[hHfFwW](?:(?<=[hH])[tT][tT][pP][sS\u017f]?://|(?<=[fF])[tT][pP]://"
    r"|(?<=[wW])[wW][wW]\.(?=[\w-]{1,63}\.))[^\s<>\"'`{}|\\^\u3000-\u3002]{1,4096}"
)
_TRAILING = ".,;:!?)]}'\"*_~>»”’"
# Schemes without a host that still do something when they are clicked.
_ACTIVE_SCHEMES = ("javascript", "data", "file", "vbscript", "blob", "search-ms", "ms-")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{1,30}):")


def make_link(seen: str, *, text: str = "", where: str = "html") -> Link | None:
    """The link as it would be opened; None for what is no link (mailto, tel, cid, anchors)."""
    seen = seen.strip()[: LIMITS.url_characters]
    url, rewriter = unwrap(seen)
    url = url[: LIMITS.url_characters]
    url = "http://" + url if url[:4].lower() == "www." else url
    parts = split_url(url)
    if parts.scheme in WEB_SCHEMES:
        if not parts.host:
            return None
    elif not parts.scheme.startswith(_ACTIVE_SCHEMES):
        return None
    elif parts.scheme == "data":
        url = url[:200]
    return Link(
        url=url,
        host=parts.host,
        domain=registered_domain(parts.host),
        text=text,
        seen=seen,
        where=where,
        rewriter=rewriter,
    )


def find_urls(text: str) -> Iterable[tuple[int, int]]:
    """Where URLs stand in plain text; punctuation behind one does not belong to it."""
    for match in URL_IN_TEXT.finditer(text):
        url = match[0]
        end = match.end()
        while (
            url
            and url[-1] in _TRAILING
            and not (url[-1] == ")" and url.count("(") >= url.count(")"))
        ):
            url, end = url[:-1], end - 1
        if len(url) > len("http://"):
            yield match.start(), end


def text_links(text: str, *, where: str = "text", limits: Limits = LIMITS) -> list[Link]:
    """The links of plain text, each once, at most ``limits.links`` and one more."""
    found: dict[str, Link] = {}
    for start, end in find_urls(text):
        seen = text[start:end]
        if seen not in found:
            link = make_link(seen, where=where)
            if link is not None:
                found[seen] = link
        if len(found) > limits.links:
            break
    return list(found.values())


def html_links(links: Iterable[HtmlLink], *, where: str = "") -> list[Link]:
    """The links of an HTML body, each pair of target and text once."""
    found: dict[tuple[str, str, str], Link] = {}
    for each in links:
        key = (each.seen, each.text, each.where)
        if key not in found and _may_be_link(each.seen):
            link = make_link(each.seen, text=each.text, where=where or each.where)
            if link is not None:
                found[key] = link
    return list(found.values())


def _may_be_link(href: str) -> bool:
    """A relative target leads nowhere in a mail."""
    match = _SCHEME.match(href.lstrip())
    return match is not None or href.lstrip().lower().startswith("www.")


def defang(url: str) -> str:
    """``https://evil.example/x`` → ``hxxps://evil[.]example/x``: to be read, not to be opened."""
    parts = split_url(url)
    if parts.scheme not in WEB_SCHEMES:
        return url.replace(":", "[:]", 1)
    scheme = parts.scheme.replace("http", "hxxp").replace("ftp", "fxp")
    host = parts.host.replace(".", "[.]").replace(":", "[:]")
    port = f"[:]{parts.port}" if parts.port else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{'…@' if parts.has_login else ''}{host}{port}{parts.path}{query}"
