"""Authentication-Results (RFC 8601), of hosts we trust only.

Anyone can write such a header, so it counts only with an authserv-id of our own, and only in the
topmost run: the headers that stand together before the next Received line, which are those of the
newest hop that signs with our name.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from incidents.mail.facts import AuthResult
from incidents.mail.headers import HeaderBlock

_LONGEST = 8_000
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[()]|;|[^\s;()"]+|\s+', re.DOTALL)
_METHOD = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,30})(?:/\d+)?=([A-Za-z]{1,20})\Z")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})\.)*[A-Za-z0-9_-]{1,63}\Z")
_PROPERTIES = {
    "spf": ("smtp.mailfrom", "smtp.helo"),
    "dkim": ("header.d", "header.i"),
    "dmarc": ("header.from",),
}


def auth_results_of(block: HeaderBlock, own_ids: Collection[str]) -> tuple[AuthResult, ...]:
    """The results of the topmost trustworthy run, () where there is none.

    ``own_ids``: names as they stand before the first semicolon, without regard to case.  An ""
    among them accepts headers without a name, as Microsoft 365 writes them.
    """
    own = {each.lower() for each in own_ids}
    if not own:
        return ()
    found: list[AuthResult] = []
    is_in_run = False
    for each in block.fields:
        if each.key == "received" and is_in_run:
            break
        if each.key == "authentication-results":
            results = parse_auth_results(each.text())
            if results and results[0].authserv_id in own:
                is_in_run = True
                found += results
    return tuple(found)


def parse_auth_results(value: str) -> list[AuthResult]:
    """All methods of one header; [] if it has no readable one."""
    clauses = _clauses(value[:_LONGEST])
    if not clauses:
        return []
    first = clauses[0][0]
    has_name = not (first and _METHOD.match(first[0]))
    authserv_id = first[0].lower() if has_name and first else ""
    found = []
    for words, comment in clauses[1:] if has_name else clauses:
        method = _METHOD.match(words[0]) if words else None
        if method is None:
            continue
        properties: dict[str, str] = {}
        for word in words[1:]:
            key, equals, text = word.partition("=")
            if equals:
                properties.setdefault(key.lower(), text.strip('"'))
        name = method[1].lower()
        found.append(
            AuthResult(
                authserv_id=authserv_id,
                method=name,
                result=method[2].lower(),
                domain=_domain_of(name, properties),
                detail=(properties.get("reason") or comment)[:200],
            )
        )
    return found


def _clauses(value: str) -> list[tuple[list[str], str]]:
    """Words and comment of each part between semicolons; quotes and comments are respected."""
    clauses: list[tuple[list[str], str]] = []
    words: list[str] = []
    comment: list[str] = []
    depth, joins = 0, False
    for match in _TOKEN.finditer(value):
        piece = match[0]
        if depth:
            depth += (piece == "(") - (piece == ")")
            if depth:
                comment.append(piece)
        elif piece == "(":
            depth, joins = 1, False
        elif piece == ";":
            clauses.append((words, "".join(comment).strip()))
            words, comment, joins = [], [], False
        elif piece.isspace():
            joins = False
        elif joins and piece.startswith('"'):
            words[-1] += piece
        else:
            words.append(piece)
            joins = piece.endswith("=")
    if not depth:
        clauses.append((words, "".join(comment).strip()))
    return clauses


def _domain_of(method: str, properties: dict[str, str]) -> str:
    for name in _PROPERTIES.get(method, ()):
        domain = properties.get(name, "").rpartition("@")[2].rstrip(".").lower()
        if domain and _DOMAIN.match(domain):
            return domain
    return ""
