"""Allow and block entries as CSV: out for people and other systems, and in again.

``render_rules(rows)``  UTF-8 with a byte-order mark; no cell is a formula in any spreadsheet
``read_rules(data)``    what ``seg_bridge.changes`` takes as a list; raises ``WrongInput`` naming
                        the lines

Columns: ``client kind match value recipient action beats_threats reason expires_at
no_end_because in_mailboxes``; further ones are for reading and left alone.  ``*`` as the client is
all of them, ``group:Law firms`` those of that group.  ``group:Finance`` as the recipient is a group
of the client's directory.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any

from django.utils import timezone

from incidents.reports.csv_file import inert
from seg_bridge.models import GatewayRule
from seg_bridge.rule_scopes import EVERYWHERE
from tenants.errors import WrongInput
from tenants.groups import PREFIX

COLUMNS = (
    *("client", "kind", "match", "value", "recipient", "action", "beats_threats", "reason"),
    *("expires_at", "no_end_because", "in_mailboxes"),
)
FOR_READING = ("owner", "created_at", "state", "id")
_NEEDED = ("client", "kind", "match", "value")
_YES = ("yes", "true", "1")
MOST_LINES = 1_000
MOST_BYTES = 2 * 2**20
_SHOWN_MISTAKES = 10


def state_of(rule: GatewayRule, now: datetime) -> str:
    """``in_force``, ``expired`` (its end came first) or ``removed``."""
    end = rule.expires_at
    if end is not None and end <= (rule.removed_at or now):
        return "expired"
    return "removed" if rule.removed_at else "in_force"


def render_rules(rows: Iterable[GatewayRule]) -> bytes:
    now = timezone.now()
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([*COLUMNS, *FOR_READING])
    for rule in rows:
        cells: dict[str, Any] = {
            "client": _owner(rule),
            "recipient": rule.whose_mailboxes,
            "beats_threats": "yes" if rule.beats_threats else "no",
            "in_mailboxes": "yes" if rule.in_mailboxes else "no",
            "expires_at": rule.expires_at.isoformat() if rule.expires_at else "",
            "owner": rule.owner_name,
            "created_at": rule.created_at.isoformat(),
            "state": state_of(rule, now),
        }
        writer.writerow(
            [
                inert(cells[name] if name in cells else getattr(rule, name))
                for name in (*COLUMNS, *FOR_READING)
            ]
        )
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", "replace")


def _owner(rule: GatewayRule) -> str:
    if rule.tenant is not None:
        return str(rule.tenant.slug)
    return f"{PREFIX}{rule.group.name}" if rule.group is not None else EVERYWHERE


def read_rules(data: bytes) -> dict[str, list[dict[str, Any]]]:
    """Client's short name, ``group:<name>`` or ``*`` → its entries; a repeated line counts once.

    Values are checked where entries are made; here it is about the file.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    mistakes: list[str] = []
    for number, cells in _lines(data):
        try:
            client, entry = _entry(cells)
        except ValueError as error:
            mistakes.append(f"Line {number}: {error}")
            continue
        if entry not in found.setdefault(client, []):
            found[client].append(entry)
    if mistakes:
        more = len(mistakes) - _SHOWN_MISTAKES
        rest = f" And {more} more." if more > 0 else ""
        raise WrongInput(" ".join(mistakes[:_SHOWN_MISTAKES]) + rest)
    if not found:
        raise WrongInput("There is no entry in this file.")
    if EVERYWHERE in found and len(found) > 1:
        raise WrongInput("Put entries for all clients (*) into a file of their own.")
    return found


def _lines(data: bytes) -> Iterable[tuple[int, dict[str, str]]]:
    if len(data) > MOST_BYTES:
        raise WrongInput(f"The file is larger than {MOST_BYTES // 2**20} MB.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WrongInput("The file is not UTF-8. Save it as “CSV UTF-8”.") from None
    if "\0" in text:
        raise WrongInput("The file is no text.")
    reader = csv.DictReader(io.StringIO(text, newline=""), dialect=_dialect(text))
    missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise WrongInput(f"The first line names the columns; missing: {', '.join(missing)}.")
    try:
        for count, row in enumerate(reader):
            if count >= MOST_LINES:
                raise WrongInput(f"At most {MOST_LINES} entries at a time.")
            cells = {name: _alive(row.get(name) or "") for name in COLUMNS}
            if any(cells.values()):
                yield reader.line_num, cells
    except csv.Error as error:
        raise WrongInput(f"Line {reader.line_num} cannot be read: {error}.") from error


def _dialect(text: str) -> type[csv.Dialect]:
    class Found(csv.excel):
        # A spreadsheet of another country writes semicolons.
        delimiter = ";" if text.partition("\n")[0].count(";") >= len(_NEEDED) - 1 else ","

    return Found


def _alive(cell: str) -> str:
    """The text as it was before ``inert`` kept it from being a formula."""
    text = cell.strip()
    return text[1:] if text.startswith("'") and inert(text[1:]) == text else text


def _entry(cells: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """Raises ``ValueError`` with a sentence."""
    for name in _NEEDED:
        if not cells[name]:
            raise ValueError(f"{name} is empty.")
    entry: dict[str, Any] = {
        name: cells[name]
        for name in ("kind", "match", "value", "recipient", "action", "reason", "no_end_because")
    }
    entry["beats_threats"] = cells["beats_threats"].lower() in _YES
    if cells["in_mailboxes"].lower() in _YES:
        entry["in_mailboxes"] = True
    if entry["kind"] == GatewayRule.Kind.ALLOW:
        entry["action"] = ""
    if cells["expires_at"]:
        entry["expires_at"] = _moment(cells["expires_at"])
    whose = cells["client"]
    # "Group: Law firms" is written by people.
    is_group = whose.lower().startswith(PREFIX)
    return PREFIX + whose[len(PREFIX) :].strip() if is_group else whose, entry


def _moment(text: str) -> str:
    """ISO with a zone; a day alone ends with the day, UTC."""
    try:
        at = datetime.fromisoformat(text)
        if len(text) == len("2026-12-25"):
            at = datetime.combine(date.fromisoformat(text), time.max)
    except ValueError:
        raise ValueError(f"“{text}” is no time. It should look like 2026-12-25.") from None
    return (at if at.tzinfo else at.replace(tzinfo=timezone.get_current_timezone())).isoformat()
