"""Files of comments on the pages and in the API: sent by a plain form, given out as downloads."""

from __future__ import annotations

import json
import re
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from console.lib.body import MOST_WITH_FILES
from incidents.models import Attachment, Comment, Evidence, Incident
from incidents.services import share_incident
from incidents.services.attachments import MOST_BYTES, NewFile
from incidents.services.comments import add_comment
from tests.console.test_work_pages import browser, hidden_fields
from tests.incidents.work_on import open_incident, staff

HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _alone(settings, tmp_path):
    settings.EVIDENCE_DIR = tmp_path
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


@pytest.fixture
def phish(cast) -> Incident:
    return open_incident(cast.acme)


def file(name: str = "page.html", content: bytes = HTML) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="text/html")


def said(audience: str = "internal", **more):
    return {"text": "See", "audience": audience, **more}


def is_harmless_download(answer, name: str) -> bool:
    return (
        answer["Content-Type"] == "application/octet-stream"
        and answer["Content-Disposition"] == f'attachment; filename="{name}"'
        and answer["X-Content-Type-Options"] == "nosniff"
        and answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
        and "no-store" in answer.get("Cache-Control", "no-store")
    )


def test_a_file_goes_with_a_comment_and_comes_back_as_a_download_only(cast, phish):
    ana, where = browser(cast.ana), reverse("incident_comment", args=[phish.id])
    form = ana.get(where).content.decode()
    assert 'enctype="multipart/form-data"' in form
    assert re.search(r'<input type="file" name="attachments"[^>]* multiple', form)

    assert ana.post(where, said(attachments=[file(), file("b.pdf", b"%PDF-1")])).status_code == 302

    page = ana.get(reverse("incident", args=[phish.id])).content.decode()
    assert "page.html" in page
    with staff(cast):
        kept = Attachment.objects.get(name="page.html")
    address = reverse("attachment", args=[kept.id])
    assert f'href="{address}" download' in page
    answer = ana.get(address)
    assert answer.content == HTML
    assert is_harmless_download(answer, "page.html")


def test_what_the_client_would_get_is_named_in_the_preview_and_sent_with_the_second_yes(
    cast, phish
):
    ana, where = browser(cast.ana), reverse("incident_comment", args=[phish.id])
    preview = ana.post(where, said("client", attachments=[file("for you.html")])).content.decode()
    assert "for you.html" in preview
    with staff(cast):
        assert not Comment.objects.exists()
        assert not Evidence.objects.filter(method="upload").exists()
    answer = ana.post(where, hidden_fields(preview) | {"text": "See"})
    assert answer.status_code == 302
    with staff(cast):
        assert Attachment.objects.get().name == "for you.html"
        assert Comment.objects.get().audience == "client"


def test_nobody_sends_the_files_of_somebody_elses_preview(cast, phish):
    where = reverse("incident_comment", args=[phish.id])
    preview = browser(cast.ana).post(where, said("client", attachments=[file()])).content.decode()
    fields = hidden_fields(preview) | {"text": "See"}
    answer = browser(cast.bo).post(where, fields)
    assert answer.status_code == 400
    assert "add them anew" in answer.content.decode()
    other = open_incident(cast.acme, 2)
    elsewhere = reverse("incident_comment", args=[other.id])
    assert browser(cast.ana).post(elsewhere, fields).status_code == 400
    with staff(cast):
        assert not Comment.objects.exists()


@pytest.mark.parametrize(
    ("files", "status", "words"),
    [
        ([("a.pdf", bytes(MOST_BYTES + 1))], 413, "a.pdf is larger than 10 MB"),
        ([("a.pdf", bytes(MOST_WITH_FILES))], 413, "At most 21 MB can be sent at once"),
        ([("a.pdf", b"")], 400, "a.pdf is empty"),
    ],
    ids=["one too large", "all too large", "empty"],
)
@pytest.mark.parametrize("audience", ["internal", "client"])
def test_what_cannot_be_kept_is_refused_in_a_sentence_and_nothing_is_done(
    cast, phish, files, status, words, audience
):
    ana, where = browser(cast.ana), reverse("incident_comment", args=[phish.id])
    answer = ana.post(where, said(audience, attachments=[file(*each) for each in files]))
    assert (answer.status_code, words in answer.content.decode()) == (status, True)
    with staff(cast):
        assert not Comment.objects.exists()
        assert not Evidence.objects.filter(method="upload").exists()


class TestPortal:
    @pytest.fixture
    def shown_and_inner(self, cast, phish) -> dict[str, Attachment]:
        with staff(cast):
            for audience, name in (("internal", "zqinner.pdf"), ("client", "shown.pdf")):
                files = [NewFile(name, b"%PDF-1" + name.encode())]
                add_comment(
                    incident=phish, actor=cast.ana, text="See", audience=audience, files=files
                )
            return {each.name: each for each in Attachment.objects.all()}

    @pytest.fixture
    def pia(self, cast, settings) -> Client:
        settings.ROOT_URLCONF = "console.urls_portal"
        return browser(cast.pia)

    def test_the_client_gets_what_is_for_her_once_the_incident_is_shared(
        self, cast, phish, shown_and_inner, pia
    ):
        address = reverse("portal_attachment", args=[shown_and_inner["shown.pdf"].id])
        assert pia.get(address).status_code == 404
        with staff(cast):
            share_incident(incident=phish, actor=cast.ana)
        page = pia.get(reverse("portal_incident", args=[phish.id])).content.decode()
        assert f'href="{address}" download' in page
        assert "zqinner" not in page
        answer = pia.get(address)
        assert answer.content == b"%PDF-1shown.pdf"
        assert is_harmless_download(answer, "shown.pdf")

    def test_an_internal_file_is_never_there(self, cast, phish, shown_and_inner, pia):
        with staff(cast):
            share_incident(incident=phish, actor=cast.ana)
        inner = shown_and_inner["zqinner.pdf"]
        assert pia.get(reverse("portal_attachment", args=[inner.id])).status_code == 404
        gus = browser(cast.gus)
        for each in shown_and_inner.values():
            assert gus.get(reverse("portal_attachment", args=[each.id])).status_code == 404


class TestApi:
    def ask(self, cast, phish, *files, **more):
        return browser(cast.ana).post(
            f"/api/v1/incidents/{phish.id}/comments",
            {**said(), "attachments": list(files)},
            **more,
        )

    def test_files_are_sent_listed_and_taken(self, cast, phish):
        made = self.ask(cast, phish, file(), file("b.pdf", b"%PDF-1"))
        assert made.status_code == 201, made.content
        first = made.json()["attachments"][0]
        assert set(first) == {"id", "name", "kind", "size_bytes", "sha256"}
        ana = browser(cast.ana)
        listed = ana.get(f"/api/v1/incidents/{phish.id}/attachments").json()["results"]
        assert {(row["name"], row["kind"], row["audience"]) for row in listed} == {
            *(("page.html", "html", "internal"), ("b.pdf", "pdf", "internal")),
        }
        one = ana.get(f"/api/v1/attachments/{listed[1]['id']}").json()
        assert one == listed[1]
        taken = ana.get(f"/api/v1/attachments/{listed[1]['id']}/content")
        assert taken.content == HTML
        assert is_harmless_download(taken, "page.html")

    def test_a_retry_with_the_same_key_adds_nothing_and_other_bytes_are_another_request(
        self, cast, phish
    ):
        key = {"headers": {"Idempotency-Key": str(uuid4())}}
        first, second = (self.ask(cast, phish, file(), **key) for _ in range(2))
        assert first.json() == second.json()
        assert second["Idempotency-Replayed"] == "true"
        assert self.ask(cast, phish, file(content=HTML + b" "), **key).status_code == 422
        with staff(cast):
            assert Comment.objects.count() == 1

    @pytest.mark.parametrize("size", [MOST_BYTES + 1, MOST_WITH_FILES])
    def test_too_much_is_413_with_a_problem_and_nothing_is_kept(self, cast, phish, size):
        answer = self.ask(cast, phish, file("a.pdf", bytes(size)))
        assert answer.status_code == 413
        assert answer["Content-Type"] == "application/problem+json"
        assert json.loads(answer.content)["code"] == "too_large"
        with staff(cast):
            assert not Comment.objects.exists()

    def test_a_comment_without_files_is_still_json(self, cast, phish):
        answer = browser(cast.ana).post(
            f"/api/v1/incidents/{phish.id}/comments", said(), content_type="application/json"
        )
        assert answer.status_code == 201
        assert answer.json()["attachments"] == []
