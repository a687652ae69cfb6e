"""Files that somebody takes out: a report, a file of a comment.  Each is on record, whoever it is.

A client's reader writes no table: a door of the database does it for her (docs/isolation.md).
"""

from __future__ import annotations

from uuid import UUID

from incidents.evidence import read_evidence
from incidents.models import Attachment, Report
from tenants.audit import write_audit
from tenants.doors import ask
from tenants.errors import NotThere
from tenants.models import Person
from tenants.scope import Role, current_scope

REPORT = "incidents.report.downloaded"
ATTACHMENT = "incidents.attachment.downloaded"
_ACTIONS = {"report": REPORT, "attachment": ATTACHMENT}


def open_report(*, report: Report, kind: str, actor: Person) -> bytes:
    """``kind``: ``pdf`` or ``csv``.  Raises ``NotThere`` where it has no such file."""
    digest = {"pdf": report.pdf_sha256, "csv": report.csv_sha256}.get(kind)
    if not digest:
        raise NotThere("This report has no such file.")
    content = read_evidence(tenant_id=report.tenant_id, digest=digest)
    name = f"{report.file_stem}.{kind}"
    _note("report", report.tenant_id, report.id, name=name, sha256=digest, actor=actor)
    return content


def open_attachment(*, attachment: Attachment, actor: Person) -> bytes:
    """Raises ``NotThere``."""
    digest = attachment.sha256
    content = read_evidence(tenant_id=attachment.tenant_id, digest=digest)
    name = attachment.name
    _note("attachment", attachment.tenant_id, attachment.id, name=name, sha256=digest, actor=actor)
    return content


def _note(
    kind: str, tenant_id: int, object_id: UUID, *, name: str, sha256: str, actor: Person
) -> None:
    if current_scope().role is Role.PORTAL:
        if ask("door_downloaded", kind, object_id, actor.id, name, sha256) is None:
            raise NotThere
        return
    write_audit(
        _ACTIONS[kind],
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=tenant_id,
        object_kind=kind,
        object_id=object_id,
        name=name,
        sha256=sha256,
    )
