"""Finished reports as files."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse

from console.lib.exports import CSV, download
from console.lib.http import PersonRequest, for_client, for_staff
from console.queries.portal import reports_for_client
from incidents.access import access_report
from incidents.downloads import open_report
from incidents.models import Report
from tenants.errors import NotThere

KINDS = {"pdf": "application/pdf", "csv": CSV}


@for_staff
def report_file(request: PersonRequest, report_id: UUID, kind: str) -> HttpResponse:
    return _file(request, access_report(report_id), kind)


@for_client
def portal_report_file(request: PersonRequest, report_id: UUID, kind: str) -> HttpResponse:
    """Only what was made for the client, of an incident only while it is shared."""
    report = access_report(report_id)
    if not reports_for_client().filter(id=report.id).exists():
        raise NotThere
    return _file(request, report, kind)


def _file(request: PersonRequest, report: Report, kind: str) -> HttpResponse:
    content = open_report(report=report, kind=kind, actor=request.user)
    return download(content, f"{report.file_stem}.{kind}", KINDS[kind])
