"""CSV that no spreadsheet executes (OWASP ASVS 5.0, 1.2.10)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

_COLUMNS = (
    *("recipient", "subject", "internet_message_id", "outcome", "place_label", "is_read"),
    *("replied_at", "forwarded_at"),
    *("was_exposed", "gateway_verdict", "mailbox_verdict", "match", "received_at", "verified_at"),
)
# What makes a cell a formula in some spreadsheet, full-width forms included.
_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠", "|", "%")


def inert(value: Any) -> str:
    """The cell's text, with an apostrophe before anything that could be taken for a formula."""
    text = "" if value is None else str(value)
    text = text.replace("\0", "\ufffd").replace("\r", " ").replace("\n", " ")
    return f"'{text}" if text.lstrip(" \u00a0\u200b\ufeff").startswith(_ACTIVE) else text


def write_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """UTF-8 with a byte-order mark, every cell quoted and inert."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([inert(value) for value in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", "replace")


def render_csv(document: dict[str, Any]) -> bytes:
    """The report's copies, one a line."""
    case = document["case"]
    of_case = [case["client"], case["number"], case["title"]]
    rows = ([*of_case, *(copy[name] for name in _COLUMNS)] for copy in document["copies"])
    return write_csv(["client", "incident", "title", *_COLUMNS], rows)
