"""Whoever takes out a file, of the provider or of the client, stands in the audit log."""

from __future__ import annotations

import pytest
from django.db import connection
from django.urls import reverse

from incidents.downloads import open_report
from incidents.evidence import store_evidence
from incidents.models import Attachment, Report
from incidents.services import share_incident
from incidents.services.attachments import NewFile
from incidents.services.comments import add_comment
from tenants.errors import NotThere
from tenants.models import AuditEntry
from tests.incidents.work_on import open_incident, portal, staff

PDF = b"%PDF-1.7\n1 0 obj"


@pytest.fixture
def files(cast, settings, tmp_path):
    """A report for the client and a file of a comment, of an incident that is shared; and one of
    each that is for the provider alone.
    """
    settings.EVIDENCE_DIR = tmp_path
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    incident = open_incident(cast.acme)
    with staff(cast):
        share_incident(incident=incident, actor=cast.ana)
        digest = store_evidence(tenant_id=cast.acme.id, raw=PDF, source="test", method="rendered")
        made: dict[str, Report | Attachment] = {}
        for audience in ("client", "internal"):
            made[f"{audience} report"] = Report.objects.create(
                tenant=cast.acme,
                incident=incident,
                audience=audience,
                document={},
                pdf_sha256=digest,
                created_by="Ana",
            )
            sent = [NewFile(f"{audience}.pdf", PDF)]
            add_comment(
                incident=incident, actor=cast.ana, text="See", audience=audience, files=sent
            )
            made[f"{audience} attachment"] = Attachment.objects.get(name=f"{audience}.pdf")
    return made


def on_record(cast):
    with staff(cast):
        entries = AuditEntry.objects.filter(action__endswith=".downloaded").order_by("at")
        return [(one.actor_name, one.action, one.object_id) for one in entries]


def test_what_a_client_takes_out_is_on_record_as_what_staff_do(client, cast, files, settings):
    report, file = files["client report"], files["client attachment"]
    expected = []
    for person, urls, name in (
        (cast.pia, "console.urls_portal", "portal_attachment"),
        (cast.ana, "console.urls", "attachment"),
    ):
        settings.ROOT_URLCONF = urls
        client.force_login(person)
        for where in (
            reverse("report_file", args=[report.id, "pdf"]),
            reverse(name, args=[file.id]),
        ):
            assert client.get(where).content == PDF
        expected += [
            (person.name, "incidents.report.downloaded", str(report.id)),
            (person.name, "incidents.attachment.downloaded", str(file.id)),
        ]
    assert client.get(f"/api/v1/reports/{report.id}/pdf/").content == PDF
    expected.append(("Ana", "incidents.report.downloaded", str(report.id)))
    assert on_record(cast) == expected


def test_a_file_that_is_not_there_leaves_no_record(cast, files):
    with staff(cast), pytest.raises(NotThere):
        open_report(report=files["client report"], kind="csv", actor=cast.ana)
    assert on_record(cast) == []


def test_the_door_notes_only_what_the_clients_own_people_may_read(cast, files):
    with portal(cast.acme), connection.cursor() as cursor:

        def asks(name, person, kind=""):
            found = files[name]
            arguments = [kind or name.split()[1], found.id, person.id]
            cursor.execute("SELECT door_downloaded(%s, %s, %s, 'a.pdf', '')", arguments)
            return cursor.fetchone()[0]

        for name in ("internal report", "internal attachment"):
            assert asks(name, cast.pia) is None, name
        for person in (cast.gus, cast.ana):
            assert asks("client report", person) is None
        assert asks("client report", cast.pia, kind="attachment") is None
        assert asks("client report", cast.pia, kind="incident") is None
        assert asks("client report", cast.pia) is not None
    assert len(on_record(cast)) == 1
