"""Google Workspace through the same worker: what came, where it lies, and what becomes of it."""

from __future__ import annotations

import pytest

from api_bridge.models import MailboxSync
from incidents.words import Place
from tenants.models import Mailbox
from tests.api_bridge.sync.conftest import make_google_client


@pytest.fixture
def google(cast, cloud):
    made = make_google_client(cast, cloud, "gamma")
    made.sync()
    yield made
    made.company.close()


def test_mailboxes_are_listed_and_new_mail_is_told_once(google):
    with google.scope():
        assert set(Mailbox.objects.values_list("address", flat=True)) == {
            google.company.mail(name) for name in ("ana", "bo", "cfo")
        }
    message_id = google.company.receive("ana", subject="Hello")
    google.sync()
    google.sync()
    (seen,) = google.observations()
    assert (seen.internet_message_id, seen.place) == (message_id, Place.INBOX)
    assert seen.source == f"google:{google.company.mail('ana')}"
    assert seen.verdict is not None
    assert seen.mail["subject"] == "Hello"
    with google.scope():
        assert MailboxSync.objects.exclude(last_error="").count() == 0
