"""What closing an incident as harmless has answered is not asked again by moving its boundary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

import pytest

from incidents.campaigns import moving
from incidents.models import Disagreement, Incident, Message
from incidents.observations import Observation
from incidents.regroup import merge_incidents, split_incident, undo_regrouping
from incidents.services import reopen_incident, resolve_incident
from incidents.words import Verdict
from tests.factories import Cast, mail_json
from tests.incidents.test_disagreements import (
    INFO,
    IT,
    acme_scope,  # noqa: F401 (each test stands in it)
    happened,
    inside,
    passed,
    said,
)

WHY = "they are one campaign"


def mail(number: int) -> dict[str, Any]:
    """Which shares nothing with that of another number."""
    text = f"word{number}"
    sender = {"address": f"eve@{text}.example", "name": "", "raw": ""}
    shingles = [crc32(f"{text}{at}".encode()) for at in range(64)]
    return {
        "fingerprint": text.ljust(32, "0"),
        "internet_message_id": f"<{number}@{text}.example>",
        "mail": mail_json(subject=f"About {text}", sender=sender, shingles=shingles),
    }


def both(cast: Cast, recipient: str, number: int, verdict: Verdict) -> list[Observation]:
    """The gateway passed it; ``verdict`` is the mailbox layer's."""
    way = {"mail_from": f"eve@word{number}.example", "client_ip": f"203.0.113.{100 + number}"}
    return [
        passed(cast, recipient, number, detail=way, **mail(number)),
        inside(cast, recipient, number, verdict=verdict, **mail(number)),
    ]


@pytest.fixture
def two(cast: Cast) -> tuple[Incident, Incident]:
    """The first is condemned inside alone; the second is reported, and no layer says a word."""
    happened(cast, *both(cast, INFO, 1, Verdict.PHISH), *both(cast, IT, 2, Verdict.CLEAN))
    happened(cast, said(cast, "report:2", Verdict.PHISH, recipient=IT))
    one, other = Incident.objects.order_by("number")
    return one, other


def fresh(incident: Incident) -> Incident:
    return Incident.objects.select_related("tenant").get(id=incident.id)


def close(cast: Cast, *incidents: Incident) -> None:
    for each in incidents:
        resolve_incident(
            incident=fresh(each), actor=cast.ana, classification="benign", cause="A letter"
        )


def asked() -> list[tuple[int | None, str]]:
    items = Disagreement.objects.filter(state="open").select_related("incident")
    return [(item.incident and item.incident.number, item.kind) for item in items]


def reported_mail() -> Message:
    return Message.objects.get(deliveries__recipient=IT)


def test_mail_that_is_split_off_takes_the_answer_along_and_back(
    cast: Cast, two: tuple[Incident, Incident]
):
    one, other = two
    merge_incidents(kept=one, gone=other, actor=cast.ana, reason=WHY)
    close(cast, one)
    assert asked() == []
    split = split_incident(
        incident=fresh(one), messages=[reported_mail().id], actor=cast.bo, reason=WHY
    )
    assert split.other is not None
    assert asked() == []
    item = Disagreement.objects.get(incident=split.other)
    assert (item.state, item.decided_by) == ("dismissed", "Bo")
    assert item.reason == f"Incident {split.other.number} was resolved as benign: A letter"
    undo_regrouping(done=split, actor=cast.bo)
    assert asked() == []
    reopen_incident(incident=fresh(one), actor=cast.ana, reason="It was paid")
    assert {number for number, _ in asked()} == {one.number}
    assert len(asked()) == 2


def test_what_was_closed_and_merged_into_what_is_open_is_answered_again_when_that_is_undone(
    cast: Cast, two: tuple[Incident, Incident]
):
    one, other = two
    close(cast, other)
    done = merge_incidents(kept=one, gone=fresh(other), actor=cast.ana, reason=WHY)
    assert {number for number, _ in asked()} == {one.number}
    assert len(asked()) == 2
    undo_regrouping(done=done, actor=cast.bo)
    assert [number for number, _ in asked()] == [one.number]
    assert Disagreement.objects.get(incident=other).state == "dismissed"


def test_two_that_are_closed_as_harmless_ask_nothing_as_one_nor_as_two_again(
    cast: Cast, two: tuple[Incident, Incident]
):
    one, other = two
    close(cast, one, other)
    done = merge_incidents(kept=fresh(one), gone=fresh(other), actor=cast.ana, reason=WHY)
    assert asked() == []
    undo_regrouping(done=done, actor=cast.ana)
    assert asked() == []


def test_what_was_said_after_it_was_closed_stays_asked(cast: Cast, two: tuple[Incident, Incident]):
    one, other = two
    merge_incidents(kept=one, gone=other, actor=cast.ana, reason=WHY)
    close(cast, one)
    at = datetime.now(UTC) + timedelta(minutes=5)
    way: dict[str, Any] = {"detail": {"mail_from": "eve@word2.example"}, **mail(2)}
    late = passed(cast, IT, 2, verdict=Verdict.PHISH, score=9.0, observed_at=at, **way)
    happened(cast, late)
    assert not fresh(one).is_open
    news = asked()
    assert [kind for _, kind in news] == [Disagreement.Kind.LATE]
    split = split_incident(
        incident=fresh(one), messages=[reported_mail().id], actor=cast.bo, reason=WHY
    )
    assert split.other is not None
    assert asked() == [(split.other.number, Disagreement.Kind.LATE)]
    undo_regrouping(done=split, actor=cast.bo)
    assert asked() == news


def test_what_is_open_names_nobody_who_decided_it(cast: Cast, two: tuple[Incident, Incident]):
    happened(cast, said(cast, "report:2", Verdict.CLEAN, recipient=IT))
    item = Disagreement.objects.get(incident=two[1])
    assert (item.state, item.decided_by) == ("settled", "Bailey")
    happened(cast, said(cast, "report:2", Verdict.PHISH, recipient=IT))
    item.refresh_from_db()
    assert (item.state, item.decided_by, item.decided_at, item.reason) == ("open", "", None, "")


def test_of_what_both_have_the_rest_is_moved_all_the_same(two: tuple[Incident, Incident]):
    """Bailey makes two one: one of several items that the other has, too, holds up no other."""
    one, other = two
    Disagreement.objects.all().delete()
    for incident, kinds in ((one, ["person"]), (other, ["held", "passed", "person"])):
        for kind in kinds:
            Disagreement.objects.create(
                tenant=incident.tenant,
                incident=incident,
                message=Message.objects.filter(memberships__incident=incident)[0],
                kind=kind,
                state="dismissed",
                seen_at=datetime.now(UTC),
            )
    moved = moving.move_history(other, one)
    found = Disagreement.objects.order_by("kind").values_list("kind", "incident__number")
    assert [kind for kind, number in found if number == one.number] == ["held", "passed", "person"]
    assert [kind for kind, number in found if number == other.number] == ["person"]
    assert len(moved["incidents.Disagreement.incident"]) == 2
