"""Links that a mail filter or a platform has wrapped, and how each is undone without a request.

Known forms as of 2026-11.  A service that hides the target behind a token but names its host
(Mimecast, Inky) is undone to that host; one that hides all of it stays as it is.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from urllib.parse import unquote

from incidents.mail.urls import Url, split_url

_ROUNDS = 5
_V3 = re.compile(r"\A[^/]*//[^/]*/v3/__(.*)__;([^!]*)!", re.DOTALL)
_V3_BARE = re.compile(r"\A[^/]*//[^/]*/v3/__(.*?)__[;!]", re.DOTALL)
_UNDERSCORES = re.compile(r"/v[12]/(?:url/)?___(.*?)___\.", re.DOTALL)
_RUNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TARGET = re.compile(r"(?:https?|ftp)://[^\s/]", re.IGNORECASE)


def unwrap(url: str) -> tuple[str, str]:
    """The target of ``url`` and the service that wrapped it outermost.

    ``(url, "")`` where nothing known has wrapped it.  Wrappings within wrappings are undone too,
    at most five deep.
    """
    rewriter = ""
    for _ in range(_ROUNDS):
        found, name = _unwrap_once(url)
        if not name:
            break
        url, rewriter = found, rewriter or name
    return url, rewriter


def _unwrap_once(url: str) -> tuple[str, str]:
    folded = url.casefold()
    if not any(hint in folded for hint in _HINTS):
        return url, ""
    parts = split_url(url)
    for name, is_its, target_of in _SERVICES:
        if is_its(parts):
            target = target_of(parts, url)
            if target and _TARGET.match(target):
                return target, name
    return url, ""


def _parameter(query: str, *names: str) -> str:
    """The first of these parameters, decoded; HTML's ``&amp;`` counts as ``&``."""
    for pair in query.replace("&amp;", "&").split("&")[:100]:
        key, _, value = pair.partition("=")
        if key.lower() in names:
            return unquote(value)
    return ""


def _from(*names: str) -> Callable[[Url, str], str]:
    def target(parts: Url, url: str) -> str:
        return _with_scheme(_parameter(parts.query, *names))

    return target


def _with_scheme(target: str) -> str:
    """Some services drop the scheme of what they wrap."""
    if target and "://" not in target[:20] and re.match(r"[\w-]+(\.[\w-]+)+(/|\Z)", target[:300]):
        return "http://" + target
    return target


def _host_ends(*suffixes: str) -> Callable[[Url], bool]:
    dotted = tuple("." + suffix for suffix in suffixes)
    return lambda parts: parts.host in suffixes or parts.host.endswith(dotted)


def _google(parts: Url) -> bool:
    is_google = re.fullmatch(r"(?:www\.)?google\.[a-z]{2,3}(?:\.[a-z]{2})?", parts.host) is not None
    return is_google and parts.path in ("/url", "/imgres")


def _urldefense_v2(parts: Url, _: str) -> str:
    if parts.path.startswith("/v1/"):
        return _parameter(parts.query, "u")
    coded = _parameter(parts.query, "u")
    return unquote(coded.replace("-", "%").replace("_", "/"))


def _urldefense_v3(parts: Url, url: str) -> str:
    """``__target__;letters!``: each ``*`` stands for the next letter, ``**x`` for a run of them."""
    match = _V3.search(url)
    if match is None:
        bare = _V3_BARE.search(url)
        return _v3_slashes(bare[1]) if bare else ""
    try:
        letters = base64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        letters = ""
    pieces: list[str] = []
    text, at, used = match[1], 0, 0
    while at < len(text):
        if text.startswith("**", at) and at + 2 < len(text) and text[at + 2] in _RUNS:
            count = _RUNS.index(text[at + 2]) + 2
            pieces.append(letters[used : used + count])
            used, at = used + count, at + 3
        elif text[at] == "*":
            pieces.append(letters[used : used + 1] or "*")
            used, at = used + 1, at + 1
        else:
            pieces.append(text[at])
            at += 1
    return _v3_slashes("".join(pieces))


def _v3_slashes(target: str) -> str:
    """The service folds ``://`` to ``:/``."""
    return re.sub(r"^([a-zA-Z]+):/(?=[^/])", r"\1://", target)


def _cisco(parts: Url, _: str) -> str:
    return unquote(parts.path.split("/", 2)[2]) if parts.path.count("/") >= 2 else ""


def _sophos(parts: Url, _: str) -> str:
    coded = _parameter(parts.query, "u")
    try:
        data = base64.urlsafe_b64decode(coded.replace("+", "-").replace("/", "_") + "===")
    except (binascii.Error, ValueError):
        return ""
    return data.decode("utf-8", "replace")


def _bing(parts: Url, _: str) -> str:
    coded = _parameter(parts.query, "u")
    if not coded.startswith("a1"):
        return ""
    try:
        return base64.urlsafe_b64decode(coded[2:] + "===").decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _named_host(parts: Url, _: str) -> str:
    host = _parameter(parts.query, "domain")
    return f"https://{host}/" if re.fullmatch(r"[\w-]+(\.[\w-]+)+", host) else ""


def _between_underscores(parts: Url, url: str) -> str:
    match = _UNDERSCORES.search(url)
    return match[1] if match else ""


def _symantec(parts: Url, _: str) -> str:
    target = _parameter(parts.query, "u")
    return target or unquote(parts.path.split("/", 2)[-1])


_SERVICES: tuple[tuple[str, Callable[[Url], bool], Callable[[Url, str], str]], ...] = (
    (
        "safelinks",
        _host_ends(
            "safelinks.protection.outlook.com",
            "safelinks.protection.office365.us",
            "safelinks.o365.cn",
            "safelinks.protection.partner.outlook.cn",
        ),
        _from("url"),
    ),
    (
        "teams_safelinks",
        lambda p: p.host == "statics.teams.cdn.office.net" and "safelinks" in p.path,
        _from("url"),
    ),
    (
        "urldefense_v3",
        lambda p: (
            _host_ends("urldefense.com", "urldefense.us", "urldefense.proofpoint.com")(p)
            and p.path.startswith("/v3/")
        ),
        _urldefense_v3,
    ),
    (
        "urldefense",
        _host_ends("urldefense.proofpoint.com", "urldefense.com", "urldefense.us"),
        _urldefense_v2,
    ),
    ("mimecast", _host_ends("mimecast.com", "mimecastprotect.com"), _named_host),
    ("barracuda", _host_ends("linkprotect.cudasvc.com"), _from("a")),
    ("cisco", _host_ends("secure-web.cisco.com"), _cisco),
    ("sophos", _host_ends("protection.sophos.com"), _sophos),
    ("trendmicro", _host_ends("trendmicro.com", "trendmicro.eu"), _from("url")),
    ("trellix", _host_ends("protect2.fireeye.com", "protect.fireeye.com"), _from("u")),
    ("symantec", _host_ends("clicktime.symantec.com"), _symantec),
    ("checkpoint", _host_ends("avanan.click", "protect.checkpoint.com"), _between_underscores),
    ("edgepilot", _host_ends("edgepilot.com", "cloud-protect.net"), _from("u")),
    ("inky", _host_ends("inky.com", "inkyphishfence.com"), _named_host),
    ("titan", _host_ends("titanhq.com", "linklock.io"), _from("url")),
    ("egress", _host_ends("egress.com"), _from("url", "u")),
    ("outlook_web", lambda p: p.path.lower().endswith("/owa/redir.aspx"), _from("url")),
    ("google", _google, _from("q", "url", "imgurl")),
    ("googleads", _host_ends("googleadservices.com", "doubleclick.net"), _from("adurl")),
    ("youtube", lambda p: _host_ends("youtube.com")(p) and p.path == "/redirect", _from("q")),
    ("bing", lambda p: _host_ends("bing.com")(p) and p.path.startswith("/ck/"), _bing),
    ("facebook", _host_ends("l.facebook.com", "lm.facebook.com", "l.instagram.com"), _from("u")),
    (
        "linkedin",
        lambda p: _host_ends("linkedin.com")(p) and p.path.startswith(("/redir", "/safety/go")),
        _from("url"),
    ),
    ("slack", _host_ends("slack-redir.net"), _from("url")),
    ("duckduckgo", lambda p: _host_ends("duckduckgo.com")(p) and p.path == "/l/", _from("uddg")),
    ("vk", lambda p: _host_ends("vk.com")(p) and p.path == "/away.php", _from("to")),
)
# Most links are not wrapped: one look for these fragments spares them all of the above.
_HINTS = (
    *("safelinks", "urldefense", "mimecast", "cudasvc", "secure-web.cisco", "sophos", "trendmicro"),
    *("fireeye", "symantec", "avanan", "checkpoint", "edgepilot", "cloud-protect", "inky"),
    *("titanhq", "linklock", "egress", "owa/redir", "google", "doubleclick", "youtube", "bing"),
    *("facebook", "instagram", "linkedin", "slack-redir", "duckduckgo", "vk.com"),
)
