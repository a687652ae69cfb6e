"""What Exchange has on record of mail that passed through it: a row for each copy.

What is on record stays, whatever becomes of the mail in its mailbox.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from api_bridge.sandbox import directory
from api_bridge.sandbox.clock import now_s, read_graph_time
from api_bridge.sandbox.directory import BadDirectory, new_guid
from api_bridge.sandbox.mime import ReadMail
from api_bridge.sandbox.store import Store

STATUSES = ("gettingStatus", "pending", "failed", "delivered", "expanded", "quarantined",
            "filteredAsSpam")  # fmt: skip


def note(
    store: Store, mail: ReadMail, copies: Sequence[sqlite3.Row], *, size: int, from_ip: str
) -> None:
    """A mail was delivered to these mailboxes; those at Google leave no trace at Microsoft."""
    trace_id = new_guid()
    _, sender = next(iter(mail.people.get("from", ())), ("", ""))
    with store.transaction():
        for box in copies:
            if not directory.is_google(store, box["tenant_id"]):
                _insert(
                    store, box["tenant_id"], trace_id, sender, box["mail"],
                    mail.internet_message_id, now_s(), mail.subject, size, from_ip, "delivered",
                )  # fmt: skip


def put_trace(store: Store, tenant_id: str, wanted: Mapping[str, Any]) -> str:
    """A row as Exchange would have it of mail that never lay in a mailbox; returns its id.

    ``recipient``, ``internet_message_id``, ``status``; if need be ``sender``, ``subject``,
    ``received_at`` (now), ``id``.  Raises BadDirectory.
    """
    if store.row("SELECT 1 FROM tenant WHERE id = ?", tenant_id.lower()) is None:
        raise BadDirectory("no such tenant")
    status = str(wanted.get("status", "delivered"))
    if status not in STATUSES:
        raise BadDirectory(f"status is one of {', '.join(STATUSES)}, not {status!r}")
    said = wanted.get("received_at")
    try:
        received_at = int(read_graph_time(str(said))) if said else now_s()
    except ValueError as error:
        raise BadDirectory(f"received_at is no time: {said!r}") from error
    trace_id = str(wanted.get("id") or new_guid())
    _insert(
        store, tenant_id.lower(), trace_id, str(wanted.get("sender", "")),
        str(wanted.get("recipient", "")), str(wanted.get("internet_message_id", "")), received_at,
        str(wanted.get("subject", "")), 1_000, "", status,
    )  # fmt: skip
    return trace_id


def _insert(store: Store, *values: Any) -> None:
    store.execute(
        "INSERT INTO trace (tenant_id, id, sender, recipient, internet_message_id, received_at, "
        "subject, size, from_ip, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *values,
    )
