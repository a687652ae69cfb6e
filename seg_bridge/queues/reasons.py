"""Why a mail waits: the next hop's words, or Postfix's, as one of a few kinds that can be counted.

The words differ between Postfix and the gate's own client; both are matched.  The first that fits
counts, and what nobody foresaw is ``other``, shown by its own words.
"""

from __future__ import annotations

import re

KINDS = {
    "first_try": "Has not been tried yet",
    "refused_line": "The mail host refuses the connection",
    "no_answer": "The mail host does not answer in time",
    "no_host": "The mail host's name is not found",
    "tls": "TLS is wanted and cannot be had",
    "full": "The mailbox is full",
    "no_route": "No mail host stands in the policy",
    "later": "The mail host says: come later",
    "other": "Something else",
}
_RULES = (
    ("no_route", re.compile(r"no route by policy", re.I)),
    ("tls", re.compile(r"\bTLS\b|certificate", re.I)),
    (
        "no_host",
        re.compile(r"(?:host|name) not found|name or service|not resolve|Name does not", re.I),
    ),
    ("refused_line", re.compile(r"refused(?! by)|unreachable|No route to host|\[Errno 1[01]\d\]")),
    ("no_answer", re.compile(r"timed? ?out|no reply within|lost connection|was closed", re.I)),
    ("full", re.compile(r"\b4\.2\.2\b|\b452 4\.2|mailbox.{0,20}full|quota", re.I)),
    ("later", re.compile(r"(?:^|\bsaid: |: )4\d\d[ -]")),
)


def kind_of(reason: str) -> str:
    """A key of ``KINDS``."""
    if not reason.strip():
        return "first_try"
    return next((kind for kind, pattern in _RULES if pattern.search(reason)), "other")
