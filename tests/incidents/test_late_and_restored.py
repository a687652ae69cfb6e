"""A late verdict and a person who has put copies back: what she put back stays where it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from incidents import automation
from incidents.automation import _respond_to
from incidents.disagreements import accept, dismiss
from incidents.models import Disagreement, Incident, StandingOrder
from incidents.modes import set_mode
from incidents.remediation import pull_incident
from incidents.taking_back import restore_incident
from incidents.words import Place, Verdict
from tests.factories import Cast
from tests.incidents.test_automation import happened, item, late, mailboxes, pulled, respond, wish
from tests.incidents.test_disagreements import INFO, IT, inside, passed
from tests.incidents.test_modes import group
from tests.incidents.test_remediation import Mailboxes, _scope, work

__all__ = ["mailboxes"]


def restore(cast: Cast) -> None:
    with _scope(cast.acme):
        restore_incident(incident=Incident.objects.get(), actor=cast.ana)


def later(cast: Cast, recipient: str, minutes: int):
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    return passed(cast, recipient, observed_at=at, verdict=Verdict.PHISH, score=9.0)


def test_what_is_restored_is_not_pulled_again_with_a_copy_that_comes_later(
    cast: Cast, mailboxes: Mailboxes
):
    wish(cast, mode="auto")
    happened(cast, passed(cast), inside(cast), late(cast))
    respond(cast)
    assert mailboxes.places[f"i1{INFO}"] == Place.QUARANTINE
    restore(cast)
    work(cast.acme)
    at = datetime.now(UTC) + timedelta(minutes=9)
    happened(cast, passed(cast, IT, observed_at=at), inside(cast, IT, observed_at=at))
    happened(cast, later(cast, IT, 12))
    assert item(cast).state == "open"
    respond(cast)
    assert mailboxes.places == {f"i1{INFO}": Place.INBOX, f"i1{IT}": Place.QUARANTINE}


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_a_verdict_that_comes_while_a_person_restores_leaves_the_copy_to_people(
    cast: Cast, mailboxes: Mailboxes, *, is_carried_out: bool
):
    wish(cast, mode="auto")
    happened(cast, passed(cast), inside(cast))
    happened(cast, inside(cast, verdict=Verdict.SPAM, observed_at=datetime.now(UTC)))
    pulled_by_ana(cast)
    restore(cast)
    if is_carried_out:
        work(cast.acme)
    happened(cast, inside(cast, observed_at=datetime.now(UTC) + timedelta(minutes=1)), late(cast))
    for _ in range(2):
        respond(cast)
    assert mailboxes.places[f"i1{INFO}"] == Place.INBOX
    found = item(cast, kind=Disagreement.Kind.LATE)
    assert found.state == "open"
    assert "put" in found.result["left"]
    with _scope(cast.acme):
        assert not StandingOrder.objects.filter(withdrawn_at=None).exists()
        accept(item=found, actor=cast.ana)
    work(cast.acme)
    assert mailboxes.places[f"i1{INFO}"] == Place.QUARANTINE, "she may, and did"


def pulled_by_ana(cast: Cast) -> None:
    with _scope(cast.acme):
        pull_incident(incident=Incident.objects.get(), actor=cast.ana, reason="spam")
    work(cast.acme)


def test_a_standing_order_leaves_what_was_restored(cast: Cast, mailboxes: Mailboxes):
    pulled(cast)
    restore(cast)
    work(cast.acme)
    happened(cast, passed(cast, IT), inside(cast, IT, verdict=Verdict.PHISH))
    respond(cast)
    assert mailboxes.places == {f"i1{INFO}": Place.INBOX, f"i1{IT}": Place.INBOX}


def test_what_a_person_decides_while_bailey_takes_it_up_is_hers(
    cast: Cast, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
):
    """Of two mailboxes Bailey acts in one by itself, so that a part of the item would stay open."""

    def decided_meanwhile(*args: Any) -> None:
        with _scope(cast.acme):
            dismiss(item=Disagreement.objects.get(), actor=cast.bo, reason="a drill")
        _respond_to(*args)

    monkeypatch.setattr(automation, "_respond_to", decided_meanwhile)
    wish(cast, mode="auto")
    board = group(cast, "Board", IT)
    with _scope(cast.acme):
        set_mode(tenant=cast.acme, mode="monitor", actor=cast.mo, group=board)
    happened(cast, passed(cast), passed(cast, IT), inside(cast), inside(cast, IT))
    happened(cast, late(cast), late(cast, IT))
    respond(cast)
    assert (mailboxes.moves, item(cast).state) == (0, "dismissed")
