"""Harmless at delivery, judged again for 72 hours as more is known of it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from api_bridge.again import due, work
from api_bridge.again.due import STEPS, first_look, next_look
from api_bridge.errors import Temporary
from api_bridge.models import SeenItem
from incidents.intake import record
from incidents.models import Delivery, Incident, Message, Observation
from incidents.words import Layer, Outcome, Verdict
from tenants.doors import ClaimedWork
from tests.factories import gateway_saw, mail_json

LINK = "https://files.strange-host.example/s/aX7"
MAIL = (
    "From: Kim <kim@partner-firm.example>\r\nTo: {to}\r\nSubject: Minutes\r\n"
    "Message-ID: <{number}@partner-firm.example>\r\nDate: Mon, 30 Nov 2026 06:00:00 +0000\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    "Hello, the minutes of our meeting are here, as we agreed on the phone last week:\r\n"
    "{link}\r\nBest regards, Kim from the office in Springfield\r\n"
)


@pytest.fixture
def harmless(client_):
    """A mail of Kim's in Ana's mailbox that was judged clean as it came."""
    to = client_.company.mail("ana")
    raw = MAIL.format(to=to, number=1, link=LINK).encode()
    client_.company.receive("ana", raw=raw)
    client_.sync()
    client_.make_sense()
    (copy,) = client_.deliveries()
    assert copy.mailbox_verdict == Verdict.CLEAN
    return client_


def condemn(client, **changes) -> None:
    """The gateway condemns another mail of the client's, with the same link unless it says so."""
    word = {"address": "somebody@else.example", "name": "", "raw": ""}
    link = {
        "url": changes.pop("link", LINK),
        "host": "files.strange-host.example",
        "domain": "strange-host.example",
        "text": "",
        "seen": "",
        "where": "text",
        "rewriter": "",
    }
    sender = changes.pop("sender", word)
    links = [link] if link["url"] else []
    facts = mail_json(sender=sender, from_all=[sender], links=links, subject="Invoice")
    seen = gateway_saw(
        client.tenant,
        client.company.mail("bo"),
        ulid=changes.pop("ulid", "01J00000000000000000000009"),
        verdict=changes.pop("verdict", Verdict.PHISH),
        action=Outcome.HELD,
        internet_message_id=changes.pop("message_id", "<other@else.example>"),
        fingerprint=changes.pop("fingerprint", "9" * 64),
        observed_at=timezone.now(),
        mail=facts,
    )
    with client.scope():
        record([seen])
    client.make_sense()


def serve(client, *, is_due: bool = False):
    if is_due:
        with client.scope():
            SeenItem.objects.filter(again_at__isnull=False).update(again_at=timezone.now())
    return work.serve_again(ClaimedWork(client.tenant.id, client.tenant.provider_id, 1))


def judged(client) -> list[Observation]:
    seen = client.observations(layer=Layer.MAILBOX)
    return [each for each in seen if each.verdict is not None]


def test_nothing_became_known_and_nothing_is_told(harmless, monkeypatch):
    monkeypatch.setattr(work, "connector_of", None)  # no mail is read for it
    again = serve(harmless, is_due=True)
    assert len(judged(harmless)) == 1
    assert timedelta(minutes=50) < again - timezone.now() <= timedelta(hours=1)


def test_a_link_that_was_condemned_since_turns_the_verdict_and_says_so(harmless):
    condemn(harmless)
    serve(harmless)  # it was woken: nobody waits for the hour
    old, new = judged(harmless)
    assert (old.verdict, new.verdict) == (Verdict.CLEAN, Verdict.PHISH)
    assert (old.source, old.source_key) == (new.source, new.source_key)
    codes = {reason["code"]: reason for reason in new.reasons}
    assert "since_link_condemned" in codes
    assert codes["since_link_condemned"]["text"].startswith("Since it was judged, other mail")
    assert (new.detail["was"], len(new.detail["known_since"]) >= 1) == (Verdict.CLEAN, True)
    assert new.evidence  # the original was read again, and is kept
    harmless.make_sense()
    with harmless.scope():
        copy = Delivery.objects.get(recipient=harmless.company.mail("ana"))
        incident = Incident.objects.get(memberships__message=copy.message_id)
    assert (copy.mailbox_verdict, incident.kind) == (Verdict.PHISH, "phish")
    serve(harmless, is_due=True)
    assert len(judged(harmless)) == 2  # told once


def test_every_mail_of_a_large_batch_wakes_what_shares_something_with_it(harmless, monkeypatch):
    condemn(harmless)
    with harmless.scope():
        last = Message.objects.get(subject="Invoice").id
        SeenItem.objects.filter(again_at__isnull=False).update(
            again_at=timezone.now() + timedelta(hours=1)
        )
        monkeypatch.setattr(due, "WOKEN_BY_AT_ONCE", 1)
        due.wake_for(harmless.tenant.id, [*(UUID(int=n) for n in range(3)), last])
        assert SeenItem.objects.filter(again_at__lte=timezone.now()).exists()


def test_the_same_content_condemned_elsewhere_turns_it_too(harmless):
    (first,) = judged(harmless)
    condemn(harmless, link="", fingerprint=first.fingerprint)
    serve(harmless)
    codes = {reason["code"] for reason in judged(harmless)[-1].reasons}
    assert "since_same_content_condemned" in codes


def test_what_else_the_sender_sent_turns_it_too(harmless):
    kim = {"address": "kim@partner-firm.example", "name": "Kim", "raw": "Kim"}
    condemn(harmless, link="", sender=kim)
    serve(harmless)
    codes = {reason["code"] for reason in judged(harmless)[-1].reasons}
    assert {"since_sender_condemned", "since_sender_domain_condemned"} <= codes


def test_a_mail_that_cannot_be_had_is_judged_by_what_is_stored(harmless, monkeypatch):
    condemn(harmless)

    class Away:
        def fetch(self, ref):
            raise Temporary("away")

    monkeypatch.setattr(work, "connector_of", lambda wired: Away())
    serve(harmless)
    assert [each.verdict for each in judged(harmless)] == [Verdict.CLEAN, Verdict.PHISH]
    assert judged(harmless)[1].evidence == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": Verdict.SPAM},
        {"link": "https://files.strange-host.example.other.example/s"},
        {"verdict": Verdict.CLEAN},
    ],
    ids=["spam is not grave", "another link", "harmless"],
)
def test_what_proves_nothing_changes_nothing(harmless, changes):
    condemn(harmless, **changes)
    serve(harmless, is_due=True)
    assert [each.verdict for each in judged(harmless)] == [Verdict.CLEAN]


def test_what_much_harmless_mail_shares_proves_nothing(harmless):
    for number in range(4):
        condemn(
            harmless,
            verdict=Verdict.CLEAN,
            ulid=f"01J0000000000000000000001{number}",
            message_id=f"<c{number}@else.example>",
        )
    condemn(harmless)
    serve(harmless, is_due=True)
    assert [each.verdict for each in judged(harmless)] == [Verdict.CLEAN]


def test_what_was_condemned_before_it_came_was_known_when_it_was_judged(harmless):
    condemn(harmless)
    with harmless.scope():
        Delivery.objects.filter(recipient=harmless.company.mail("ana")).update(
            mailbox_at=timezone.now() + timedelta(seconds=1)
        )
    serve(harmless, is_due=True)
    assert len(judged(harmless)) == 1


def test_a_process_that_dies_loses_no_look(harmless, monkeypatch):
    condemn(harmless)

    def die(*args):
        raise SystemExit("killed")

    with monkeypatch.context() as patched:
        patched.setattr(work, "_judge_again", die)
        with pytest.raises(SystemExit):
            serve(harmless)
    with harmless.scope():
        (row,) = SeenItem.objects.filter(again_at__isnull=False)
    assert row.again_at is not None
    assert row.again_at <= timezone.now() + work.LEASE
    serve(harmless, is_due=True)
    assert len(judged(harmless)) == 2


def test_a_mail_at_which_judging_fails_holds_up_no_batch(harmless, monkeypatch):
    condemn(harmless)

    def fail(*args):
        raise ValueError("a mail that nobody has thought of")

    monkeypatch.setattr(work, "_judge_again", fail)
    again = serve(harmless)
    with harmless.scope():
        (row,) = SeenItem.objects.filter(again_at__isnull=False)
    assert row.again_at == again == row.received_at + STEPS[0], "its next look, not the next try"


def test_the_steps_are_1_6_24_and_72_hours_and_then_never():
    came = timezone.now()
    asked = [came, *(came + step for step in STEPS)]
    assert [next_look(came, at) for at in asked] == [*(came + step for step in STEPS), None]
    assert first_look(Verdict.PHISH, came, came) is None
    assert first_look(None, came, came) is None
    assert first_look(Verdict.SUSPICIOUS, came, came) == came + STEPS[0]
