"""Asking for a report, and making it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from incidents.announce import announce_job
from incidents.evidence import store_evidence
from incidents.models import Incident, Job, Report
from incidents.reports.csv_file import render_csv
from incidents.reports.document import build_document
from incidents.reports.pdf_file import ReportDoesNotRender, render_pdf
from tenants.audit import write_audit
from tenants.doors import ClaimedWork
from tenants.models import Person
from tenants.scope import Role, tenant_scope
from tenants.work import want_work

log = logging.getLogger(__name__)
ASKED = "incidents.report.asked"
AUDIENCES = ("internal", "client")


@transaction.atomic
def ask_report(*, incident: Incident, actor: Person, audience: str = "internal") -> Job:
    """The job that makes the report; ``audience`` is one of ``AUDIENCES``."""
    job = Job.objects.create(
        tenant_id=incident.tenant_id,
        kind=Job.Kind.REPORT,
        incident=incident,
        requested_by_id=actor.id,
        requested_by=actor.name,
        detail={"audience": audience},
    )
    write_audit(
        ASKED,
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=incident.tenant_id,
        object_kind="incident",
        object_id=incident.id,
        audience=audience,
    )
    want_work(incident.tenant_id, "report")
    return job


def serve_reports(claimed: ClaimedWork) -> datetime | None:
    """Make the client's oldest report that waits; answers when to come again."""
    with _scope(claimed):
        waiting = Job.objects.filter(
            kind=Job.Kind.REPORT, state__in=(Job.State.QUEUED, Job.State.RUNNING)
        )
        job = waiting.select_related("incident__tenant").order_by("created_at").first()
        if job is None:
            return None
        Job.objects.filter(id=job.id).update(state=Job.State.RUNNING)
        document = build_document(
            job.incident, audience=job.detail["audience"], created_by=job.requested_by
        )
    # Rendering takes seconds: no transaction is held meanwhile.
    try:
        pdf, csv = render_pdf(document), render_csv(document)
    except ReportDoesNotRender as error:
        log.exception("report of job %s", job.id)
        _fail(claimed, job, str(error))
        return timezone.now()
    with _scope(claimed):
        _keep(job, document, pdf, csv)
    return timezone.now()


def _scope(claimed: ClaimedWork) -> Any:
    return tenant_scope(Role.WORKER, [claimed.tenant_id], provider_id=claimed.provider_id)


def _keep(job: Job, document: dict[str, Any], pdf: bytes, csv: bytes) -> None:
    source = f"report of incident {job.incident.number}"
    report = Report.objects.create(
        tenant_id=job.tenant_id,
        incident=job.incident,
        job=job,
        audience=job.detail["audience"],
        document=document,
        pdf_sha256=store_evidence(
            tenant_id=job.tenant_id, raw=pdf, source=source, method="rendered"
        ),
        csv_sha256=store_evidence(
            tenant_id=job.tenant_id, raw=csv, source=source, method="rendered"
        ),
        created_by=job.requested_by,
    )
    job.detail = job.detail | {"report": str(report.id)}
    _end(job, Job.State.DONE)


def _fail(claimed: ClaimedWork, job: Job, sentence: str) -> None:
    with _scope(claimed):
        job.error = sentence
        _end(job, Job.State.FAILED)


def _end(job: Job, state: str) -> None:
    job.state, job.finished_at = state, timezone.now()
    job.save(update_fields=["state", "finished_at", "detail", "error"])
    tenant_id, job_id = job.tenant_id, job.id
    transaction.on_commit(lambda: announce_job(tenant_id, job_id))
