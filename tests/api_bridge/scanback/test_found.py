"""What was found: the numbers add up, the report never says "none" where it could not look, and one
pull acts on all of it.
"""

from __future__ import annotations

import csv
import io
from uuid import UUID

import pytest

from api_bridge.models import Connection, ScanBack, ScanBackMailbox
from api_bridge.scanback import pulling
from api_bridge.scanback.document import ask_found, build_found
from api_bridge.scanback.figures import figures_of
from api_bridge.scanback.pulling import found_of, pull_findings, rehearse_pull
from api_bridge.scanback.wording import sentence
from incidents.evidence import read_evidence
from incidents.models import Incident, Intent, Job, Report
from incidents.reports import serve_reports
from incidents.reports.csv_file import render_csv
from incidents.reports.pdf_file import render_pdf
from incidents.services import resolve_incident
from incidents.words import Place
from seg_bridge.layer import Gateway
from tenants.errors import Conflict, WrongInput
from tests.api_bridge.scanback.test_looking import phish
from tests.incidents.test_reports import text_of


@pytest.fixture
def found(looker):
    """A phish each in the mailboxes of Ana and Bo, and a harmless mail; all made sense of."""
    for name in ("ana", "bo"):
        phish(looker, name)
    looker.client.company.receive("cfo")
    looker.connected_later()
    looker.start()
    looker.look()
    looker.client.make_sense()
    return looker


def report(looker, audience: str = "client") -> Report:
    with looker.client.scope():
        ask_found(run=looker.run(), actor=looker.lead, audience=audience)
    serve_reports(looker.claimed)
    with looker.client.scope():
        return Report.objects.select_related("tenant").get(kind="found_in_mailboxes")


def test_the_report_s_numbers_add_up_and_its_files_say_the_same(found):
    made = report(found)
    document = made.document
    head, lines = document["found"], document["lines"]
    assert (head["mailboxes"], head["mailboxes_done"], head["mails"]) == (3, 3, 3)
    assert sum(line["found"] for line in lines) == len(document["findings"]) == head["found"] == 2
    for line in lines:
        states = sum(line[state] for state in ("reach", "removed", "gone", "pending"))
        assert states == line["found"]
    assert sum(box["mails"] for box in document["mailboxes"]) == head["mails"]
    assert sum(box["found"] for box in document["mailboxes"]) == head["found"]
    assert head["sentence"] == "2 harmful mails found among 3 mails in 3 mailboxes."
    with found.client.scope():
        pdf, sheet = (
            read_evidence(tenant_id=made.tenant_id, digest=digest)
            for digest in (made.pdf_sha256, made.csv_sha256)
        )
    assert pdf.startswith(b"%PDF")
    rows = list(csv.DictReader(io.StringIO(sheet.decode("utf-8-sig"))))
    assert [row["recipient"] for row in rows] == [
        each["recipient"] for each in document["findings"]
    ]
    assert made.file_stem.startswith("delta-found-in-mailboxes-")


IN_WORDS = {
    "de": (
        "2 schädliche Mails unter 3 Mails in 3 Postfächern gefunden.",
        "In Ihren Postfächern gefunden",
        "Empfänger",
        "noch im Postfach",
    ),
    "fr": (
        "2 mails nuisibles trouvés parmi 3 mails dans 3 boîtes aux lettres.",
        "Trouvé dans vos boîtes aux lettres",
        "Destinataire",
        "encore dans la boîte",
    ),
}


@pytest.mark.parametrize("language", IN_WORDS)
def test_a_clients_copy_is_in_its_language_and_an_internal_one_in_english(
    found, monkeypatch, language
):
    monkeypatch.setattr(Gateway, "language_for", lambda self, tenant_id, address: language)
    said, title, column, now = IN_WORDS[language]
    with found.client.scope():
        Connection.objects.update(blind_since=found.run().asked_at)
        job = Job(tenant=found.client.tenant, detail={"scan_back": str(found.run().id)})
        theirs, ours = (build_found(job, audience) for audience in ("client", "internal"))
    assert ours["found"]["sentence"].startswith("2 harmful mails found")
    assert said in theirs["found"]["sentence"]
    told = text_of(render_pdf(theirs))
    assert title in told
    assert not [words for words in ENGLISH if words in told]
    (line, *_) = csv.DictReader(io.StringIO(render_csv(theirs).decode("utf-8-sig")))
    assert line[column] == theirs["findings"][0]["recipient"]
    assert theirs["findings"][0]["now"] == now
    assert {"de": "sieht seit", "fr": "ne voit rien depuis"}[language] in theirs["blind"][0]
    # Codes stay what programs know.
    kinds = [[each["kind"] for each in document["findings"]] for document in (ours, theirs)]
    assert kinds[0] == kinds[1]


# Of the fixed words of the document; none may be left in another language.
ENGLISH = (
    *("looked at", "Mailbox", "Found", "Received", "Still", "How to read", "blind since"),
    " of ",
)


def test_nothing_found_means_nothing_only_where_everything_was_looked_at(looker):
    looker.client.company.receive("ana")
    looker.connected_later()
    looker.start()
    with looker.client.scope():
        figures = figures_of(looker.run())
        assert not figures.is_whole
        assert "No harmful mail is known so far" in sentence(figures)
    looker.look()
    with looker.client.scope():
        assert sentence(figures_of(looker.run())) == (
            "Nothing harmful was found among 1 mail in 3 mailboxes."
        )
        ScanBackMailbox.objects.filter(mailbox__address__startswith="bo").update(
            state="failed", last_error="The mailbox is closed."
        )
        said = sentence(figures_of(looker.run()))
        assert "No harmful mail is known" in said
        assert "1 mailbox not read to the end" in said
        ScanBackMailbox.objects.update(state="done")
        Connection.objects.update(blind_since=looker.run().asked_at)
        figures = figures_of(looker.run())
        assert not figures.is_whole
        job = Job(tenant=looker.client.tenant, detail={"scan_back": str(looker.run().id)})
        document = build_found(job, "client")
    assert document["blind"]
    assert "No harmful mail is known" in document["found"]["sentence"]


def test_one_pull_of_all_that_was_found_is_rehearsed_and_then_done(found):
    run = found.run()
    with found.client.scope():
        rehearsed = rehearse_pull(run)
        assert (rehearsed.copies, rehearsed.mailboxes) == (2, 2)
        assert sum(rehearsed.by_kind.values()) == 2
        assert not Intent.objects.exists()
        with pytest.raises(Conflict, match="have changed"):
            pull_findings(run=run, actor=found.lead, digest="another")
        group_id = pull_findings(run=run, actor=found.lead, digest=rehearsed.digest)
        assert isinstance(group_id, UUID)
        jobs = Job.objects.filter(group_id=group_id)
        assert {job.detail["scan_back"] for job in jobs} == {str(run.id)}
        assert Intent.objects.filter(job__in=jobs, action="pull").count() == 2
        again = rehearse_pull(run)
        assert (again.copies, again.left_busy) == (0, 2)
        with pytest.raises(WrongInput, match="Nothing"):
            pull_findings(run=run, actor=found.lead, digest=again.digest)


def test_all_of_it_is_rehearsed_and_pulled_however_many_slices_it_takes(found, monkeypatch):
    with found.client.scope():
        whole = rehearse_pull(found.run())
        monkeypatch.setattr(pulling, "AT_ONCE", 1)
        assert rehearse_pull(found.run()) == whole
        group_id = pull_findings(run=found.run(), actor=found.lead, digest=whole.digest)
        assert Intent.objects.filter(job__group_id=group_id).count() == whole.copies == 2


def test_what_a_person_called_harmless_is_left_alone(found):
    with found.client.scope():
        for incident in Incident.objects.exclude(kind="health"):
            resolve_incident(
                incident=incident,
                actor=found.lead,
                classification="false_positive",
                cause="It was a test.",
                cause_code="expected",
            )
        rehearsed = rehearse_pull(found.run())
    assert (rehearsed.copies, rehearsed.left_alone) == (0, 2)


def test_the_lists_hold_what_the_numbers_say(found):
    with found.client.scope():
        run = ScanBack.objects.get()
        figures = figures_of(run)
        assert figures.total_found == len(found_of(run)) == 2
        for kind, number in figures.found.items():
            assert len(found_of(run, verdict=kind)) == number
        assert {each.copy and each.copy.place for each in found_of(run)} == {Place.INBOX}
        assert all(each.incident is not None for each in found_of(run))
