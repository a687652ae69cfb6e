"""The story reads as an analyst would tell it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from api_bridge.models import Connection
from incidents import story
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Delivery, Incident
from incidents.observations import Reason
from incidents.remediation import block_sender, release_held
from incidents.services import assign_incident
from incidents.story import tell_story
from incidents.story.headline import _who_touched_it
from incidents.words import Layer, Outcome, Place, Verdict
from seg_bridge.models import GateClient
from seg_bridge.services import create_gate
from tenants.audit import BAILEY
from tenants.models import Mailbox
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.factories import gateway_saw, mail_json, mailbox_saw

BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
IT, INFO = "it@acme.example", "info@acme.example"
CFO = {"address": "cfo@acrne.example", "name": "Karla Berg", "raw": ""}
ENTRY = {
    "by": "allow",
    "rule_id": "01a203b2-0000-7000-8000-000000000001",
    "owner": "Bo",
    "value": "acrne.example",
    "recipient": "it@acme.example",
    "reason": "A supplier.",
}


def after(seconds):
    return BEGAN + timedelta(seconds=seconds)


def scope(cast):
    return tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id)


def analyst(cast):
    return tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id)


def tell(cast, *seen):
    with scope(cast):
        record(seen)
        make_sense_of_backlog(cast.acme)
        return tell_story(Incident.objects.select_related("tenant").get())


def fraud(cast, **gateway):
    facts = mail_json(
        subject="Urgent payment today",
        sender=CFO,
        from_all=[CFO],
        sent_at=BEGAN.isoformat(),
        auth=[
            {"method": "spf", "result": "pass", "domain": "acrne.example"},
            {"method": "dkim", "result": "pass", "domain": "acrne.example"},
        ],
    )
    reasons = (Reason("impersonates_vip", "The sender shows the name of Karla Berg.", "", 4.5),)
    seen = []
    for whom, item in ((IT, "i1"), (INFO, "i2")):
        seen += [
            gateway_saw(
                cast.acme,
                whom,
                observed_at=after(2),
                score=4.1,
                score_limit=15.0,
                mail=facts,
                **gateway,
            ),
            mailbox_saw(
                cast.acme,
                whom,
                item=item,
                observed_at=after(5),
                verdict=Verdict.BEC,
                confidence=0.97,
                reasons=reasons,
                mail=facts,
            ),
        ]
    return seen


@pytest.fixture
def cfo(cast):
    with maintenance_scope():
        Mailbox.objects.filter(address="cfo@acme.example").update(
            display_name="Karla Berg", job_title="Chief Financial Officer"
        )
    return cast


def sentences(story):
    return [f"{line.lane}: {line.lead} {line.text}".strip() for line in story.lines]


def test_a_fraud_reads_as_an_analyst_would_tell_it(cfo):
    story = tell(cfo, *fraud(cfo))

    assert story.headline == (
        "Fraud in the CFO's name at Acme. Two copies were delivered; both are still within reach."
        " Nobody has read it."
    )
    assert sentences(story)[:4] == [
        "sender: “Karla Berg” wrote from cfo@acrne.example (r-n, not m)."
        " Acme's domain is acme.example. Subject: Urgent payment today",
        "gateway: Let it through. Score 4.1; Acme acts from 15."
        " SPF and DKIM passed because the sender owns the lookalike domain."
        " No allow entry was involved.",
        "mailbox: Arrived in the inboxes of it@ and info@."
        " The same mail, proven by the gateway's trace.",
        "mailbox: Judged fraud (0.97): The sender shows the name of Karla Berg.",
    ]
    assert any("archive mailboxes" in gap for gap in story.not_checked)


def test_a_verdict_without_a_reason_announces_none(cast):
    story = tell(cast, mailbox_saw(cast.acme, "it@acme.example", verdict=Verdict.PHISH))

    assert "mailbox: Judged phishing (0.90)." in sentences(story)


def test_an_entry_that_let_it_in_is_named_with_its_author(cfo):
    story = tell(cfo, *fraud(cfo, rule="allow of Acme", detail={"decided": ENTRY}))

    [gateway] = [line for line in story.lines if line.lane == "gateway"]
    assert "The allow entry for acrne.example (for it@acme.example only)" in gateway.text
    assert "set by Bo: “A supplier.”" in gateway.text
    assert "No allow entry" not in gateway.text


def removed(cast, item, whom, at, place=Place.QUARANTINE):
    return mailbox_saw(
        cast.acme,
        whom,
        item=item,
        source="check",
        source_key=f"{item}-{at}",
        observed_at=after(at),
        verdict=None,
        score=None,
        confidence=None,
        place=place,
        mail={},
    )


def test_what_was_removed_is_read_back_and_checked_again(cfo):
    gone = [removed(cfo, "i1", IT, 60), removed(cfo, "i2", INFO, 60)]
    again = [removed(cfo, "i1", IT, 360), removed(cfo, "i2", INFO, 360)]
    story = tell(cfo, *fraud(cfo), *gone, *again)

    told = sentences(story)
    assert "mailbox: Read back: gone from both inboxes. In Bailey's quarantine." in told
    assert "mailbox: Checked again: still gone." in told
    assert "Two copies were delivered; both are removed." in story.headline


def test_one_copy_left_in_reach_is_said(cfo):
    story = tell(cfo, *fraud(cfo), removed(cfo, "i1", IT, 60))

    assert "one is still within reach, one is removed." in story.headline
    [line] = [line for line in story.lines if line.lead.startswith("Read back")]
    assert (line.lead, line.recipients) == ("Read back: gone from the inbox.", (IT,))
    assert not line.names_them


def test_reading_and_answering_stand_in_the_story(cfo):
    read = mailbox_saw(
        cfo.acme, IT, item="i1", observed_at=after(200), is_read=True, verdict=None, mail={}
    )
    tell(cfo, *fraud(cfo), read)
    with scope(cfo):
        Delivery.objects.filter(recipient=IT).update(replied_at=after(420))
        incident = Incident.objects.select_related("tenant").get()
        incident.counts["replied"] = 1
        told = sentences(tell_story(incident))
        headline = tell_story(incident).headline

    assert any(line.startswith("person: it@ read it.") for line in told)
    assert "person: it@ replied. Whether money was sent is not known." in told
    assert headline.endswith("One person read it. One person replied.")


def test_who_answered_before_the_read_mark_was_seen_had_read_it_then(cfo):
    """A read mark is seen when the mailbox is looked at next: nobody answers before she reads."""
    marks = [
        mailbox_saw(
            cfo.acme, whom, item=item, observed_at=after(500), is_read=True, verdict=None, mail={}
        )
        for whom, item in ((IT, "i1"), (INFO, "i2"))
    ]
    tell(cfo, *fraud(cfo), *marks)
    with scope(cfo):
        Delivery.objects.filter(recipient=IT).update(replied_at=after(420))
        Delivery.objects.filter(recipient=INFO).update(forwarded_at=after(430))
        told = sentences(tell_story(Incident.objects.select_related("tenant").get()))

    assert "person: it@ read it and replied. Whether money was sent is not known." in told
    assert any(line.startswith("person: info@ read it and passed it on.") for line in told)
    assert not any("read it." in line for line in told)


def test_a_rule_written_for_the_incident_stands_at_the_gateway(cfo):
    tell(cfo, *fraud(cfo))
    with analyst(cfo):
        incident = Incident.objects.select_related("tenant").get()
        until = datetime(2099, 12, 22, tzinfo=UTC)
        block_sender(incident=incident, actor=cfo.ana, reason="fraud", expires_at=until)
        told = sentences(tell_story(incident))

    assert (
        "gateway: Holds all mail from cfo@acrne.example for Acme until 22 December. Added by Ana."
        in told
    )


def test_what_a_person_reported_is_told_as_the_persons(cfo):
    report = mailbox_saw(
        cfo.acme,
        IT,
        item="i1",
        layer=Layer.PERSON,
        source="person:1",
        source_key="r1",
        observed_at=after(90),
        verdict=Verdict.PHISH,
        confidence=None,
        reasons=(Reason("said_by_analyst", "Irma judged it phishing: Looks odd."),),
        detail={"person": "Irma"},
        place=None,
        is_read=None,
    )
    story = tell(cfo, *fraud(cfo), report)

    assert "person: Irma judged it phishing. Looks odd." in sentences(story)


def test_held_mail_is_told_with_the_policy_that_held_it(cfo):
    held = {
        "verdict": Verdict.BEC,
        "action": Outcome.HELD,
        "place": Place.HOLD,
        "rule": "policy of Acme: bec is held",
    }
    seen = [gateway_saw(cfo.acme, IT, observed_at=after(1), **held)]
    seen += [gateway_saw(cfo.acme, INFO, observed_at=after(1), verdict=Verdict.BEC, score=9.0)]
    story = tell(cfo, *seen)

    assert "One copy was delivered; it is not yet seen in a mailbox." in story.headline
    assert "One copy was held at the gateway." in story.headline
    leads = {line.lead: line.text for line in story.lines if line.lane == "gateway"}
    assert "Policy of Acme: bec is held." in leads["Held it."]
    assert "Not seen in a mailbox: info@acme.example." in story.not_checked


def test_a_release_is_told_with_who_released_it(cfo):
    held = {"verdict": Verdict.SPAM, "action": Outcome.HELD, "place": Place.HOLD}
    tell(cfo, gateway_saw(cfo.acme, IT, observed_at=after(1), **held), *fraud(cfo)[2:])
    with analyst(cfo):
        copy = Delivery.objects.get(place=Place.HOLD)
        release_held(delivery=copy, actor=cfo.ana, reason="It is genuine.")
    passed = gateway_saw(cfo.acme, IT, observed_at=after(90), verdict=None, score=None)
    told = sentences(tell(cfo, passed))

    assert "gateway: Delivered it after all. Somebody had released it." in told
    assert any(
        line.startswith("action: Ana tried to release one copy. One failed.") for line in told
    )
    assert not any("An engine gave no answer" in line for line in told)


def test_while_a_layer_is_blind_the_story_says_so_and_not_that_nothing_is_there(cfo):
    tell(cfo, *fraud(cfo))
    with analyst(cfo):
        Connection.objects.create(tenant=cfo.acme, blind_since=after(10))
    with scope(cfo):
        story = tell_story(Incident.objects.select_related("tenant").get())

    assert "where they are now is not known, the mailbox layer is blind" in story.headline
    assert "within reach" not in story.headline
    assert "Nobody has read it" not in story.headline
    [gap] = [gap for gap in story.not_checked if gap.startswith("The mailbox layer is blind since")]
    assert gap.endswith("The mail host does not answer us.")


def test_the_portal_learns_of_a_silent_gateway_through_its_door(cfo):
    tell(cfo, *fraud(cfo))
    with maintenance_scope():
        gate, _ = create_gate(
            provider=cfo.provider,
            name="mx9",
            hostname="mx9.keep.example",
            tenants=[cfo.acme],
            actor=BAILEY,
        )
        gate.last_seen_at = after(0)
        gate.save(update_fields=["last_seen_at"])
        assert GateClient.objects.filter(gate=gate).count() == 1
        Incident.objects.update(shared_at=after(20))
    with tenant_scope(Role.PORTAL, [cfo.acme.id]):
        story = tell_story(Incident.objects.select_related("tenant").get())

    assert any(gap.startswith("The gateway is blind since") for gap in story.not_checked)
    assert not any(line.source.startswith(("audit:", "rule:")) for line in story.lines)


def test_words_of_a_mail_cannot_break_a_sentence(cfo):
    nasty = {"address": "a{who}@evil.example", "name": "{0.__class__}", "raw": ""}
    facts = mail_json(subject="{where} %s {", sender=nasty, from_all=[nasty])
    seen = [
        gateway_saw(cfo.acme, IT, mail=facts, rule="allow {who}"),
        mailbox_saw(cfo.acme, IT, verdict=Verdict.PHISH, mail=facts),
    ]
    story = tell(cfo, *seen)

    assert "{where} %s {" in story.lines[0].text
    assert "{0.__class__}" in story.lines[0].lead


def test_who_has_it_is_told_as_it_was(cfo):
    tell(cfo, *fraud(cfo))
    with analyst(cfo):
        incident = Incident.objects.select_related("tenant").get()
        for actor, owner in ((cfo.ana, cfo.ana), (cfo.mo, cfo.bo), (cfo.mo, None)):
            assign_incident(incident=incident, actor=actor, owner=owner)
        told = [line.lead for line in tell_story(incident).lines if "audit:" in line.source]
    assert told[-3:] == ["Ana took it.", "Mo gave it to Bo.", "Mo took it from Bo."]


def test_of_a_long_story_the_middle_is_left_out_and_counted(cfo, monkeypatch):
    whole = tell(cfo, *fraud(cfo)).lines
    monkeypatch.setattr(story, "MOST_LINES", 4)
    with scope(cfo):
        cut = tell_story(Incident.objects.select_related("tenant").get()).lines
    assert [cut[0], cut[1], cut[3]] == [whole[0], whole[1], whole[-1]]
    assert cut[2].lead == f"{len(whole) - 3} more lines stand here."


def test_who_read_two_copies_is_one_person():
    copies = [Delivery(recipient=whom, is_read=True) for whom in (IT, IT, INFO)]
    assert list(_who_touched_it(Incident(), copies, {})) == ["Two people read it."]
