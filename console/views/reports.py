"""Finished reports as files."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse

from console.lib.exports import CSV, download
from console.lib.http import PersonRequest, for_client, for_staff
from incidents.access import access_report
from incidents.evidence import read_evidence
from incidents.models import Report
from tenants.errors import NotThere

KINDS = {"pdf": "application/pdf", "csv": CSV}


def _file(report: Report, kind: str) -> HttpResponse:
    digest = {"pdf": report.pdf_sha256, "csv": report.csv_sha256}.get(kind)
    if not digest:
        raise NotThere("This report has no such file.")
    content = read_evidence(tenant_id=report.tenant_id, digest=digest)
    name = f"{report.tenant.slug}-{report.incident.number}-{report.created_at:%Y%m%d-%H%M}.{kind}"
    return download(content, name, KINDS[kind])


@for_staff
def report_file(request: PersonRequest, report_id: UUID, kind: str) -> HttpResponse:
    return _file(access_report(report_id), kind)


@for_client
def portal_report_file(request: PersonRequest, report_id: UUID, kind: str) -> HttpResponse:
    """Only what was made for the client, of an incident that is shared now."""
    report = access_report(report_id)
    if report.audience != "client" or report.incident.shared_at is None:
        raise NotThere
    return _file(report, kind)
