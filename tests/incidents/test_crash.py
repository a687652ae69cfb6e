"""Intake and late verdicts, by workers that are killed at every commit in turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from incidents import layers
from incidents.intake import record
from incidents.models import Delivery, Intent
from incidents.modes import set_mode
from incidents.words import Place, Verdict
from tests.crash.worker import check_passed, crash_at_each, serve
from tests.factories import Cast, mail_json
from tests.incidents.test_disagreements import INFO, inside, passed
from tests.incidents.test_remediation import Mailboxes, _scope


def test_a_late_verdict_pulls_once_whenever_the_worker_dies(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
):
    boxes, numbers = Mailboxes({}), count(1)
    monkeypatch.setitem(layers._layers, "mailbox", boxes)
    with _scope(cast.acme):
        set_mode(tenant=cast.acme, mode="auto", actor=cast.mo)
    begun: list[int] = []

    def begin() -> None:
        """A mail that the gateway passed, and condemns five minutes later."""
        number = next(numbers)
        begun.append(number)
        boxes.places[f"i{number}{INFO}"] = Place.INBOX
        sender = {"address": f"eve@evil{number}.example", "name": "Eve", "raw": ""}
        mail = mail_json(subject=f"{number} " * 5, sender=sender, from_all=[sender])
        at = datetime.now(UTC) + timedelta(minutes=5)
        late: dict[str, Any] = {"observed_at": at, "verdict": Verdict.PHISH, "score": 9.0}
        with _scope(cast.acme):
            record([passed(cast, number=number, mail=mail), inside(cast, number=number, mail=mail)])
            record([passed(cast, number=number, mail=mail, **late)])

    def work() -> None:
        serve("intake", "respond")

    def check(died_at: str) -> None:
        with _scope(cast.acme):
            assert Delivery.objects.count() == len(begun), died_at
            pulls = Intent.objects.filter(action="pull")
            assert pulls.values("delivery").distinct().count() == len(begun), died_at
            assert pulls.count() == len(begun), died_at

    places = crash_at_each(begin, work, check)
    serve("remediate")
    assert boxes.moves == len(begun)
    failed = "tried again, or put aside and said, where it fails: test_automation.py"
    orders = {"serve_responses": "late copies: test_copies_of_an_order_are_never_asked_for_twice"}
    check_passed(places, "incidents.automation", others={"_leave_to_people": failed} | orders)
    check_passed(places, "incidents.correlation", others={"_put_aside": failed})
