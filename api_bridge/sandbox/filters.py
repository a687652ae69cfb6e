"""The provider's own filter: it marks mail of senders it was told of, as Exchange Online does.

Its fields stand below those of the mail, ``X-MS-Exchange-Organization-*`` before the report
(learn.microsoft.com/defender-office-365/message-headers-eop-mdo).  What a sender wrote under the
name of the report stays where it was: only the organisation's own fields are taken off on entry.
"""

from collections.abc import Mapping
from typing import Any

from api_bridge.sandbox.directory import BadDirectory, new_guid
from api_bridge.sandbox.store import Store

_HEAD_BYTES = 64 * 1024


def put_rules(store: Store, wanted: object) -> None:
    """Each: ``sender`` (an address), ``category`` (``HPHSH``), ``scl``, ``bcl``.  Raises
    BadDirectory.
    """
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted):
        raise BadDirectory("'rules' must be a list of objects")
    with store.transaction():
        store.execute("DELETE FROM filter_rule")
        for each in wanted:
            _put(store, each)


def _put(store: Store, rule: Mapping[str, Any]) -> None:
    sender = str(rule.get("sender", "")).strip()
    if "@" not in sender:
        raise BadDirectory("'sender' must be an address")
    store.execute(
        "INSERT INTO filter_rule VALUES (?, ?, ?, ?)",
        sender, str(rule.get("category", "NONE")), int(rule.get("scl", 1)),
        int(rule.get("bcl", 0)),
    )  # fmt: skip


def stamped(store: Store, content: bytes, peer: str) -> bytes:
    """The mail with the filter's fields below its own; as it is where no rule knows its sender."""
    head, blank, body = content.partition(b"\r\n\r\n")
    if not blank:
        return content
    written = head[:_HEAD_BYTES].lower()
    for rule in store.rows("SELECT * FROM filter_rule"):
        if b"\nfrom:" in b"\n" + written and rule["sender"].lower().encode() in written:
            return head + _fields(rule, peer).encode() + blank + body
    return content


def _fields(rule: Any, peer: str) -> str:
    return (
        f"\r\nX-MS-Exchange-Organization-Network-Message-Id: {new_guid()}"
        f"\r\nX-MS-Exchange-Organization-SCL: {rule['scl']}"
        f"\r\nX-Forefront-Antispam-Report: CIP:{peer};CTRY:;LANG:en;SCL:{rule['scl']};SRV:;"
        f"IPV:NLI;SFV:NSPM;H:sender;PTR:;CAT:{rule['category']};SFS:;DIR:INB;"
        f"\r\nX-Microsoft-Antispam: BCL:{rule['bcl']};"
    )
