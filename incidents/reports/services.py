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
from incidents.models.evidence import period_words
from incidents.reports.builders import builder_of
from incidents.reports.csv_file import render_csv
from incidents.reports.document import build_document
from incidents.reports.pdf_file import ReportDoesNotRender, render_pdf
from incidents.reports.statement import build_statement, check_period
from tenants.audit import write_audit
from tenants.doors import ClaimedWork
from tenants.errors import WrongInput
from tenants.models import Person, Tenant
from tenants.work import want_work, work_scope

log = logging.getLogger(__name__)
ASKED = "incidents.report.asked"
STATEMENT_ASKED = "incidents.statement.asked"
FOUND_ASKED = "api_bridge.scan_back.report_asked"
AUDIENCES = ("internal", "client")


@transaction.atomic
def ask_report(*, incident: Incident, actor: Person, audience: str = "internal") -> Job:
    """The job that makes the report; ``audience`` is one of ``AUDIENCES``."""
    return _ask(incident.tenant_id, incident, actor, {"audience": audience})


@transaction.atomic
def ask_statement(
    *, tenant: Tenant, since: datetime, until: datetime, actor: Person, audience: str = "internal"
) -> Job:
    """The job that makes the statement of the client's agreed times, as they stand now.

    It is about the incidents that opened from ``since`` until before ``until``.  Raises
    ``WrongInput`` where that are more than one statement takes.
    """
    check_period(tenant, since, until)
    period = {"since": since.isoformat(), "until": until.isoformat()}
    return _ask(tenant.id, None, actor, {"audience": audience, **period})


@transaction.atomic
def ask_about(
    *, tenant_id: int, kind: str, actor: Person, audience: str, detail: dict[str, str]
) -> Job:
    """The job that makes a report whose document another room builds
    (incidents/reports/builders.py).  Raises ``WrongInput`` for an audience that does not exist.
    """
    if audience not in AUDIENCES:
        raise WrongInput("A report is for the provider or for the client: internal or client.")
    return _ask(tenant_id, None, actor, {**detail, "about": kind, "audience": audience})


def _ask(tenant_id: int, incident: Incident | None, actor: Person, detail: dict[str, str]) -> Job:
    job = Job.objects.create(
        tenant_id=tenant_id,
        kind=Job.Kind.REPORT,
        incident=incident,
        requested_by_id=actor.id,
        requested_by=actor.name,
        detail=detail,
    )
    write_audit(
        _action(incident, detail),
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=tenant_id,
        object_kind="incident" if incident else "tenant",
        object_id=incident.id if incident else tenant_id,
        **detail,
    )
    want_work(tenant_id, "report")
    return job


def _action(incident: Incident | None, detail: dict[str, str]) -> str:
    if incident is not None:
        return ASKED
    return FOUND_ASKED if "about" in detail else STATEMENT_ASKED


def serve_reports(claimed: ClaimedWork) -> datetime | None:
    """Make the client's oldest report that waits; answers when to come again."""
    with work_scope(claimed):
        waiting = Job.objects.filter(
            kind=Job.Kind.REPORT, state__in=(Job.State.QUEUED, Job.State.RUNNING)
        )
        related = waiting.select_related("tenant", "incident__tenant")
        job = related.order_by("created_at").first()
        if job is None:
            return None
        Job.objects.filter(id=job.id).update(state=Job.State.RUNNING)
        document = _document(job)
    # Rendering takes seconds: no transaction is held meanwhile.
    try:
        pdf, csv = render_pdf(document), render_csv(document)
    except ReportDoesNotRender as error:
        log.exception("report of job %s", job.id)
        _fail(claimed, job, str(error))
        return timezone.now()
    with work_scope(claimed):
        if _is_running(job):
            _keep(job, document, pdf, csv)
    return timezone.now()


def _is_running(job: Job) -> bool:
    """Held until the commit.  False: our lease ran out, and another worker has ended it."""
    rows = Job.objects.select_for_update(of=("self",)).filter(id=job.id)
    return rows.filter(state=Job.State.RUNNING).first() is not None


def _document(job: Job) -> dict[str, Any]:
    said = {"audience": job.detail["audience"], "created_by": job.requested_by}
    if job.incident is not None:
        return build_document(job.incident, **said)
    if about := job.detail.get("about"):
        return builder_of(about)(job, job.detail["audience"])
    since, until = _period(job)
    return build_statement(job.tenant, since=since, until=until, as_of=job.created_at, **said)


def _period(job: Job) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(job.detail["since"]), datetime.fromisoformat(job.detail["until"])


def _keep(job: Job, document: dict[str, Any], pdf: bytes, csv: bytes) -> None:
    if job.incident is not None:
        about: dict[str, Any] = {"incident": job.incident}
        source = f"report of incident {job.incident.number}"
    elif kind := job.detail.get("about"):
        since, until = (datetime.fromisoformat(document["found"][at]) for at in ("since", "until"))
        about = {"kind": kind, "since": since, "until": until}
        source = f"found in mailboxes, {period_words(since, until)}"
    else:
        since, until = _period(job)
        about = {"kind": Report.Kind.AGREED_TIMES, "since": since, "until": until}
        source = f"agreed times, {period_words(since, until)}"
    report = Report.objects.create(
        tenant_id=job.tenant_id,
        **about,
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
    with work_scope(claimed):
        if _is_running(job):
            job.error = sentence
            _end(job, Job.State.FAILED)


def _end(job: Job, state: str) -> None:
    job.state, job.finished_at = state, timezone.now()
    job.save(update_fields=["state", "finished_at", "detail", "error"])
    announce_job(job.tenant_id, job.id)
