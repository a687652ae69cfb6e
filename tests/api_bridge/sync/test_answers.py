"""What people answer and pass on in their mailboxes, as the connector shows it."""

from __future__ import annotations

from uuid import UUID

import pytest

from incidents.models import Answer, Delivery, Observation
from incidents.words import Direction, Place
from tests.api_bridge.sandbox.running import simple_mail


def answers(client, name: str, message_id: str, **wish: object) -> str:
    """The person answers the mail; the Message-ID of what she sent."""
    wish = {"internet_message_id": message_id, "text": "It is done.", **wish}
    path = f"mailboxes/{client.company.mail(name)}/answer"
    return str(client.company.cloud.admin("POST", path, wish, 201)["internet_message_id"])


def copy_of(client, message_id: str, name: str = "ana") -> Delivery:
    client.sync()
    client.make_sense()
    with client.scope():
        return Delivery.objects.get(
            message__internet_message_id=message_id, recipient=client.company.mail(name)
        )


def proof(client, observation_id: UUID | None) -> Observation:
    assert observation_id is not None
    with client.scope():
        return Observation.objects.get(id=observation_id)


def test_a_person_who_answers_has_replied_and_the_sent_mail_proves_it(client_):
    message_id = client_.company.receive("ana")
    sent = answers(client_, "ana", message_id)
    copy = copy_of(client_, message_id)
    assert copy.replied_at is not None
    assert copy.forwarded_at is None
    shown = proof(client_, copy.replied_by)
    assert (shown.internet_message_id, shown.place) == (sent, Place.SENT)
    assert shown.direction == Direction.OUTBOUND
    # No words of what she wrote are kept.
    assert "It is done" not in str(shown.mail)


def test_graph_gives_no_headers_of_sent_mail_so_the_conversation_names_it(client_):
    message_id = client_.company.receive("ana")
    answers(client_, "ana", message_id)
    assert copy_of(client_, message_id).replied_at is not None
    (seen,) = client_.observations(direction="outbound")
    assert (seen.mail["in_reply_to"], seen.mail["references"]) == ("", [])
    with client_.scope():
        assert set(Answer.objects.values_list("names", flat=True)) == {"conversation"}


def test_the_answer_may_be_listed_before_the_mail(client_):
    company = client_.company
    message_id = company.receive("ana")
    answers(client_, "ana", message_id)
    item = next(mail["id"] for mail in company.mails("ana") if mail["subject"] == "Hello")
    path = f"users/{company.mail('ana')}/messages/{item}/move"
    # Nobody lists what she deleted for good; then she takes it back.
    hidden = company.post(path, {"destinationId": "recoverableitemsdeletions"})
    client_.sync()
    client_.make_sense()
    with client_.scope():
        assert Answer.objects.exists()
        assert not Delivery.objects.exists()
    path = f"users/{company.mail('ana')}/messages/{hidden['id']}/move"
    company.post(path, {"destinationId": "inbox"})
    assert copy_of(client_, message_id).replied_at is not None


def test_to_pass_it_on_is_no_reply(client_):
    message_id = client_.company.receive("ana")
    answers(client_, "ana", message_id, forward_to=[client_.company.mail("bo")])
    copy = copy_of(client_, message_id)
    assert copy.replied_at is None
    assert copy.forwarded_at is not None
    assert proof(client_, copy.forwarded_by).place == Place.SENT


def test_the_first_answer_counts_and_reading_again_changes_nothing(client_):
    message_id = client_.company.receive("ana")
    first = answers(client_, "ana", message_id)
    before = copy_of(client_, message_id)
    answers(client_, "ana", message_id)
    for _ in range(2):
        after = copy_of(client_, message_id)
    assert (after.replied_at, after.replied_by) == (before.replied_at, before.replied_by)
    assert proof(client_, after.replied_by).internet_message_id == first
    assert len(client_.observations(direction="outbound")) == 2


def test_only_the_mailbox_that_answered_has_replied(client_):
    company = client_.company
    message_id = company.receive("ana")
    with company.cloud.smtp() as smtp:
        raw = simple_mail(company.mail("bo"), subject="Hello", message_id=message_id)
        smtp.sendmail("sender@sender.example.net", [company.mail("bo")], raw)
    answers(client_, "ana", message_id)
    assert copy_of(client_, message_id).replied_at is not None
    assert copy_of(client_, message_id, "bo").replied_at is None


@pytest.mark.parametrize("where", ["inbox", "sentitems"])
def test_a_forged_answer_from_outside_proves_nothing(client_, where):
    company = client_.company
    message_id = company.receive("ana")
    forged = (
        simple_mail(
            "sender@sender.example.net", subject="Re: Hello", message_id="<forged@evil.example>"
        )
        .replace(b"Sender <sender@sender.example.net>", company.mail("ana").encode())
        .replace(b"Date:", b"In-Reply-To: %s\r\nDate:" % message_id.encode())
    )
    company.receive("ana", raw=forged)
    ids = {mail["subject"]: mail["id"] for mail in company.mails("ana")}
    company.post(
        f"users/{company.mail('ana')}/messages/{ids['Re: Hello']}/move", {"destinationId": where}
    )
    copy = copy_of(client_, message_id)
    assert copy.replied_at is None
    assert copy.forwarded_at is None
