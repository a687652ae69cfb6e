"""Reports, made by workers that are killed at every commit in turn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from incidents.models import Evidence, Incident, Job, Report
from incidents.reports import ask_report, serve_reports, services
from incidents.reports.pdf_file import ReportDoesNotRender
from tenants.doors import ClaimedWork
from tests.crash.worker import check_passed, crash_at_each
from tests.factories import Cast
from tests.incidents.test_reports import _scope, incident

__all__ = ["incident"]


def test_a_report_is_made_once(
    cast: Cast, incident: Incident, monkeypatch: pytest.MonkeyPatch, settings, tmp_path
):
    """And one that does not render fails once, and holds up no other."""
    settings.EVIDENCE_DIR = tmp_path
    begun: list[int] = []

    def render(document: dict[str, Any]) -> bytes:
        """In place of the seconds that the real one takes; the same bytes for the same facts."""
        if document["audience"] == "client":
            raise ReportDoesNotRender("It does not render.")
        return json.dumps(document, sort_keys=True).encode()

    monkeypatch.setattr(services, "render_pdf", render)

    def begin() -> None:
        begun.append(len(begun))
        with _scope(cast.acme):
            for audience in ("client", "internal"):
                ask_report(incident=incident, actor=cast.ana, audience=audience)

    def work() -> None:
        claimed = ClaimedWork(cast.acme.id, cast.provider.id, 1)
        assert any(serve_reports(claimed) is None for _ in range(4)), "it comes to its end"

    def check(died_at: str) -> None:
        with _scope(cast.acme):
            states = list(Job.objects.order_by("created_at").values_list("state", flat=True))
            assert states == ["failed", "done"] * len(begun), died_at
            made = list(Report.objects.values_list("id", "job__detail__report"))
            assert len(made) == len(begun), died_at
            assert all(str(report) == named for report, named in made), died_at
            kept = set(Evidence.objects.values_list("sha256", flat=True))
        assert {each.name for each in tmp_path.rglob("*") if each.is_file()} == kept, died_at

    places = crash_at_each(begin, work, check)
    check_passed(places, "incidents.reports.services")


@pytest.mark.parametrize("renders", [True, False])
def test_of_two_workers_over_one_report_the_first_to_end_makes_it(
    cast: Cast, incident: Incident, monkeypatch: pytest.MonkeyPatch, settings, tmp_path, renders
):
    """Rendering may outlast a lease: then the next worker begins with the same job."""
    settings.EVIDENCE_DIR = tmp_path
    claimed = ClaimedWork(cast.acme.id, cast.provider.id, 1)
    others = iter([serve_reports])

    def render(document: dict[str, Any]) -> bytes:
        if (other := next(others, None)) is not None:
            other(claimed)
            if not renders:
                raise ReportDoesNotRender("It does not render.")
        return json.dumps(document, sort_keys=True).encode()

    monkeypatch.setattr(services, "render_pdf", render)
    with _scope(cast.acme):
        job = ask_report(incident=incident, actor=cast.ana)
    serve_reports(claimed)
    with _scope(cast.acme):
        report = Report.objects.get()
        job.refresh_from_db()
    assert (job.state, job.error, job.detail["report"]) == ("done", "", str(report.id))
