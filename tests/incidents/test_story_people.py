"""What readers did, and what they said of it, is told once, plainly, and as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Backlog, Disagreement, Incident
from incidents.observations import Reason
from incidents.services import resolve_incident
from incidents.story import Story, tell_story
from incidents.words import Layer, Outcome, Place, Verdict
from tenants.scope import Role, tenant_scope
from tests.factories import gateway_saw, mail_json, mailbox_saw

BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
IT, INFO = "it@acme.example", "info@acme.example"
LINK = {"url": "https://a.example/x", "host": "a.example", "domain": "a.example"}
ZIP = {"name": "a.zip", "claimed_type": "application/zip", "kind": "zip", "size_bytes": 9}
ZIP |= {"sha256": "1" * 64, "is_inline": False, "members": [], "flags": []}


def after(seconds):
    return BEGAN + timedelta(seconds=seconds)


def tell(cast, *seen) -> Story:
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record(seen)
        make_sense_of_backlog(cast.acme)
        return tell_story(Incident.objects.select_related("tenant").get())


def sentences(story):
    return [f"{line.lane}: {line.lead} {line.text}".strip() for line in story.lines]


def inbox(cast, whom, *, at=5, **changes):
    fields: dict[str, Any] = {"verdict": Verdict.CLEAN, "confidence": 0.99, "reasons": ()}
    fields |= {"item": f"item-{whom}", "observed_at": after(at)}
    return mailbox_saw(cast.acme, whom, **(fields | changes))


def reported(cast, whom, said="phish", words="", *, at=90):
    verdict = None if said == "not_junk" else Verdict.SUSPICIOUS
    return mailbox_saw(
        cast.acme,
        whom,
        item=f"item-{whom}",
        layer=Layer.PERSON,
        source=f"report:{whom}",
        source_key=f"r-{whom}",
        observed_at=after(at),
        verdict=verdict,
        confidence=None,
        reasons=(Reason("said_by_reader", f"{whom} reported it: {said}.", words),),
        detail={"report": "1", "said": said},
        place=None,
        is_read=None,
    )


def read(cast, whom, *, at=100):
    return inbox(cast, whom, at=at, verdict=None, confidence=None, is_read=True)


@pytest.mark.parametrize(
    ("said", "lead"),
    [
        ("phish", "it@ reported it as phishing."),
        ("junk", "it@ reported it as spam."),
        ("unsure", "it@ reported it."),
    ],
)
def test_a_report_says_what_its_reporter_said_in_her_words(cast, said, lead):
    story = tell(cast, inbox(cast, IT), reported(cast, IT, said, "Not one of {ours}."))
    assert f"person: {lead} “Not one of {{ours}}.”" in sentences(story)


def test_a_report_without_words_repeats_nothing(cast):
    story = tell(cast, inbox(cast, IT), reported(cast, IT))
    assert "person: it@ reported it as phishing." in sentences(story)


def test_who_reported_it_before_the_read_mark_was_seen_had_read_it_then(cast):
    seen = [inbox(cast, IT), reported(cast, IT), read(cast, IT)]
    people = [each for each in sentences(tell(cast, *seen)) if each.startswith("person")]
    assert people == ["person: it@ read it and reported it as phishing."]


def test_the_headline_counts_who_reported_it(cast):
    told = tell(cast, inbox(cast, IT), inbox(cast, INFO), reported(cast, IT), reported(cast, INFO))
    assert told.headline.endswith("Two people reported it.")
    assert "Nobody has read it" not in told.headline


def test_who_read_it_before_is_told_so_first(cast):
    seen = [inbox(cast, IT), read(cast, IT, at=50), reported(cast, IT)]
    people = [each for each in sentences(tell(cast, *seen)) if each.startswith("person")]
    assert [each.partition(".")[0] for each in people] == [
        "person: it@ read it",
        "person: it@ reported it as phishing",
    ]


@pytest.mark.parametrize(
    ("holds", "words"),
    [
        ({}, "Seen by the read mark."),
        ({"links": [LINK]}, "whether a link was opened is not known."),
        ({"attachments": [ZIP]}, "whether an attachment was opened is not known."),
        (
            {"links": [LINK], "attachments": [ZIP]},
            "whether a link or an attachment was opened is not known.",
        ),
    ],
)
def test_of_who_read_it_only_that_is_open_which_the_mail_holds(cast, holds, words):
    seen = inbox(cast, IT, verdict=Verdict.PHISH, mail=mail_json(**holds))
    [line] = [each for each in tell(cast, seen, read(cast, IT)).lines if each.lane == "person"]
    assert line.lead == "it@ read it."
    assert line.text.endswith(words)
    assert line.text.startswith("Seen by the read mark")


def test_who_answered_malware_may_have_opened_the_file(cast):
    told = inbox(cast, IT, verdict=Verdict.MALWARE)
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record([told])
        make_sense_of_backlog(cast.acme)
        incident = Incident.objects.select_related("tenant").get()
        [copy] = [m for each in incident.memberships.all() for m in each.message.deliveries.all()]
        copy.replied_at, copy.replied_by = after(60), uuid4()
        copy.save(update_fields=["replied_at", "replied_by"])
        told_of = sentences(tell_story(incident))
    assert "person: it@ replied. Whether the file was opened is not known." in told_of


def test_a_reason_that_speaks_against_the_verdict_is_none_of_it(cast):
    reasons = (
        Reason("program_in_archive", "The archive holds a program.", "", 8.0),
        Reason("plain_text", "The mail is plain text.", "", -0.83),
        Reason("noted", "It is on a Monday.", "", 0.0),
        Reason("attached_archive", "An archive is attached.", "", 0.76),
    )
    bad = inbox(cast, IT, verdict=Verdict.MALWARE, reasons=reasons)
    good = inbox(cast, INFO, reasons=(*reasons[1:], Reason("link", "It has a link.", "", 1.0)))
    told = sentences(tell(cast, bad, good))
    assert "mailbox: Judged malware (0.99): The archive holds a program." in told
    assert "mailbox: Judged clean (0.99): The mail is plain text." in told


def test_what_came_around_the_gateway_is_told_before_where_it_arrived(cast):
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        around = Reason("gateway_bypassed", "It came straight to the mailbox host.", "", 1.0)
        reasons = (Reason("program_in_archive", "The archive holds a program.", "", 8.0), around)
        record([inbox(cast, IT, verdict=Verdict.MALWARE, reasons=reasons)])
        make_sense_of_backlog(cast.acme)
        # No gate has confirmed its trace in time.
        Backlog.objects.update(wait_until=after(0))
        make_sense_of_backlog(cast.acme)
        told = tell_story(Incident.objects.select_related("tenant").get())
    assert told.lines[-2].text == "The archive holds a program."
    leads = [line.lead for line in told.lines]
    assert leads.index("Never saw it.") < leads.index("Arrived in the inbox of it@.")


def test_the_same_reasons_are_told_once(cast):
    reasons = (Reason("talk_prize", "The text promises a prize.", "", 9.0),)
    common: dict[str, Any] = {"verdict": Verdict.SPAM, "reasons": reasons, "score": 9.0}
    seen = [
        gateway_saw(cast.acme, IT, observed_at=after(2), **common),
        gateway_saw(
            cast.acme, INFO, observed_at=after(2), action=Outcome.HELD, place=Place.HOLD, **common
        ),
        inbox(cast, IT, **common),
    ]
    told = sentences(tell(cast, *seen))
    assert len([each for each in told if "promises a prize" in each]) == 1
    assert len([each for each in told if each.endswith("For the reasons above.")]) == 2
    assert "mailbox: Judged spam (0.99). For the reasons above." in told


def test_what_was_resolved_as_harmless_is_no_threat_within_reach(cast):
    tell(cast, inbox(cast, IT), reported(cast, IT))
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        incident = Incident.objects.select_related("tenant").get()
        resolve_incident(
            incident=incident, actor=cast.ana, classification="benign", cause="Theirs."
        )
        incident.refresh_from_db()
        headline = tell_story(incident).headline
    assert "One copy was delivered. It was found to be harmless." in headline
    assert "within reach" not in headline


def test_what_is_locked_up_was_looked_into_by_nobody(cast):
    locked = ZIP | {"flags": ["encrypted"]}
    facts = mail_json(attachments=[locked, locked | {"name": "b\u202epdf.zip"}, ZIP])
    story = tell(cast, inbox(cast, IT, verdict=Verdict.MALWARE, mail=facts))
    assert "What is in 2 attached files that are locked with a password." in story.not_checked


def test_what_lies_open_is_no_gap(cast):
    seen = inbox(cast, IT, verdict=Verdict.MALWARE, mail=mail_json(attachments=[ZIP]))
    assert not any("locked" in each for each in tell(cast, seen).not_checked)


def test_a_repair_counts_every_copy_that_it_would_pull(cast):
    others = [inbox(cast, INFO), inbox(cast, "ceo@acme.example")]
    tell(cast, inbox(cast, IT), *others, reported(cast, IT))
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        [item] = Disagreement.objects.all()
        assert item.copies == 1
        assert "within reach (3 of this mail now)" in item.proposal["text"]
