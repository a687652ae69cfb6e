"""From a mail in the report mailbox to its incident, its receipt and its outcome."""

from __future__ import annotations

from typing import Any

import pytest

from incidents.client_words import REQUESTS
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import (
    ClientWord,
    Delivery,
    Incident,
    LedgerEntry,
    Observation,
    UserReport,
)
from incidents.notices import address_of
from incidents.reported import report_mail
from incidents.services import reopen_incident, resolve_incident
from incidents.story import tell_story
from incidents.userreports import telling
from incidents.userreports.terms import set_terms
from incidents.words import Outcome, Place, Verdict
from tenants.doors import ClaimedWork
from tenants.models import Mailbox, OutgoingMail, Tenant, Work
from tenants.outbox import post, serve_outbox
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw
from tests.incidents.userreports.mails import (
    arrived,
    come,
    lure,
    more_people,
    report,
    the_incident,
    work,
    worker,
)

INFO, IT = "info@acme.example", "it@acme.example"


@pytest.fixture
def acme(cast: Cast) -> Tenant:
    return cast.acme


def sent(tenant: Tenant, kind: str) -> list[str]:
    with worker(tenant):
        rows = OutgoingMail.objects.filter(kind=kind).order_by("to_address", "created_at")
        return list(rows.values_list("to_address", flat=True))


def resolve(tenant: Tenant, cast: Cast, classification: str = "true_positive") -> None:
    incident = the_incident(tenant)
    with worker(tenant):
        resolve_incident(
            incident=incident, actor=cast.ana, classification=classification, cause="Looked at it."
        )
    work(tenant)


def test_fifty_reports_of_one_campaign_are_one_incident(acme: Tenant, cast: Cast):
    people = more_people(acme, 50)
    arrived(acme, *people)
    for whom in people:
        come(acme, report(whom, lure(whom)))
    work(acme)
    incident = the_incident(acme)
    with worker(acme):
        assert Observation.objects.filter(layer="person").count() == 50
        assert set(Delivery.objects.values_list("person_verdict", flat=True)) == {"suspicious"}
        assert set(UserReport.objects.values_list("state", "found")) == {("placed", "message_id")}
        assert set(LedgerEntry.objects.values_list("counted_as", flat=True)) == {"person_only"}
    assert incident.counts["copies"] == 50
    assert sent(acme, "receipt") == sorted(people)
    assert sent(acme, "outcome") == []
    resolve(acme, cast)
    assert sent(acme, "outcome") == sent(acme, "receipt") == sorted(people)


def test_the_same_item_read_twice_is_one_report(acme: Tenant):
    arrived(acme, INFO)
    for _ in range(2):
        come(acme, report(INFO, lure(INFO)))
        work(acme)
    assert sent(acme, "receipt") == [INFO]
    with worker(acme):
        assert UserReport.objects.count() == 1


@pytest.mark.parametrize(
    ("headers", "trust", "state"),
    [
        (["Auto-Submitted: auto-replied"], "own", "placed"),
        (["Precedence: bulk"], "own", "placed"),
        (["Return-Path: <>"], "own", "placed"),
        ([], "outside", "ignored"),
        ([], "forged", "ignored"),
    ],
)
def test_nobody_answers_machines_outsiders_and_forgeries(
    acme: Tenant, headers: list[str], trust: str, state: str
):
    arrived(acme, INFO)
    come(acme, report(INFO, lure(INFO), headers=headers), trust=trust)
    work(acme)
    assert sent(acme, "receipt") == []
    with worker(acme):
        row = UserReport.objects.get()
        assert (row.state, bool(row.evidence)) == (state, trust == "own")
        assert Incident.objects.exists() == (trust == "own")
        assert bool(row.unanswered or row.trust_why)


def test_an_address_that_is_no_mailbox_of_the_client_is_an_outsider(acme: Tenant):
    come(acme, report("nobody@acme.example", lure("nobody@acme.example")))
    work(acme)
    with worker(acme):
        row = UserReport.objects.get()
        assert (row.trust, row.state) == ("outside", "ignored")
        assert row.trust_why == "No mailbox of the client has this address."
    assert sent(acme, "receipt") == []


def test_what_answers_or_reports_our_own_mail_starts_nothing(acme: Tenant):
    with worker(acme):
        post(tenant_id=acme.id, event="e", kind="receipt", to=IT, subject="s", text="t")
        ours = OutgoingMail.objects.get().message_id
    come(acme, report(INFO, headers=[f"In-Reply-To: {ours}"], text="Thanks", subject="Re: s"))
    mail = lure(INFO).replace(b"<1@evil.example>", ours.encode())
    come(acme, report(INFO, mail), key="second")
    work(acme)
    with worker(acme):
        assert set(UserReport.objects.values_list("state", flat=True)) == {"ignored"}
        assert not Incident.objects.exists()
    assert sent(acme, "receipt") == [IT]


def test_a_rule_that_passes_on_our_receipt_starts_no_loop(acme: Tenant, settings):
    settings.DEFAULT_FROM_EMAIL = "Bailey <bailey@keep.example>"
    arrived(acme, INFO)
    come(acme, report(INFO, lure(INFO)))
    work(acme)
    subject = "We have your report, thank you"
    text = f"From: bailey@keep.example\r\nSubject: {subject}\r\n\r\nHello"
    # Before a layer has seen the receipt, and after it.
    come(acme, report(INFO, subject=f"FW: {subject}", text=text), key="early")
    work(acme)
    with worker(acme):
        ours = OutgoingMail.objects.get().message_id
        facts = {"subject": subject, "sender": {"address": "bailey@keep.example", "name": ""}}
        seen = {"internet_message_id": ours, "fingerprint": "a" * 32, "trace_ulid": ""}
        told = mailbox_saw(acme, INFO, mail=mail_json(**facts), trace_state="missing", **seen)
        record([told])
        make_sense_of_backlog(acme)
    come(acme, report(INFO, subject=f"FW: {subject}", text=text), key="late")
    work(acme)
    assert sent(acme, "receipt") == [INFO]
    with worker(acme):
        rows = UserReport.objects.order_by("taken_at").values_list("state", flat=True)
        assert list(rows) == ["placed", "missing", "ignored"]


def test_one_mailbox_gets_ten_answers_a_day(acme: Tenant):
    arrived(acme, INFO)
    for n in range(telling.MOST_A_DAY + 2):
        come(acme, report(INFO, lure(INFO)), key=f"k{n}")
    work(acme)
    assert len(sent(acme, "receipt")) == telling.MOST_A_DAY
    with worker(acme):
        left = UserReport.objects.exclude(unanswered="").values_list("unanswered", flat=True)
        assert list(left) == ["It had 10 answers within 24 hours."] * 2


def test_terms_without_answers_and_the_report_mailbox_itself(acme: Tenant, cast: Cast):
    arrived(acme, INFO, IT)
    with worker(acme):
        Mailbox.objects.filter(address=IT).update(external_id="x")
        set_terms(tenant=acme, actor=cast.ana, mailbox=IT)
    come(acme, report(IT, lure(IT)))
    work(acme)
    with worker(acme):
        set_terms(tenant=acme, actor=cast.ana, answers=False)
    come(acme, report(INFO, lure(INFO)))
    work(acme)
    assert sent(acme, "receipt") == []


def test_a_mail_that_is_passed_on_in_the_text_is_found_by_its_subject(acme: Tenant):
    arrived(acme, INFO)
    text = "Is this ours?\r\n\r\nVon: Eve <eve@evil.example>\r\nBetreff: Invoice 4711\r\n\r\nHi"
    come(acme, report(INFO, subject="WG: Invoice 4711", text=text))
    work(acme)
    with worker(acme):
        row = UserReport.objects.get()
        assert (row.state, row.found, row.words) == ("placed", "subject", "Is this ours?")
        assert Incident.objects.count() == 1


@pytest.mark.parametrize(
    ("subject", "text", "why"),
    [
        ("Fwd: Holiday", "see below", "No mail of the last week has the subject"),
        ("Hello", "I clicked something", "No mail is attached or passed on in it."),
    ],
)
def test_a_report_without_its_mail_asks_for_it(acme: Tenant, subject: str, text: str, why: str):
    arrived(acme, INFO)
    come(acme, report(INFO, subject=subject, text=text))
    work(acme)
    with worker(acme):
        row = UserReport.objects.get()
        assert row.state == "missing"
        assert row.found_why.startswith(why)
        assert not Incident.objects.exists()
    assert sent(acme, "receipt") == [INFO]


def test_a_mail_that_no_layer_has_seen_becomes_a_copy_with_its_evidence(acme: Tenant):
    (row,) = come(acme, report(INFO, lure(INFO)))
    work(acme)
    with worker(acme):
        assert UserReport.objects.get().state == "said"  # the layers may still tell of it
    work(acme, is_patient=True)
    with worker(acme):
        copy = Delivery.objects.select_related("message").get()
        assert (copy.recipient, copy.message.subject) == (INFO, "Invoice 4711")
        assert copy.message.evidence == row.evidence != ""
        now = UserReport.objects.get()
        assert (now.state, now.found, now.delivery_id) == ("placed", "attached", copy.id)
        assert Incident.objects.count() == 1


def test_what_staff_has_said_stands_and_a_closed_incident_is_told_of_at_once(
    acme: Tenant, cast: Cast
):
    arrived(acme, INFO, IT)
    come(acme, report(INFO, lure(INFO)))
    work(acme)
    with worker(acme):
        message = Delivery.objects.get(recipient=INFO).message
        report_mail(message=message, actor=cast.ana, verdict="clean", reason="Our supplier.")
    work(acme)
    resolve(acme, cast, "benign")
    come(acme, report(INFO, lure(INFO)), key="again")
    work(acme)
    with worker(acme):
        assert Delivery.objects.get(recipient=INFO).person_verdict == "clean"
        assert set(UserReport.objects.values_list("outcome", flat=True)) == {"harmless"}
        assert not UserReport.objects.filter(outcome_at=None).exists()
    assert sent(acme, "outcome") == [INFO]


def test_an_outcome_that_changed_is_told_again_and_never_twice(acme: Tenant, cast: Cast):
    arrived(acme, INFO)
    come(acme, report(INFO, lure(INFO)))
    work(acme)
    said = (("benign", 1), ("benign", 1), ("true_positive", 2), ("benign", 3))
    for classification, times in said:
        resolve(acme, cast, classification)
        assert len(sent(acme, "outcome")) == times
        incident = the_incident(acme)
        with worker(acme):
            reopen_incident(incident=incident, actor=cast.ana, reason="Look again.")


def test_an_answer_that_was_not_sent_is_not_on_record_as_told(
    acme: Tenant, cast: Cast, monkeypatch
):
    monkeypatch.setattr(telling, "MOST_A_DAY", 1)
    arrived(acme, INFO)
    come(acme, report(INFO, lure(INFO)))
    work(acme)
    resolve(acme, cast, "benign")

    def told() -> tuple[Any, ...]:
        with worker(acme):
            row = UserReport.objects.get()
            lines = [each.lead for each in tell_story(the_incident(acme)).lines]
        leads = [lead for lead in lines if lead.startswith("Bailey told")]
        return row.outcome, row.outcome_at, row.unanswered, leads

    first = told()
    assert first[0] == "harmless"
    with worker(acme):
        reopen_incident(incident=the_incident(acme), actor=cast.ana, reason="Look again.")
    resolve(acme, cast, "true_positive")
    assert sent(acme, "outcome") == [INFO]
    assert told() == (*first[:2], "It had 1 answers within 24 hours.", first[3])
    assert len(first[3]) == 1
    monkeypatch.undo()
    with worker(acme):
        reopen_incident(incident=the_incident(acme), actor=cast.ana, reason="Look again.")
    resolve(acme, cast, "true_positive")
    assert sent(acme, "outcome") == [INFO, INFO]
    outcome, _, unanswered, _ = told()
    assert outcome != "harmless"
    assert unanswered == "", "it is told by now"


def test_not_junk_clears_nothing(acme: Tenant):
    arrived(acme, INFO)
    come(acme, report(INFO, lure(INFO), subject="Not junk: Invoice"))
    work(acme)
    with worker(acme):
        assert Delivery.objects.get().person_verdict == ""
        assert not Incident.objects.exists()
        assert UserReport.objects.get().state == "placed"


def test_held_mail_that_is_reported_as_not_junk_is_asked_for_once(acme: Tenant):
    with worker(acme):
        held = {"verdict": Verdict.PHISH, "action": Outcome.HELD, "place": Place.HOLD}
        record([gateway_saw(acme, INFO, **held)])
        make_sense_of_backlog(acme)
    for key in ("one", "two"):
        come(acme, report(INFO, lure(INFO), subject="2|Invoice", text="We know them"), key=key)
    work(acme)
    with worker(acme):
        wish = ClientWord.objects.get()
        assert (wish.kind, wish.source, wish.text) == ("release", "report", "We know them")
        assert wish.delivery == Delivery.objects.get()
        assert address_of(wish) == INFO
        assert Work.objects.get(queue=REQUESTS).wanted_at is not None


@pytest.mark.parametrize(
    ("kind", "classification", "says"),
    [
        ("phish", "true_positive", "It was phishing"),
        ("bec", "true_positive", "It was fraud"),
        ("malware", "true_positive", "harmful software"),
        ("spam", "true_positive", "It was spam"),
        ("suspicious", "true_positive", "It was a threat"),
        ("phish", "benign", "it is harmless"),
        ("malware", "false_positive", "it is harmless"),
    ],
)
def test_the_outcome_says_what_it_was(kind: str, classification: str, says: str):
    incident = Incident(kind=kind, classification=classification)
    _, said, advice = telling.words_of(telling.outcome_of(incident))
    assert says in said
    assert advice


def test_what_reporters_are_sent_names_the_mail_and_carries_no_link_of_it(
    acme: Tenant, cast: Cast, mailoutbox
):
    mail = lure(INFO).replace(b"Invoice 4711", b"See https://evil.example/x now")
    come(acme, report(INFO, mail))
    work(acme, is_patient=True)
    resolve(acme, cast)
    serve_outbox(ClaimedWork(acme.id, cast.provider.id, 1))
    receipt, outcome = mailoutbox
    assert (receipt.to, outcome.to) == ([INFO], [INFO])
    assert receipt.subject == "We have your report, thank you"
    assert outcome.subject == "The mail that you reported was a threat"
    assert "You were right. It was a threat." in outcome.body
    for each in mailoutbox:
        assert "https[:]//evil[.]example/x" in each.body
        assert "https://" not in each.body
        assert each.extra_headers["Auto-Submitted"] == "auto-generated"


def test_who_called_a_threat_harmless_is_told_what_it_was_and_not_that_she_was_right(
    acme: Tenant, cast: Cast, mailoutbox
):
    arrived(acme, INFO, IT)
    come(acme, report(INFO, lure(INFO), subject="2|Invoice"))
    come(acme, report(IT, lure(IT)))
    work(acme)
    with worker(acme):
        message = Delivery.objects.get(recipient=INFO).message
        report_mail(message=message, actor=cast.ana, verdict="phish", reason="It asks for money.")
        make_sense_of_backlog(acme)
    resolve(acme, cast)
    serve_outbox(ClaimedWork(acme.id, cast.provider.id, 1))
    told = {mail.to[0]: mail.body for mail in mailoutbox if "was phishing" in mail.subject}
    assert "You were right." not in told[INFO]
    assert "It was phishing" in told[INFO]
    assert "You were right. It was phishing" in told[IT]
