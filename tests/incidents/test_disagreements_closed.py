"""Closing an incident as harmless answers its disagreements; opening it again asks them anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from incidents.disagreements import accept, dismiss
from incidents.models import Delivery, Disagreement, Incident
from incidents.services import reopen_incident, resolve_incident
from incidents.words import Layer, Verdict
from tenants.errors import Conflict
from tenants.models import AuditEntry
from tests.factories import Cast
from tests.incidents.test_disagreements import (
    IT,
    acme_scope,  # noqa: F401 (each test stands in it)
    happened,
    held,
    inside,
    passed,
    said,
    the_item,
)

Kind, State = Disagreement.Kind, Disagreement.State


def fresh() -> Incident:
    return Incident.objects.select_related("tenant").get()


def close(cast: Cast, classification: str = "benign") -> None:
    resolve_incident(
        incident=fresh(), actor=cast.ana, classification=classification, cause="A letter"
    )


def reported(cast: Cast) -> Disagreement:
    """Both layers let it through, and who got it says phish."""
    happened(cast, passed(cast), inside(cast))
    happened(cast, said(cast, "report:1", Verdict.PHISH))
    item = the_item()
    assert (item.kind, item.state, item.proposal["action"]) == (Kind.PERSON, "open", "pull")
    return item


def audits(item: Disagreement) -> list[tuple[str, str, str]]:
    rows = AuditEntry.objects.filter(object_id=str(item.id)).order_by("at", "id")
    return [(row.action.rpartition(".")[2], row.actor_name, row.reason) for row in rows]


@pytest.mark.parametrize(
    ("classification", "words"),
    [
        ("benign", "Incident 1 was resolved as benign: A letter"),
        ("false_positive", "Incident 1 was resolved as false positive: A letter"),
    ],
)
def test_what_was_reported_and_is_harmless_is_offered_to_nobody_any_more(
    cast: Cast, classification: str, words: str
):
    item = reported(cast)
    close(cast, classification)
    now = the_item()
    assert (now.state, now.decided_by, now.decided_by_id) == ("dismissed", "Ana", cast.ana.id)
    assert now.decided_at is not None
    assert now.reason == words
    assert audits(item) == [("dismissed", "Ana", words)]
    with pytest.raises(Conflict, match="decided by Ana"):
        accept(item=now, actor=cast.ana)


def test_closed_as_a_threat_its_repair_is_still_offered(cast: Cast):
    reported(cast)
    close(cast, "true_positive")
    assert the_item().state == "open"


def test_a_repair_that_lets_harmless_mail_in_is_still_offered(cast: Cast):
    """The analyst agrees with it: the gateway held what is harmless."""
    happened(cast, held(cast), passed(cast, IT, verdict=Verdict.SPAM), inside(cast, IT))
    if not Incident.objects.exists():
        happened(cast, said(cast, f"person:{cast.ana.id}", Verdict.SPAM, recipient=IT))
    kinds = {item.kind: item.proposal for item in Disagreement.objects.all()}
    assert kinds[Kind.HELD]["kind"] == "allow"
    close(cast)
    assert the_item(kind=Kind.HELD).state == "open"


def test_opened_again_it_is_asked_again(cast: Cast):
    item = reported(cast)
    close(cast)
    reopen_incident(incident=fresh(), actor=cast.bo, reason="It was paid")
    now = the_item()
    assert (now.state, now.decided_by, now.decided_at, now.reason) == ("open", "", None, "")
    assert now.proposal == item.proposal
    assert audits(item)[-1] == ("reopened", "Bo", "Incident 1 was opened again: It was paid")
    close(cast)
    assert the_item().state == "dismissed"


def test_what_a_person_dismissed_herself_stays_so(cast: Cast):
    item = reported(cast)
    dismiss(item=item, actor=cast.bo, reason="a drill")
    close(cast)
    reopen_incident(incident=fresh(), actor=cast.ana, reason="")
    now = the_item()
    assert (now.state, now.decided_by, now.reason) == ("dismissed", "Bo", "a drill")


def test_a_repeat_or_another_report_of_what_is_closed_as_harmless_asks_nothing(cast: Cast):
    reported(cast)
    close(cast)
    happened(cast, passed(cast, IT), inside(cast, IT))
    happened(cast, said(cast, "report:2", Verdict.PHISH, recipient=IT))
    now = the_item()
    assert (now.state, now.decided_by, now.copies) == ("dismissed", "Ana", 2)
    assert not fresh().is_open


def test_what_contradicts_no_more_when_it_is_opened_again_is_not_asked(cast: Cast):
    reported(cast)
    close(cast)
    happened(cast, said(cast, "report:1", Verdict.CLEAN))
    reopen_incident(incident=fresh(), actor=cast.ana, reason="")
    assert the_item().state == "settled"


def test_what_contradicts_anew_and_a_person_dismisses_then_is_hers(cast: Cast):
    reported(cast)
    close(cast)
    happened(cast, said(cast, "report:1", Verdict.CLEAN))
    happened(cast, said(cast, "report:1", Verdict.PHISH))
    dismiss(item=the_item(state="open"), actor=cast.bo, reason="a drill")
    reopen_incident(incident=fresh(), actor=cast.ana, reason="")
    assert (the_item().state, the_item().decided_by) == ("dismissed", "Bo")


def test_opened_again_it_proposes_what_is_right_by_now(cast: Cast):
    happened(cast, passed(cast), inside(cast, verdict=Verdict.SUSPICIOUS))
    item = the_item()
    assert (item.kind, item.proposal["action"]) == (Kind.PASSED, "add_rule")
    close(cast)
    later: dict[str, Any] = {"observed_at": datetime.now(UTC) + timedelta(minutes=1)}
    happened(cast, inside(cast, verdict=Verdict.PHISH, **later))
    words = [side["verdict"] for side in the_item().sides if side["layer"] == Layer.MAILBOX]
    assert words == [Verdict.PHISH]
    assert (fresh().is_open, the_item().state) == (False, "dismissed")
    reopen_incident(incident=fresh(), actor=cast.ana, reason="It was phishing")
    now = the_item()
    assert (now.state, now.proposal["action"]) == ("open", "add_rule")
    assert Verdict.PHISH in [side["verdict"] for side in now.sides]


def test_mail_that_opens_it_again_asks_again_too(cast: Cast):
    item = reported(cast)
    close(cast)
    graver = [
        passed(cast, IT, verdict=Verdict.CLEAN),
        inside(cast, IT, verdict=Verdict.MALWARE, confidence=0.99),
    ]
    happened(cast, *graver)
    assert fresh().is_open, "more of it, and graver, came into an inbox"
    now = Disagreement.objects.get(id=item.id)
    assert (now.state, now.decided_by) == ("open", "")
    assert audits(item)[-1][:2] == ("reopened", "Bailey")
    assert Delivery.objects.count() == 2
