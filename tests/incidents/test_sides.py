"""One history of copies and one spokesman for each layer, for whoever tells of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from console.queries.blindness import Blind
from console.queries.verdicts import sides_of, what_allowed_it
from incidents.models import Delivery, Disagreement, Incident
from incidents.sides import spokesmen_of
from incidents.sightings import history_of
from incidents.words import Verdict
from seg_bridge.services import add_rule
from tests.factories import Cast
from tests.incidents.test_disagreements import (
    EVE,
    INFO,
    IT,
    acme_scope,
    happened,
    held,
    inside,
    passed,
)

__all__ = ["acme_scope"]

AT = datetime.now(UTC) - timedelta(hours=3)


def test_of_a_long_history_the_newest_is_kept_and_told_oldest_first(cast: Cast):
    happened(
        cast,
        *(passed(cast, source_key=str(n), observed_at=AT + timedelta(minutes=n)) for n in range(4)),
    )
    (copy,) = Delivery.objects.all()
    times = [one.observed_at for one in history_of([copy], most=3)[copy.id]]
    assert times == [AT + timedelta(minutes=n) for n in (1, 2, 3)]
    assert history_of([]) == {}


def test_the_page_of_an_incident_and_its_disagreement_say_the_same(cast: Cast):
    """Several scores of each layer: both tell the same one, with its rule."""
    happened(
        cast,
        passed(cast, score=4.0, rule="4 points: too few", observed_at=AT),
        passed(
            cast, IT, score=2.0, rule="2 points: too few", observed_at=AT + timedelta(seconds=5)
        ),
        inside(cast, verdict=Verdict.PHISH, score=40.0, observed_at=AT),
        inside(cast, IT, verdict=Verdict.PHISH, score=20.0, observed_at=AT + timedelta(seconds=9)),
    )
    incident, item, copies = Incident.objects.get(), Disagreement.objects.get(), list_of_copies()
    on_page = sides_of(incident, Blind(), copies, history_of(copies))
    told = [
        (side.verdict, side.score, side.limit, side.at and side.at.isoformat()) for side in on_page
    ]
    assert told == [
        (side["verdict"], side["score"], side["limit"], side["at"]) for side in item.sides
    ]
    assert [side.score for side in on_page] == [2.0, 20.0]


def list_of_copies() -> list[Delivery]:
    return list(Delivery.objects.order_by("recipient"))


def test_what_a_layer_says_now_speaks_for_it_and_not_what_it_took_back(cast: Cast):
    happened(
        cast,
        passed(cast, observed_at=AT),
        inside(cast, verdict=Verdict.PHISH, observed_at=AT),
    )
    happened(
        cast, inside(cast, verdict=Verdict.CLEAN, score=0.5, observed_at=AT + timedelta(hours=1))
    )
    copies = list_of_copies()
    assert spokesmen_of(copies, history_of(copies))["mailbox"].verdict == Verdict.CLEAN


def test_a_gateway_without_a_verdict_still_has_a_rule(cast: Cast):
    happened(cast, passed(cast, verdict=None, score=None, rule="not scanned: passed"))
    copies = list_of_copies()
    assert spokesmen_of(copies, history_of(copies))["gateway"].rule == "not scanned: passed"


def test_the_page_names_the_entry_by_what_the_gate_says_decided(cast: Cast):
    """The words of a rule may begin with anything."""
    entry = add_rule(
        tenant_id=cast.acme.id,
        kind="allow",
        match="sender",
        value=EVE,
        reason="a supplier",
        actor=cast.bo,
        expires_at=datetime(2099, 12, 31, tzinfo=UTC),
    )
    decided = {"by": "allow", "action": "deliver", "rule_id": str(entry.id), "owner": "Bo"}
    happened(
        cast,
        passed(cast, detail={"decided": decided}, rule="on the list"),
        held(cast, IT),
        inside(cast, verdict=Verdict.PHISH),
    )
    copies = list_of_copies()
    (line,) = what_allowed_it(Incident.objects.get(), copies, history_of(copies))
    assert line.startswith(f"Allow entry for {EVE}, set by Bo on ")
    assert line.endswith(f"until 31 December 2099: “a supplier”. For {INFO}.")
