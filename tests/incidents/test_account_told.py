"""An account's signs, settings and steps in the story, the report and the client's portal."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import ProgrammingError
from django.utils import translation

from api_bridge.accounts.models import AccountLook, AccountStep, MailboxSnapshot
from api_bridge.models import Connection
from console.queries.portal import access_shared_incident
from console.queries.story import _PLACES, story_of
from incidents.accounts import Sign, note_signs
from incidents.models import AccountSign, Incident
from incidents.reports.csv_file import render_csv
from incidents.reports.document import build_document
from incidents.reports.pdf_file import render_pdf
from incidents.signs import SIGNS
from incidents.story import tell_story
from incidents.story.account import RESULT_WORDS, RESULTS, STEPS
from incidents.story.lines import _FOR_CLIENT, Line
from incidents.words import Mark
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.incidents.test_reports import text_of

BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
CFO = "cfo@acme.example"
# What the mail host has on record: the provider reads it, and the report shows it.
PLACE = "Signed in from Lagos, NG (198.51.100.7) by IMAP; before it was DE."
RULE = "“.” moves mail with “invoice” to RSS Feeds."
NOTE = "She phoned, it was not her."


def at(minutes: int) -> datetime:
    return BEGAN + timedelta(minutes=minutes)


def sign(code: str, words: str, minutes: int) -> Sign:
    raw = {"ip": "198.51.100.7", "n": minutes}
    return Sign(code=code, key=code, words=words, source="Sign-ins", at=at(minutes), raw=raw)


def step(incident: Incident, mailbox: Mailbox, kind: str, state: str, n: int, **more: Any):
    made = AccountStep.objects.create(
        tenant_id=incident.tenant_id,
        incident=incident,
        mailbox=mailbox,
        kind=kind,
        state=state,
        asked_by="Ana",
        reason=NOTE,
        words="Read back: signing in is off.",
        before={"accountEnabled": True},
        called_at=at(n + 1),
        finished_at=None if state in AccountStep.OPEN else at(n + 2),
        **more,
    )
    AccountStep.objects.filter(id=made.id).update(asked_at=at(n))
    return made


@pytest.fixture
def taken(cast: Cast) -> Incident:
    """A rule and a sign-in, a setting that changed, a step that was taken back, one that failed."""
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        mailbox = Mailbox.objects.get(tenant=cast.acme, address=CFO)
        link = Connection.objects.create(tenant=cast.acme, kind="graph")
        off = [{"what": "risk", "words": "Risky users are not looked at."}]
        AccountLook.objects.create(tenant=cast.acme, connection=link, off=off)
        signs = [sign("new_country", PLACE, 0), sign("hides_money", RULE, 10)]
        incident = note_signs(cast.acme, CFO, signs, threshold=60)
        assert incident is not None
        for minutes in (-60 * 24 * 60, 9):  # the first is long before
            MailboxSnapshot.objects.create(
                tenant=cast.acme,
                mailbox=mailbox,
                digest="d" * 64,
                content={},
                changes=["A rule was added."],
                taken_at=at(minutes),
            )
        disabled = step(incident, mailbox, "disable", "verified", 20)
        step(incident, mailbox, "enable", "verified", 30, undoes=disabled)
        step(incident, mailbox, "disable_rule", "failed", 40, label=RULE, target="r1")
        Incident.objects.filter(id=incident.id).update(
            shared_at=at(50), shared_by="Ana", opened_at=at(11)
        )
        return Incident.objects.select_related("tenant").get(id=incident.id)


def of_staff(cast: Cast):
    return tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id)


def document_of(cast: Cast, incident: Incident, audience: str = "internal") -> dict[str, Any]:
    with of_staff(cast):
        return build_document(incident, audience=audience, created_by="Ana")


# Source, lane, mark and what the sentence begins with, in the order of time.
LINES = [
    ("sign", "mailbox", "derived", "A sign-in from a country that is new for it. Signed in from"),
    ("snapshot", "mailbox", "derived", "Its settings were read, and differ from before: A rule"),
    ("sign", "mailbox", "derived", f"A rule hides mail about money or security. {RULE}"),
    ("step-order", "action", "observed", f"Ana ordered: Switch off signing in. Reason: {NOTE}"),
    ("step", "action", "observed", "Switch off signing in: done and read back. Read back"),
    ("step-order", "action", "observed", "Ana ordered, to take a step back: Switch signing in on"),
    ("step", "action", "observed", "Switch signing in on again: done and read back. Read back"),
    ("step-order", "action", "observed", f"Ana ordered: Switch the rule off. {RULE}"),
    ("step", "action", "observed", "Switch the rule off: failed. Read back"),
]


def test_the_story_tells_each_in_the_order_of_time(cast: Cast, taken: Incident):
    with of_staff(cast):
        story = tell_story(taken)
        page = story_of(taken)
    told = [line for line in story.lines if not line.source.startswith("audit:")]
    assert [line.at for line in told] == sorted(line.at for line in told)
    for line, (source, lane, mark, words) in zip(told, LINES, strict=True):
        assert (line.source.partition(":")[0], line.lane, line.mark) == (source, lane, mark)
        assert f"{line.lead} {line.text}".startswith(words)
        assert line.recipients == (CFO,)
    assert "Of accounts: Risky users are not looked at." in story.not_checked
    assert all(event.href for event in page.events)
    assert len({event.key for event in page.events}) == len(page.events)


def test_the_headline_says_how_much_and_what_is_done_now(cast: Cast, taken: Incident):
    """What was taken back is not so any more."""
    with of_staff(cast):
        step(taken, Mailbox.objects.get(address=CFO), "revoke_sessions", "verified", 45)
        above = tell_story(taken).headline
    assert above.startswith("An account at risk at Acme: a rule hides mail about money")
    assert above.endswith(f"Two signs of other hands: {CFO}. Its sessions were ended.")


def test_what_failed_to_be_taken_back_is_still_so(cast: Cast, taken: Incident):
    with of_staff(cast):
        box = Mailbox.objects.get(address=CFO)
        off = step(taken, box, "forwarding_off", "verified", 45)
        step(taken, box, "forwarding_on", "failed", 46, undoes=off)
        assert tell_story(taken).headline.endswith("Forwarding is off.")
        step(taken, box, "forwarding_on", "verified", 47, undoes=off)
        assert "orwarding" not in tell_story(taken).headline


def test_what_signs_say_is_not_said_again_by_the_settings(cast: Cast, taken: Incident):
    words = "A rule named “.” moves mail with “x” to Notes."
    added = "Application “Fast Mail” was given Mail.Send; it stays when the password is changed."
    way = "New: way to sign in: phone (+84 1)."
    with of_staff(cast):
        MailboxSnapshot.objects.create(
            tenant=cast.acme,
            mailbox=Mailbox.objects.get(address=CFO),
            digest="e" * 64,
            content={},
            changes=[
                "A rule named “.” is new: it moves mail with “x” to Notes.",
                "New: application “Fast Mail” may act for this person: Mail.Send.",
                way,
            ],
            taken_at=at(15),
        )
        for code, said in (("hides_mail", words), ("mail_grant", added)):
            note_signs(cast.acme, CFO, [sign(code, said, 15)], threshold=60)
        lines = [line.text for line in tell_story(taken).lines]
    assert lines.count(way) == 1
    assert len([text for text in lines if "Notes" in text]) == 1
    assert len([text for text in lines if "Fast Mail" in text]) == 1


@pytest.mark.parametrize(("sender", "is_told"), [(CFO, True), ("ceo@acme.example", False)])
def test_what_the_account_sent_inside_is_named(
    cast: Cast, taken: Incident, sender: str, is_told: bool
):
    with of_staff(cast):
        sent = Incident.objects.create(
            tenant=cast.acme,
            number=77,
            title="Phishing from inside, 3 inboxes",
            kind=Incident.Kind.PHISH,
            severity="high",
            sender=sender,
            cross_layer=["internal_only"],
            counts={},
            first_seen_at=at(5),
            last_seen_at=at(5),
        )
        told = [line for line in tell_story(taken).lines if line.source == f"incident:{sent.id}"]
        hrefs = [each.href for each in story_of(taken).events if f"incident-{sent.id}" in each.key]
    assert [line.lead for line in told] == (["Its mail became incident #77."] if is_told else [])
    assert [str(sent.id) in href for href in hrefs] == ([True] if is_told else [])
    with tenant_scope(Role.PORTAL, [cast.acme.id]):
        assert not [each for each in tell_story(taken).lines if each.source.startswith("incident:")]
    assert "#77" not in json.dumps(document_of(cast, taken, "client"))


def test_every_kind_of_record_says_what_the_client_may_read_of_it():
    assert set(_FOR_CLIENT) - {"story"} == set(_PLACES)
    line = Line(at=at(0), lane="action", lead="Somebody did it.", text="", source="new:1")
    assert line.for_client() is None


def test_what_nobody_can_know_of_a_mailbox_in_other_hands_is_said(cast: Cast, taken: Incident):
    said = "Which mails somebody else opened or copied: no log of that is read."
    with of_staff(cast):
        assert said in tell_story(taken).not_checked
        AccountSign.objects.filter(incident=taken).update(code="stopped")
        assert said not in tell_story(taken).not_checked


def test_the_report_has_an_account_section_with_proof(cast: Cast, taken: Incident):
    account = document_of(cast, taken)["account"]
    assert [(row["code"], row["kind"]) for row in account["signs"]] == [
        ("new_country", "derived"),
        ("hides_money", "derived"),
    ]
    rows = [*account["signs"], *account["changes"], *account["steps"]]
    kinds = [row["evidence"].partition(":")[0] for row in rows]
    assert kinds == ["sign", "sign", "snapshot", "step", "step", "step"]
    assert all(len(row["record_sha256"]) == 64 for row in account["signs"])
    steps = account["steps"]
    assert [row["result"] for row in steps] == [
        "Done and read back",
        "Done and read back",
        "Failed",
    ]
    assert (steps[0]["taken_back_by"], steps[0]["taken_back_at"]) == (
        "Ana",
        steps[1]["finished_at"],
    )
    assert steps[1]["takes_back"] == steps[0]["evidence"]
    assert all(row["called_at"] and row["read_back"] and row["kept_sha256"] for row in steps)
    assert "1 of them taken back" in account["sentence"]


@pytest.mark.parametrize("audience", ["internal", "client"])
def test_pdf_csv_and_document_agree(cast: Cast, taken: Incident, audience: str):
    document, again = (document_of(cast, taken, audience) for _ in range(2))
    pdf, table = render_pdf(document), render_csv(document)
    assert (pdf, table) == (render_pdf(again), render_csv(again))
    text, account = text_of(pdf), document["account"]
    lines = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    assert [line["record"] for line in lines] == ["sign"] * 2 + ["setting"] + ["step"] * 3
    rows = [*account["signs"], *account["changes"], *account["steps"]]
    for row, line in zip(rows, lines, strict=True):
        assert line["evidence"] == row["evidence"]
        assert line["mark"] == row["kind"]
        said = [row.get(name, "") for name in ("words", "sign", "step", "result", "read_back")]
        # A page may end within a row, and long runs are given places to break.
        marks = [row["evidence"].rpartition("-")[2], line["sha256"][:24]]
        assert [word for word in [*marks, *" ".join(said).split()] if word not in text] == []
        assert str(row.get("words", "")) in line["words"]
        assert line["result"] == row.get("result", "")
    assert ("points" in account, "weight" in account["signs"][0]) == (audience == "internal",) * 2
    assert (NOTE in json.dumps(document), NOTE in text) == (audience == "internal",) * 2
    assert "points)" in text if audience == "internal" else "points" not in text


PORTAL = {
    "en": ["A rule hides mail about money or security.", "Ana ordered: Switch off signing in."],
    "de": [
        "Eine Regel versteckt E-Mails über Geld oder Sicherheit.",
        "Ana hat angeordnet: Anmelden",
    ],
    "fr": ["Une règle cache des messages sur l’argent", "Ana a ordonné : Bloquer la connexion."],
}


@pytest.mark.parametrize("language", PORTAL)
def test_the_client_reads_what_was_seen_and_done(cast: Cast, taken: Incident, language: str):
    with tenant_scope(Role.PORTAL, [cast.acme.id]), translation.override(language):
        shared = access_shared_incident(taken.id)
        story = story_of(shared.incident, is_plain=True)
    leads = [event.lead for event in story.events]
    assert len(leads) == len(LINES) - 1  # all but the settings
    for begin in PORTAL[language]:
        assert [lead for lead in leads if lead.startswith(begin)], leads
    shown = " ".join([*leads, *(f"{each.text} {each.note}" for each in story.events)])
    for ours in ("198.51.100.7", "Lagos", "RSS Feeds", NOTE, "Read back"):
        assert ours not in shown
    assert CFO.partition("@")[0] in shown
    if language != "en":
        assert "account at risk" not in shared.title + story.headline
        assert not any(lead in {f"{kind.words}." for kind in SIGNS.values()} for lead in leads)


@pytest.mark.parametrize(
    ("model", "hidden"),
    [
        (AccountSign, ["words", "raw", "weight", "source", "key"]),
        (AccountStep, ["words", "before", "reason", "label", "target"]),
    ],
)
def test_the_portal_reads_of_shared_incidents_and_no_more_columns(
    cast: Cast, taken: Incident, model: Any, hidden: list[str]
):
    def seen() -> int:
        with tenant_scope(Role.PORTAL, [cast.acme.id]):
            return len(model.objects.values_list("id", flat=True))

    assert seen() > 0
    for column in hidden:
        with pytest.raises(ProgrammingError), tenant_scope(Role.PORTAL, [cast.acme.id]):
            list(model.objects.values_list(column))
    with of_staff(cast):
        Incident.objects.filter(id=taken.id).update(shared_at=None)
    assert seen() == 0


def test_every_step_state_and_sign_has_its_words():
    assert set(STEPS) == set(AccountStep.Kind.values)
    assert set(RESULT_WORDS) == set(AccountStep.State.values)
    assert set(RESULTS) == set(AccountStep.State.values) - set(AccountStep.OPEN)
    assert {str(kind): str(AccountStep.Kind(kind).label) for kind in STEPS} == STEPS
    assert {kind.mark for kind in SIGNS.values()} == set(Mark)
