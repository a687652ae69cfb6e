"""Stored facts of the mail that the gateway saw, in the form in which it decides.

``since(…)``      from when on a client's mail is read: the period, or less where there is too much
``count(…)``      how many copies there are, and how many cannot be decided again
``is_any(…)``     whether there is one
``copies(…)``     the copies themselves, newest first, a bounded number at a time in memory

A copy can be decided again where an engine gave a verdict and the gate noted which engines were
missing.  What was put off is no mail: its sender sent it again, and that counts.  Nor are the
gate's later words about a copy: of another try to deliver it, or of a second scan.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from incidents.mail.fingerprint import mail_key
from incidents.words import Verdict
from seg_bridge.gate.decide import Decidable, Decision, decide
from seg_bridge.gate.outbound.decide import decide_outbound
from seg_bridge.gate.policy import GatewayRule, TenantPolicy
from seg_bridge.gate.treatment import traits_of

CHUNK = 1000


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """One copy as the gate saw it.  ``observation_id`` is its row in the history; ``sent_by`` of
    outbound mail the mailbox that sent it, "" for mail that came in.
    """

    observation_id: UUID
    recipient: str
    mail: Decidable
    sent_by: str = ""

    def decide(self, policy: TenantPolicy, now: datetime) -> Decision:
        """As the gate would by this policy, each direction by its own law."""
        if self.sent_by:
            return decide_outbound(self.mail, policy, self.sent_by, self.recipient, now)
        return decide(self.mail, policy, self.recipient, now)


# "client_ip" stands on the gate's word about a whole mail, not on its later words about a copy.
_WHOLE = """
    o.tenant_id = %(tenant)s AND o.layer = 'gateway' AND o.detail ? 'client_ip'
    AND NOT (o.action = 'deferred' AND NOT coalesce((o.detail->>'is_spooled')::boolean, false))
"""
_DECIDABLE = "o.verdict IS NOT NULL AND o.detail ? 'missing'"

_SINCE = f"""
SELECT o.observed_at FROM incidents_observation o
WHERE {_WHOLE} AND o.observed_at >= %(since)s
ORDER BY o.observed_at DESC OFFSET %(most)s LIMIT 1
"""  # noqa: S608 - fixed text
_COUNT = f"""
SELECT count(*), count(*) FILTER (WHERE NOT ({_DECIDABLE})) FROM incidents_observation o
WHERE {_WHOLE} AND o.observed_at >= %(since)s
"""  # noqa: S608 - fixed text
_ANY = f"""
SELECT EXISTS (SELECT FROM incidents_observation o WHERE {_WHOLE} AND o.observed_at >= %(since)s)
"""  # noqa: S608 - fixed text
_COPIES = f"""
SELECT o.id, o.recipient, o.verdict, o.score, o.detail->'missing',
    coalesce(o.detail->>'client_ip', ''), coalesce(o.detail->>'mail_from', ''),
    coalesce(o.mail->'sender'->>'address', ''),
    jsonb_path_query_array(o.mail, '$.from_all[*].address'),
    jsonb_path_query_array(o.mail, '$.links[*].host'),
    o.mail->'attachments',
    jsonb_path_exists(o.mail, '$.auth[*] ? (@.method == "dmarc" && @.result == "fail")'),
    jsonb_path_query_array(
        o.mail, '$.auth[*] ? (@.method == "dkim" && @.result == "pass").domain'
    ),
    o.internet_message_id, o.fingerprint,
    CASE WHEN o.direction = 'outbound' THEN o.detail->'sent_by'->>'mailbox' END
FROM incidents_observation o WHERE {_WHOLE} AND {_DECIDABLE}
"""  # noqa: S608 - fixed text
# No gate would find the entry's value in a mail whose facts do not hold it as a text.
_MADE_OF_SEVERAL = ("client_ip", "mail")
_MAY_FIT = """
    AND (strpos(o.mail::text, %(value)s) > 0 OR strpos(lower(o.detail->>'mail_from'), %(value)s) > 0
        OR o.detail->>'mail_from' ~ '[^ -~]')
"""


def since(tenant_id: int, wanted: datetime, *, most: int) -> datetime:
    """``wanted``, or later where the client has more than ``most`` copies since then."""
    row = _one(_SINCE, {"tenant": tenant_id, "since": wanted, "most": most})
    return row[0] if row else wanted


def count(tenant_id: int, start: datetime) -> tuple[int, int]:
    """Copies since then, and those among them that cannot be decided again."""
    row = _one(_COUNT, {"tenant": tenant_id, "since": start})
    return int(row[0]), int(row[1])


def is_any(tenant_id: int, start: datetime) -> bool:
    """Is there a single copy since then?"""
    return bool(_one(_ANY, {"tenant": tenant_id, "since": start})[0])


def copies(
    tenant_id: int, start: datetime, *, about: GatewayRule | None = None
) -> Iterator[StoredCopy]:
    """Newest first; ``about`` leaves out copies that the entry can't concern."""
    query, values = _COPIES, {"tenant": tenant_id, "since": start}
    query += " AND o.observed_at >= %(since)s"
    if about is not None:
        if about.match not in _MADE_OF_SEVERAL:
            query += _MAY_FIT
            values["value"] = json.dumps(about.value, ensure_ascii=False)[1:-1]
        if about.recipient:
            query += " AND (o.recipient = ANY(%(recipients)s) OR o.recipient LIKE %(domain)s)"
            values["recipients"] = [about.recipient, *about.also]
            # Only "@acme.example" is a pattern: an underline in it may find too much, never less.
            values["domain"] = "%" + about.recipient if about.recipient[0] == "@" else ""
    yield from _stream(query + " ORDER BY o.observed_at DESC", values)


def copies_of(
    tenant_id: int, observations: Collection[tuple[UUID, datetime]]
) -> Iterator[StoredCopy]:
    """Those of these rows of history that can be decided again."""
    query = _COPIES + " AND o.id = ANY(%(ids)s) AND o.observed_at = ANY(%(times)s)"
    ids, times = [each for each, _ in observations], [at for _, at in observations]
    yield from _stream(query, {"tenant": tenant_id, "ids": ids, "times": times})


def _one(query: str, values: dict[str, Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchone()


def _stream(query: str, values: dict[str, Any]) -> Iterator[StoredCopy]:
    """A cursor on the server: memory does not grow with the client."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(query, values)
        while rows := cursor.fetchmany(CHUNK):
            for row in rows:
                yield _stored(row)


def _stored(row: tuple[Any, ...]) -> StoredCopy:
    found, recipient, verdict, score, missing, client_ip, mail_from, sender, *lists = row
    *lists, message_id, fingerprint, sent_by = lists
    named, hosts, is_disowned = _texts(lists[0]), _texts(lists[1]), bool(lists[3])
    files = [each for each in _parsed(lists[2]) if isinstance(each, dict)]
    visible = (sender,) if sender else ()
    mail = Decidable(
        verdict=Verdict(verdict),
        score=score or 0.0,
        missing=tuple(_texts(missing)),
        is_disowned=is_disowned,
        sender=sender,
        senders=frozenset((mail_from.lower(), *named, *visible)),
        client_ip=client_ip,
        link_hosts=frozenset(hosts),
        attachments=frozenset(str(each.get("sha256", "")) for each in files),
        dkim_domains=frozenset(each.lower() for each in _texts(lists[4]) if each),
        mail_key=mail_key(message_id, sender, fingerprint),
        file_traits=traits_of(
            (str(each.get("kind", "")), bool(each.get("is_inline")), _texts(each.get("flags")))
            for each in files
        ),
    )
    return StoredCopy(found, recipient, mail, sent_by or "")


def _texts(value: Any) -> list[str]:
    return [each for each in _parsed(value) if isinstance(each, str)]


def _parsed(value: Any) -> list[Any]:
    """A JSON list as the driver gives it: parsed, or as text."""
    parsed = json.loads(value) if isinstance(value, str) else value
    return parsed if isinstance(parsed, list) else []
