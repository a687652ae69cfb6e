"""An incident is named by a sentence of facts, which no sender writes and no subject breaks."""

from __future__ import annotations

import io
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command

from incidents.models import Incident
from incidents.observations import Reason
from incidents.opening import refresh_incident
from incidents.retitling import retitle, title_now
from incidents.tasks import follow_titles
from incidents.titles import (
    _TELLING,
    BORROWED_FIRM,
    BORROWED_PERSON,
    BORROWED_VENDOR,
    KIND_WORDS,
    LONGEST,
    NAMED_BRAND,
    Clues,
    title_of,
)
from incidents.words import Verdict
from tenants.models import Mailbox
from tenants.scope import maintenance_scope
from tests.factories import gateway_saw, mail_json, mailbox_saw
from tests.incidents.test_story import cfo, fraud, scope, tell  # noqa: F401

HOSTILE = "\u202eMicrosoft\x00\n<script>alert(1)</script> " + "W" * 400


def said(kind, *codes, to=2, inboxes=0, layers=(), **clues) -> str:
    counts = {"messages": 3, "recipients": to, "was_exposed": inboxes}
    return title_of(kind, layers, counts, Clues(codes, **clues))


def test_a_fraud_says_in_whose_name_and_to_how_many():
    assert said("bec", "impersonates_vip", person="CFO") == "Fraud in the CFO's name to 2 people"
    assert said("bec", "impersonates_vip", person="Karla Berg", to=1) == (
        "Fraud in Karla Berg's name to 1 person"
    )
    assert said("bec", "impersonates_title", inboxes=2) == (
        "Fraud in an executive's name to 2 people"
    )
    assert said("bec", "lookalike_vendor_domain") == (
        "Fraud in the name of a known supplier to 2 people"
    )
    assert said("bec", "account_changed") == "Fraud with a changed bank account to 2 people"
    assert said("bec", "thread_joined_by_stranger") == (
        "Fraud that joins an earlier conversation to 2 people"
    )


def test_a_phish_says_as_whom_it_poses_and_how_many_inboxes_it_reached():
    assert said("phish", "brand_in_name", brand="Microsoft", inboxes=14) == (
        "Phishing that poses as Microsoft, 14 inboxes"
    )
    assert said("phish", "poses_as_own_desk", inboxes=1) == (
        "Phishing in the firm's own name, 1 inbox"
    )
    assert said("phish", "internal_lure", layers=["internal_only"], inboxes=4) == (
        "Phishing from a mailbox inside, 4 inboxes"
    )
    assert said("phish", "holds_code") == "Phishing with a QR code to 2 people"


def test_the_other_kinds_say_what_is_known():
    assert said("malware", "program_in_archive") == "Malware in an attached archive to 2 people"
    assert said("spam", domain="win.example", inboxes=3) == "Spam from win.example, 3 inboxes"
    assert said("unscannable", domain="x.example") == "Unscannable mail from x.example to 2 people"
    assert said("suspicious") == "Suspicious mail to 2 people"
    assert said("account") == "An account at risk, its mail went to 2 people"
    assert said("health", domain="x.example") == "Mail around the gateway, 3 mails"


def test_no_title_is_longer_than_a_row_shows_uncut():
    counts = dict.fromkeys(("messages", "recipients", "was_exposed"), 99_999)
    codes = [
        *({code} for code in BORROWED_PERSON | BORROWED_FIRM | BORROWED_VENDOR | NAMED_BRAND),
        *({code} for code, _ in _TELLING),
        set(),
    ]
    wide = "W" * 400
    for kind, each, text in itertools.product(KIND_WORDS, codes, ("", wide, HOSTILE)):
        title = title_of(kind, [], counts, Clues(each, text, text, f"{text[:26].lower()}.example"))
        assert 0 < len(title) <= LONGEST, title


def test_what_a_sender_wrote_does_not_get_into_it():
    assert said("phish", domain=HOSTILE) == "Phishing to 2 people"
    assert said("phish", "brand_in_name", brand=HOSTILE).isprintable()


@pytest.mark.parametrize("kind", Incident.Kind.values)
def test_every_kind_has_its_words(kind):
    assert KIND_WORDS[kind]


def test_it_is_made_of_what_is_on_record_and_keeps_the_subject_beside_it(cfo):  # noqa: F811
    tell(cfo, *fraud(cfo))
    with scope(cfo):
        incident = Incident.objects.get()
    assert incident.title == "Fraud in the CFO's name to 2 people"
    assert incident.subject == "Urgent payment today"


def test_it_follows_the_facts(cast):
    brand = (Reason("brand_in_name", "It names Microsoft.", "Microsoft", 3.0),)
    facts = mail_json(subject=HOSTILE[:200])

    def seen(whom):
        common = {"mail": facts, "internet_message_id": "<b@evil.example>"}
        ulid = f"01J00000000000000000{whom[:4].upper()}00"
        judged = {"verdict": Verdict.PHISH, "reasons": brand, "trace_ulid": ulid}
        yield gateway_saw(cast.acme, whom, ulid=ulid, **common)
        yield mailbox_saw(cast.acme, whom, item=whom, **judged, **common)

    tell(cast, *seen("info@acme.example"))
    with scope(cast):
        assert Incident.objects.get().title == "Phishing that poses as Microsoft, 1 inbox"
    tell(cast, *seen("cfo@acme.example"))
    with scope(cast):
        incident = Incident.objects.get()
    assert incident.title == "Phishing that poses as Microsoft, 2 inboxes"
    assert "\n" not in incident.subject


def test_it_follows_the_kind_when_a_layer_takes_its_word_back(cast):
    common = {"internet_message_id": "<k@evil.example>", "item": "k", "mail": mail_json()}
    began = datetime.now(UTC) - timedelta(hours=1)
    for minute, (verdict, word) in enumerate(
        ((Verdict.MALWARE, "Malware"), (Verdict.PHISH, "Phishing"))
    ):
        said = {"verdict": verdict, "observed_at": began + timedelta(minutes=minute)}
        tell(cast, mailbox_saw(cast.acme, "info@acme.example", **said, **common))
        with scope(cast):
            incident = Incident.objects.get()
        assert (incident.kind, incident.title.split()[0]) == (verdict, word)


@pytest.mark.parametrize("state", ["new", "resolved"])
def test_an_open_one_is_named_anew_each_day_and_a_closed_one_when_asked(cfo, state):  # noqa: F811
    tell(cfo, *fraud(cfo))
    with scope(cfo):
        Incident.objects.update(state=state)
    with maintenance_scope():
        Mailbox.objects.filter(address="cfo@acme.example").update(job_title="Head of Sales")
    was = "Fraud in the CFO's name to 2 people"
    now = "Fraud in Karla Berg's name to 2 people"
    follow_titles()
    with scope(cfo):
        assert Incident.objects.get().title == (now if state == "new" else was)
    call_command("retitle", "acme", "--days", "36500", stdout=io.StringIO())
    with scope(cfo):
        assert Incident.objects.get().title == now
        assert retitle(cfo.acme.id) == 0


def test_one_whose_mail_went_elsewhere_says_so(cast):
    seen = {"verdict": Verdict.PHISH, "internet_message_id": "<e@evil.example>", "item": "e"}
    tell(cast, mailbox_saw(cast.acme, "info@acme.example", mail=mail_json(), **seen))
    with scope(cast):
        incident = Incident.objects.get()
        incident.memberships.all().delete()
        refresh_incident(incident)
        incident.refresh_from_db()
        assert incident.title == title_now(incident) == "Phishing; it went to another incident"
