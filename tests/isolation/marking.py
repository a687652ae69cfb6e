"""Puts a client's word into every text and JSON column of its rows that the services left empty.

``unmarked_columns`` says which columns carry no word of theirs, so that a column that is neither
filled nor excused below fails a test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenants.scope import maintenance_scope

if TYPE_CHECKING:
    from tests.isolation.world import Side

# Columns that hold no free words: a closed list, a hash, an id of somebody else's, or numbers.
EXCUSED = {
    "incidents_answer.key": "a hash",
    "incidents_delivery.conversation": "a hash",
    "incidents_message.trace_ulid": "made by the gate",
    "incidents_message.fingerprint": "a hash",
    "incidents_message.evidence": "a hash",
    "incidents_message.sender_domain": "left as read: empty where the address has none",
    "incidents_incident.counts": "numbers under the closed keys of incidents/codes.py",
    "incidents_incident.cross_layer": "a closed list",
    "incidents_incident.severity_parts": "words of ours with numbers",
    "incidents_incident.due_for": "a closed list",
    "incidents_incident.waiting_for": "a closed list",
    "incidents_slaplan.time_zone": "a closed list",
    "incidents_slaplan.weekly": "times of day",
    "incidents_slaplan.holidays": "days",
    "incidents_slaplan.targets": "numbers under closed keys",
    "incidents_edge.kind": "a closed list",
    "incidents_edge.value": "a hash",
    "incidents_groupkey.kind": "a closed list",
    "incidents_groupkey.value": "a hash",
    "incidents_messagetrait.kind": "a closed list",
    "incidents_messagetrait.value": "a hash",
    "incidents_traitcount.kind": "a closed list",
    "incidents_traitcount.value": "a hash",
    "incidents_ledgerentry.counted_as": "a closed list",
    "incidents_ledgerday.counted_as": "a closed list",
    "incidents_warningmark.mark": "a keyed hash",
    "incidents_attachment.kind": "a closed list",
    "incidents_attachment.sha256": "a hash",
    "incidents_recomputation.counts": "numbers under closed keys",
    "incidents_evidence.sha256": "a hash",
    "incidents_evidence.method": "a closed list",
    "incidents_report.audience": "a closed list",
    "incidents_report.pdf_sha256": "a hash",
    "incidents_report.csv_sha256": "a hash",
    "incidents_intent.action": "a closed list",
    "incidents_intent.checks_left": "numbers",
    "incidents_job.counts": "numbers under closed keys",
    "incidents_observation.fingerprint": "a hash",
    "incidents_userreport.original_fingerprint": "a hash",
    "incidents_userreport.evidence": "a hash",
    "incidents_userreport.outcome": "a closed list",
    "incidents_observation.trace_ulid": "made by the gate",
    "incidents_observation.trace_state": "a closed list",
    "incidents_observation.evidence": "a hash",
    "incidents_observation.engine": "a closed list",
    "seg_bridge_rehearsal.counts": "numbers under closed keys",
    "seg_bridge_rehearsal.lists": "ids under closed keys",
    "seg_bridge_gateclient.in_force": "a hash",
    "seg_bridge_queueitem.reason_kind": "a closed list",
    "seg_bridge_queueitem.trace_ulid": "made by the gate",
    "seg_bridge_gatecommand.trace_ulid": "made by the gate",
    "seg_bridge_gatecommand.evidence": "a hash",
    "seg_bridge_gatecommand.terms": "closed words under closed keys",
    "seg_bridge_gatewayrule.action": "a closed list",
    "seg_bridge_senderstop.stop_ulid": "made by the gate",
    "seg_bridge_senderstop.evidence": "made by the gate",
    "seg_bridge_signingkey.selector": "a date and letters of ours",
    "seg_bridge_signingkey.public": "a public key",
    "seg_bridge_submissionlogin.hashed": "a hash",
    "seg_bridge_policychange.inherits": "a closed list",
    "seg_bridge_policychange.seen": "ids and numbers",
    "api_bridge_connection.cloud_tenant_id": "an id at the mail host",
    "api_bridge_connection.authority_url": "set by the operator",
    "api_bridge_connection.api_url": "set by the operator",
    "api_bridge_consent.state": "a hash",
    "api_bridge_consent.holder": "a hash",
    "api_bridge_consentlink.digest": "a hash",
    "api_bridge_consentlink.purposes": "a closed list",
    "api_bridge_hosttrial.kind": "a closed list",
    "incidents_finding.code": "a closed list",
    "incidents_accountsign.code": "a closed list",
    "api_bridge_mailboxsnapshot.digest": "a hash",
    "api_bridge_signin.country": "two letters",
    "api_bridge_signin.risk": "a closed list",
    "incidents_incident.finding": "a closed list",
    "api_bridge_seenitem.place": "a closed list",
    "api_bridge_nightfolder.place": "a closed list",
    "api_bridge_tracedmail.status": "a closed list",
    "tenants_auditentry.action": "a closed list",
    "tenants_auditentry.object_kind": "a closed list",
    "tenants_auditentry.object_id": "an id",
    "tenants_outgoingmail.kind": "a closed list",
    "tenants_person.password": "a hash",
    "tenants_tenant.time_zone": "a closed list",
    "tenants_work.queue": "a closed list",
}
# Names that the services filled: the word is added, for nothing looks them up.
ADDED_TO = {
    "incidents_incident.title",
    "api_bridge_connection.quarantine_folder",
    "incidents_callnote.author_name",
    "incidents_clientword.person_name",
    "incidents_comment.author_name",
    "incidents_contentaccess.person_name",
    "incidents_delivery.match_reason",
    "incidents_edge.who",
    "incidents_incidentmessage.reason",
    "incidents_mention.person_name",
    "incidents_pause.started_by",
    "incidents_quiet.started_by",
    "incidents_report.created_by",
    "incidents_slaplan.created_by",
    "incidents_suppression.created_by",
    "seg_bridge_gatecommand.released_by",
    "seg_bridge_gatewayrule.owner_name",
    "seg_bridge_outboundterms.changed_by",
    "seg_bridge_policychange.asked_by",
    "seg_bridge_policylayer.changed_by",
    "seg_bridge_senderstop.gate_name",
    "seg_bridge_senderstop.words",
    "seg_bridge_signingkey.created_by",
    "seg_bridge_submissionlogin.created_by",
    "seg_bridge_submissionlogin.name",
    "tenants_auditentry.actor_name",
    "tenants_domain.next_hop_host",
    "tenants_mailbox.display_name",
    "tenants_person.name",
    "tenants_tenant.name",
}
# What a client knows of itself: its name, its addresses, its own people.
OPEN_TABLES = {"tenants_tenant", "tenants_domain", "tenants_mailbox", "tenants_person"}
_SHORTEST = 40


def client_models() -> Iterator[tuple[type[models.Model], str]]:
    """Every model with rows of clients, and its column with the client's id."""
    for model in apps.get_models():
        if model._meta.label == "tenants.Tenant":
            yield model, "id"
        elif any(field.attname == "tenant_id" for field in model._meta.concrete_fields):
            yield model, "tenant_id"


def word_columns(model: type[models.Model]) -> Iterator[models.Field[Any, Any]]:
    for column in model._meta.concrete_fields:
        is_text = isinstance(column, models.CharField | models.TextField) and not column.choices
        if is_text or isinstance(column, models.JSONField | ArrayField):
            yield column


def mark_rows(sides: Mapping[int, Side]) -> None:
    """Fill what is empty, note the ids of all rows."""
    with maintenance_scope():
        for model, owner in client_models():
            for tenant_id, side in sides.items():
                for row in _rows(model, owner, tenant_id):
                    _mark(model, row, side)
                    if isinstance(row["pk"], UUID):
                        side.all_ids.add(str(row["pk"]))


def unmarked_columns(sides: Mapping[int, Side]) -> set[str]:
    """``table.column`` of every client's words in which some client has no word of its own."""
    missing = set()
    with maintenance_scope():
        for model, owner in client_models():
            for tenant_id, side in sides.items():
                rows = _rows(model, owner, tenant_id)
                for column in word_columns(model):
                    texts = [json.dumps(row[column.attname], default=str) for row in rows]
                    words = (side.open, side.inner, side.tenant.slug)
                    if not any(word in text for text in texts for word in words):
                        missing.add(f"{model._meta.db_table}.{column.column}")
    return missing


def _rows(model: type[models.Model], owner: str, tenant_id: int) -> list[dict[str, Any]]:
    found = model._base_manager.filter(**{owner: tenant_id})
    # None where the key is of several columns: no address names such a row.
    return [dict(row, pk=row.get(model._meta.pk.attname)) for row in found.values()]


def _mark(model: type[models.Model], row: dict[str, Any], side: Side) -> None:
    word = side.open if _is_open(model, row, side) else side.inner
    changes = {}
    for column in word_columns(model):
        name = f"{model._meta.db_table}.{column.column}"
        if name in EXCUSED or row[column.attname] is None or isinstance(column, ArrayField):
            continue
        value = _marked(column, row[column.attname], word)
        if name in ADDED_TO:
            value = f"{row[column.attname]} {word}"
        if value is not None:
            changes[column.attname] = value
    if changes:
        model._base_manager.filter(pk=row["pk"]).update(**changes)


def _marked(column: models.Field[Any, Any], value: Any, word: str) -> Any:
    """The value with the word; None where it stays as it is."""
    if isinstance(column, models.JSONField):
        if isinstance(value, dict):
            return None if word in json.dumps(value) else {**value, "note": word}
        return None if value else [word]
    limit = getattr(column, "max_length", None)
    return word if value == "" and (limit is None or limit >= _SHORTEST) else None


def _is_open(model: type[models.Model], row: dict[str, Any], side: Side) -> bool:
    """Is this a row that the client's own portal may show?"""
    if model._meta.db_table in OPEN_TABLES:
        return True
    named = {str(value) for key, value in row.items() if key.endswith("_id") or key in ("pk", "id")}
    return bool(named & set(side.ids.values()))
