"""The Received chain: who handed the mail to whom, newest hop first (RFC 5321 section 4.4)."""

from __future__ import annotations

import ipaddress
import re

from incidents.mail.dates import parse_date
from incidents.mail.facts import Hop
from incidents.mail.headers import HeaderBlock
from incidents.mail.limits import LIMITS, Limits

_LONGEST = 2_000
_CLAUSE = re.compile(r"(?:^|\s)(from|by|with)\s+([^\s;()]{1,255})", re.IGNORECASE)
_ADDRESS = re.compile(r"[\[(]\s*(?:IPv6:)?([0-9A-Fa-f:.]{3,45})(?:%[\w.]+)?\s*[\])]")
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!\Z)|\Z)){4}")
_HELO = re.compile(r"\b(?:helo|ehlo)[= ]\s*([^\s;()]{1,255})", re.IGNORECASE)
_PARENTHESIS = re.compile(r"[()]")
_BY = re.compile(r"(?:^|\s)by\s", re.IGNORECASE)
_COMMENT_NAME = re.compile(r"^\(\s*([A-Za-z0-9._-]{1,255})\s")


def hops_of(block: HeaderBlock, *, limits: Limits = LIMITS) -> tuple[Hop, ...]:
    """At most ``limits.hops``, the newest ones."""
    return tuple(parse_received(each.text()) for each in block.all("received")[: limits.hops])


def parse_received(value: str) -> Hop:
    """Reads what it can of one unfolded Received value; unknown parts are ""."""
    value = value[:_LONGEST]
    path, semicolon, date = value.rpartition(";")
    if not semicolon:
        path = value
    flat, comments = _without_comments(path)
    clauses: dict[str, str] = {}
    for match in _CLAUSE.finditer(flat):
        clauses.setdefault(match[1].lower(), match[2])
    said = clauses.get("from", "")
    # Only the comment behind "from" speaks of the client; one behind "by" speaks of us.
    about_client = " ".join(f"({each})" for each in comments) if said else ""
    name = _COMMENT_NAME.match(about_client)
    helo = _HELO.search(about_client)
    return Hop(
        by=clauses.get("by", "").lower(),
        from_name=(name[1] if name and "." in name[1] else "").lower(),
        from_ip=_ip_in(about_client) or _ip_in(said) or _ip_in(f"({said})"),
        helo=(helo[1] if helo else said).lower(),
        protocol=clauses.get("with", "").upper(),
        received_at=parse_date(date) if semicolon else None,
        raw=value,
    )


def _without_comments(path: str) -> tuple[str, list[str]]:
    """The text outside of parentheses, and the outermost comments that stand before "by"."""
    pieces: list[str] = []
    comments: list[str] = []
    depth, begin = 0, 0
    has_by = False
    for match in _PARENTHESIS.finditer(path):
        if match[0] == "(":
            if depth == 0:
                pieces.append(path[begin : match.start()])
                has_by = has_by or _BY.search(pieces[-1]) is not None
                begin = match.end()
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                if not has_by:
                    comments.append(path[begin : match.start()])
                pieces.append(" ")
                begin = match.end()
    if depth == 0:
        pieces.append(path[begin:])
    return "".join(pieces), comments


def _ip_in(text: str) -> str:
    for match in _ADDRESS.finditer(text):
        if _IPV4.match(match[1]):
            return match[1]
        try:
            return str(ipaddress.ip_address(match[1]))
        except ValueError:
            continue
    return ""
