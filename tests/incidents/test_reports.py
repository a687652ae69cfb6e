"""The incident report: same content everywhere, inert in every format, same bytes each time."""

from __future__ import annotations

import csv
import io
import json

import pytest
from pypdf import PdfReader

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Incident, Job, Report
from incidents.reports import ask_report, serve_reports
from incidents.reports.csv_file import inert, render_csv
from incidents.reports.document import build_document
from incidents.reports.pdf_file import render_pdf
from incidents.services.tickets import keep_ticket
from incidents.words import Verdict
from tenants.doors import ClaimedWork
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw

HOSTILE = '=HYPERLINK("http://evil") #eval(read("/etc/passwd")) $x$ *b* 漢字 \u202egpj.exe \x07'


def _scope(tenant: Tenant):
    return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)


@pytest.fixture
def incident(cast: Cast) -> Incident:
    mail = mail_json(
        subject=HOSTILE,
        links=[{"url": "http://evil.example/x", "text": "click"}],
        attachments=[
            {
                "name": "invoice\u202efdp.exe",
                "kind": "exe",
                "claimed_type": "application/pdf",
                "size_bytes": 9000,
                "sha256": "a" * 64,
                "is_inline": False,
            }
        ],
    )
    info = "info@acme.example"
    with _scope(cast.acme):
        record(
            [
                gateway_saw(cast.acme, info, mail=mail),
                mailbox_saw(cast.acme, info, verdict=Verdict.PHISH, mail=mail),
            ]
        )
        make_sense_of_backlog(cast.acme)
        return Incident.objects.select_related("tenant").get()


def text_of(pdf: bytes) -> str:
    text = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    return " ".join(text.replace("\u200b", "").split())


def test_a_report_is_made_and_kept(cast: Cast, incident: Incident):
    with _scope(cast.acme):
        job = ask_report(incident=incident, actor=cast.ana)
    serve_reports(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with _scope(cast.acme):
        assert Job.objects.get(id=job.id).state == "done"
        report = Report.objects.get()
    assert report.document["case"]["client"] == "Acme"
    assert len(report.pdf_sha256) == len(report.csv_sha256) == 64


def test_the_same_facts_give_the_same_bytes(cast: Cast, incident: Incident):
    with _scope(cast.acme):
        first = build_document(incident, audience="internal", created_by="Ana")
        second = build_document(incident, audience="internal", created_by="Ana")
    assert render_pdf(first) == render_pdf(second)
    assert render_csv(first) == render_csv(second)


def test_mail_text_stays_text_in_the_pdf(cast: Cast, incident: Incident):
    with _scope(cast.acme):
        document = build_document(incident, audience="internal", created_by="Ana")
    text = text_of(render_pdf(document))
    assert '#eval(read("/etc/passwd"))' in text
    assert "root:" not in text
    assert "‹U+202E›" in text
    assert "‹U+6F22›" in text
    assert "http://evil.example" not in text


def test_pdf_and_csv_say_what_the_document_says(cast: Cast, incident: Incident):
    with _scope(cast.acme):
        document = build_document(incident, audience="internal", created_by="Ana")
    text = text_of(render_pdf(document))
    assert "Phishing for " in text
    assert "phish for " not in text
    rows = list(csv.DictReader(io.StringIO(render_csv(document).decode("utf-8-sig"))))
    assert [row["recipient"] for row in rows] == ["info@acme.example"]
    assert rows[0]["mailbox_verdict"] == "phish"
    assert "Passed by the gateway, condemned by the mailbox layer." in text
    for row in document["scope"]["counts"]:
        assert row["words"] in text


def test_every_sentence_of_the_summary_names_its_evidence(cast: Cast, incident: Incident):
    with _scope(cast.acme):
        document = build_document(incident, audience="internal", created_by="Ana")
    assert all(sentence["evidence"] for sentence in document["summary"])
    assert {one["kind"] for one in document["summary"]} <= {"observed", "derived", "assessed"}


def test_the_client_does_not_read_what_the_provider_says_to_itself(cast: Cast, incident: Incident):
    with _scope(cast.acme):
        incident.cause = "our own mistake"
        document = build_document(incident, audience="client", created_by="Ana")
    assert "our own mistake" not in str(document)
    assert "policy: clean is delivered" not in str(document["verdicts"])


def test_the_provider_reads_number_and_link_of_the_ticket_and_the_client_neither(
    cast: Cast, incident: Incident
):
    link = "https://desk.example/tickets?id=4711&view=all"
    with _scope(cast.acme):
        keep_ticket(incident=incident, actor=cast.ana, ticket="#T-4711", link=link)
        internal = build_document(incident, audience="internal", created_by="Ana")
        client = build_document(incident, audience="client", created_by="Ana")
    assert (internal["case"]["ticket"], internal["case"]["ticket_link"]) == ("#T-4711", link)
    assert f"Ticket #T-4711 ({link})" in text_of(render_pdf(internal))
    assert "4711" not in json.dumps(client)
    told = text_of(render_pdf(client))
    assert ("4711" in told, "Ticket" in told) == (False, False)


def test_a_report_without_a_ticket_or_made_before_there_were_any_names_none(
    cast: Cast, incident: Incident
):
    with _scope(cast.acme):
        document = build_document(incident, audience="internal", created_by="Ana")
    assert "Ticket" not in text_of(render_pdf(document))
    case = {name: of for name, of in document["case"].items() if not name.startswith("ticket")}
    assert "Ticket" not in text_of(render_pdf(document | {"case": case}))


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", " =1", "\u200b=1", "\0=1"]
)
def test_no_cell_is_a_formula(cell: str):
    assert inert(cell).startswith("'") or not inert(cell).strip().startswith(("=", "+", "-", "@"))
