"""CSV that no spreadsheet executes (OWASP ASVS 5.0, 1.2.10)."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from incidents.reports.builders import FOUND_SCHEMA
from incidents.reports.statement import SCHEMA as STATEMENT

_COLUMNS = (
    *("recipient", "subject", "internet_message_id", "outcome", "place_label", "is_read"),
    *("clicked_at", "replied_at", "forwarded_at"),
    *("was_exposed", "gateway_verdict", "mailbox_verdict", "match", "received_at", "verified_at"),
)
# Of an account's signs, settings and steps; empty in the line of a copy.
_ACCOUNT_COLUMNS = (
    *("record", "at", "account", "what", "words", "read_from", "mark", "evidence", "sha256"),
    *("asked_by", "reason", "called_at", "result", "finished_at", "taken_back_at", "taken_back_by"),
)
_TARGET_COLUMNS = (
    *("severity", "target", "state", "agreed_s", "ran_s", "opened_at", "reached_at"),
    "agreement",
)
_FOUND_COLUMNS = (
    *("recipient", "kind", "sender", "received_at", "found_at", "now", "is_read", "was_exposed"),
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
    """One line a copy, and one for each sign, setting and step of an account; of a statement one
    line a target; of a look back one line for each finding and for each mailbox that was not read
    to the end.
    """
    lines = {STATEMENT: _targets, FOUND_SCHEMA: _found}.get(document["schema"], _copies)
    names, *rows = lines(document)
    return write_csv(names, rows)


def _copies(document: dict[str, Any]) -> Iterator[Sequence[Any]]:
    """``record`` tells what a line is about: ``copy sign setting step``."""
    case, blind = document["case"], " ".join(document["blind"])
    first = [case["client"], case["number"], case["title"]]
    yield ["client", "incident", "title", *_COLUMNS, "blind", *_ACCOUNT_COLUMNS]
    for copy in document["copies"]:
        rest = ["copy", *[""] * (len(_ACCOUNT_COLUMNS) - 1)]
        yield [*first, *(copy[name] for name in _COLUMNS), blind, *rest]
    for row in _of_account(document["account"]):
        cells = (row.get(name, "") for name in _ACCOUNT_COLUMNS)
        yield [*first, *[""] * len(_COLUMNS), blind, *cells]


def _of_account(account: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Signs, settings and steps under the names of ``_ACCOUNT_COLUMNS``."""
    if account is None:
        return
    for sign in account["signs"]:
        said = {"what": sign["sign"], "mark": sign["kind"], "sha256": sign["record_sha256"]}
        yield {**sign, **said, "record": "sign"}
    for change in account["changes"]:
        said = {"words": " ".join(change["changes"]), "sha256": change["settings_sha256"]}
        yield {**change, **said, "record": "setting", "what": "Settings", "mark": change["kind"]}
    for step in account["steps"]:
        words = " ".join(filter(None, (step["about"], step["read_back"])))
        said = {"words": words, "sha256": step["kept_sha256"], "at": step["asked_at"]}
        yield {**step, **said, "record": "step", "what": step["step"], "mark": step["kind"]}


def _targets(document: dict[str, Any]) -> Iterator[Sequence[Any]]:
    client = document["statement"]["client"]
    stood: defaultdict[int, list[str]] = defaultdict(list)
    for each in document["standstills"]:
        stood[each["number"]].append(f"{each['why']}: {each['since']} to {each['until'] or 'now'}")
    blind = " ".join(document["blind"])
    yield ["client", "incident", *_TARGET_COLUMNS, "stood_still", "blind"]
    for each in document["targets"]:
        values = [each[name] for name in _TARGET_COLUMNS]
        yield [client, each["number"], *values, "; ".join(stood[each["number"]]), blind]
    if blind and not document["targets"]:  # an empty list would read as "nothing was found"
        yield [client, *[""] * (len(_TARGET_COLUMNS) + 2), blind]


def _found(document: dict[str, Any]) -> Iterator[Sequence[Any]]:
    """In English columns are called as in the document, for programs; in another language both
    columns and values are for people.
    """
    head, blind = document["found"], " ".join(document["blind"])
    words: dict[str, str] = document["columns"]
    is_for_people = document["language"] != "en"
    first = [head["client"], head["since"], head["until"]]
    names = ["client", "since", "until", *_FOUND_COLUMNS, "not_looked_at", "blind"]
    yield [words[name] for name in names] if is_for_people else names
    for each in document["findings"]:
        row = _in_words(each, words) if is_for_people else each
        yield [*first, *(row[name] for name in _FOUND_COLUMNS), "", blind]
    for box in document["mailboxes"]:
        if box["state"] != "done":
            why = words["only_back_to"].format(at=box["reached_at"], why=box["why"]).strip()
            empty = [""] * (len(_FOUND_COLUMNS) - 1)
            yield [*first, box["address"], *empty, why, blind]
    if not document["findings"]:  # an empty list would read as "nothing was found"
        yield [*first, *[""] * len(_FOUND_COLUMNS), head["sentence"], blind]


def _in_words(finding: dict[str, Any], words: dict[str, str]) -> dict[str, Any]:
    said = {True: words["yes"], False: words["no"], None: ""}
    facts = {name: said[finding[name]] for name in ("is_read", "was_exposed")}
    return finding | facts | {"kind": finding["label"]}
