"""Files of comments: all or none are kept, under names that are only names, each for its own."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from incidents.downloads import open_attachment
from incidents.evidence import read_evidence
from incidents.models import Attachment, Comment, Evidence, Incident
from incidents.reports.document import build_document
from incidents.services import share_incident
from incidents.services.attachments import (
    LONGEST_NAME,
    MOST_BYTES,
    MOST_FILES,
    NewFile,
    clean_name,
)
from incidents.services.comments import add_comment
from incidents.story import tell_story
from tenants.errors import NotThere, TooLarge, WrongInput
from tenants.models import AuditEntry
from tests.incidents.work_on import open_incident, portal, staff

PDF = b"%PDF-1.7\n1 0 obj"


@pytest.fixture(autouse=True)
def _store(settings, tmp_path):
    settings.EVIDENCE_DIR = tmp_path
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


@pytest.fixture
def phish(cast) -> Incident:
    return open_incident(cast.acme)


def office_file() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    return made.getvalue()


def files_of(comment: Comment) -> list[tuple[str, str]]:
    return list(comment.attachments.order_by("name").values_list("name", "kind"))


def test_a_file_is_kept_encrypted_and_its_type_is_read_from_its_content(cast, phish):
    sent = [
        NewFile("photo.png", PDF),
        NewFile("offer.docx", office_file()),
        NewFile("tool.txt", b"MZ" + bytes(100)),
    ]
    with staff(cast):
        comment = add_comment(incident=phish, actor=cast.ana, text="See", files=sent)
        assert files_of(comment) == [
            *(("offer.docx", "docx"), ("photo.png", "pdf"), ("tool.txt", "exe")),
        ]
        warnings = {file.name: file.warning for file in comment.attachments.all()}
        assert warnings == {
            "offer.docx": "",
            "photo.png": "not what its name says",
            "tool.txt": "a program",
        }
        file = comment.attachments.get(name="photo.png")
        assert read_evidence(tenant_id=cast.acme.id, digest=file.sha256) == PDF
    kept = [path for path in Path(django_settings.EVIDENCE_DIR).rglob("*") if path.is_file()]
    assert len(kept) == 3
    assert not any(b"%PDF" in path.read_bytes() for path in kept)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\eve\\bill.pdf", "bill.pdf"),
        ("invoice_exe\u202efdp.", "invoice_exefdp"),
        ("a\r\nSet-Cookie: x=1\x00.pdf", "a Set-Cookie_ x=1.pdf"),
        ('"; filename="evil.html', "_; filename=_evil.html"),
        ("<script>.html", "_script_.html"),
        ("nul.txt", "_nul.txt"),
        (" .. ", "file"),
        ("", "file"),
        ("\ud800", "file"),
        ("Größe ✓.pdf", "Größe ✓.pdf"),
        ("x" * 400 + ".pdf", "x" * (LONGEST_NAME - 4) + ".pdf"),
    ],
)
def test_a_name_is_only_a_name(sent, kept):
    assert clean_name(sent) == kept
    assert clean_name(kept) == kept


def test_the_same_file_twice_is_kept_once_and_another_of_its_name_gets_a_number(cast, phish):
    sent = [NewFile("a.pdf", PDF), NewFile("x/a.pdf", PDF), NewFile("a.pdf", PDF + b"2")]
    with staff(cast):
        comment = add_comment(incident=phish, actor=cast.ana, text="See", files=sent)
        assert [name for name, _ in files_of(comment)] == ["a (2).pdf", "a.pdf"]
        again = add_comment(incident=phish, actor=cast.bo, text="Also", files=sent[:1])
        assert files_of(again) == [("a.pdf", "pdf")]
        assert Evidence.objects.filter(method="upload").count() == 2


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ([NewFile("a.pdf", PDF), NewFile("b.pdf", b"")], WrongInput, "b.pdf is empty"),
        ([NewFile("a.pdf", PDF), NewFile("b", bytes(MOST_BYTES + 1))], TooLarge, "than 10 MB"),
        ([NewFile(f"{n}", bytes([n]) * MOST_BYTES) for n in range(3)], TooLarge, "20 MB together"),
        ([NewFile(f"{n}", PDF) for n in range(MOST_FILES + 1)], WrongInput, "At most 5 files"),
    ],
    ids=["empty", "too large", "too large together", "too many"],
)
def test_what_cannot_be_kept_leaves_nothing_behind(cast, phish, files, error, words):
    with staff(cast):
        with pytest.raises(error, match=words):
            add_comment(incident=phish, actor=cast.ana, text="See", files=files)
        assert not Comment.objects.exists()
        assert not Evidence.objects.filter(method="upload").exists()
    assert not list(Path(django_settings.EVIDENCE_DIR).rglob("*"))


def test_who_added_and_who_took_a_file_is_on_record(cast, phish):
    with staff(cast):
        add_comment(incident=phish, actor=cast.ana, text="See", files=[NewFile("a.pdf", PDF)])
        file = Attachment.objects.select_related("comment").get()
        assert open_attachment(attachment=file, actor=cast.bo) == PDF
        acts = {entry.action: entry for entry in AuditEntry.objects.filter(tenant=cast.acme)}
        added = acts["incidents.incident.commented"].detail["attachments"]
        assert added == [{"name": "a.pdf", "sha256": file.sha256}]
        taken = acts["incidents.attachment.downloaded"]
        assert (taken.actor_name, taken.object_id) == ("Bo", str(file.id))


def both_kinds(cast, phish) -> None:
    with staff(cast):
        for audience, name in (("internal", "zqinner.pdf"), ("client", "shown.pdf")):
            add_comment(
                incident=phish,
                actor=cast.ana,
                text="See",
                audience=audience,
                files=[NewFile(name, PDF + name.encode())],
            )


def test_the_database_shows_the_portal_the_files_that_are_for_the_client_alone(cast, phish):
    both_kinds(cast, phish)
    with portal(cast.acme):
        assert not Attachment.objects.exists()
        assert not Evidence.objects.filter(method="upload").exists()
    with staff(cast):
        share_incident(incident=phish, actor=cast.ana)
        inner = Attachment.objects.get(name="zqinner.pdf")
    with portal(cast.acme):
        assert [file.name for file in Attachment.objects.all()] == ["shown.pdf"]
        assert Evidence.objects.filter(method="upload").count() == 1
        with pytest.raises(NotThere):
            read_evidence(tenant_id=cast.acme.id, digest=inner.sha256)
    with portal(cast.globex):
        assert not Attachment.objects.exists()


def test_the_story_names_the_files_and_the_clients_story_and_report_only_its_own(cast, phish):
    both_kinds(cast, phish)
    with staff(cast):
        share_incident(incident=phish, actor=cast.ana)
        texts = [line.text for line in tell_story(phish).lines]
        assert "zqinner.pdf (pdf, internal)" in texts
        assert "shown.pdf (pdf, for the client)" in texts
        reports = {
            audience: str(build_document(phish, audience=audience, created_by="Ana"))
            for audience in ("internal", "client")
        }
    assert "zqinner" in reports["internal"]
    assert "zqinner" not in reports["client"]
    assert "shown.pdf" in reports["client"]
    with portal(cast.acme):
        told = str(tell_story(phish))
    assert "shown.pdf" in told
    assert "zqinner" not in told
