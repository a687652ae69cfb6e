"""Stopped senders and keys looked for in the DNS, by workers that are killed at every commit."""

from __future__ import annotations

import pytest

from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import AccountSign, IncidentMessage
from seg_bridge.outbound import services, serving
from seg_bridge.outbound.checking import Found
from seg_bridge.outbound.models import SigningKey
from seg_bridge.outbound.stopping import ToldStop, note_stop
from tenants.models import AuditEntry, Domain, Work
from tests.crash.worker import check_passed, crash_at_each, serve
from tests.factories import Cast
from tests.seg_bridge.outbound.parts import accounts, analyst, sent, stopped, stops
from tests.seg_bridge.test_requests import scope


def test_a_stop_gets_one_incident_and_a_key_begins_to_sign_once(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(serving, "look_up", lambda name, public: Found(True, "It is there."))
    with analyst(cast):
        domain = Domain.objects.get(name="acme.example")
        key = services.make_key(tenant=cast.acme, domain=domain, actor=cast.mo)
    begun: list[str] = []

    def begin() -> None:
        """Another mailbox is stopped over one mail; the key waits for its record again."""
        number = len(begun)
        begun.append(f"person{number}@acme.example")
        told = stopped(cast, number, ulid=f"01J{number:023d}", mailbox=begun[-1])
        with scope(cast):
            record([sent(cast, number)])
            note_stop("mx1", ToldStop.from_json(told))
            make_sense_of_backlog(cast.acme)
            SigningKey.objects.update(state=SigningKey.State.WAITING)
            services.ask_check(key=key)

    def check(died_at: str) -> None:
        assert [each.sender for each in accounts(cast)] == begun, died_at
        assert [each.incident and each.incident.sender for each in stops(cast)] == begun, died_at
        with scope(cast):
            assert IncidentMessage.objects.count() == len(begun), died_at
            assert AccountSign.objects.count() == len(begun), died_at
            known = SigningKey.objects.get()
            assert (known.state, known.check_wanted_at) == ("signing", None), died_at
            entries = AuditEntry.objects.filter(action=services.KEY_SIGNS)
            assert entries.count() == len(begun), died_at
            assert Work.objects.get(queue="outbound").wanted_at is None, died_at

    places = crash_at_each(begin, lambda: serve("outbound"), check)
    check_passed(places, "seg_bridge.outbound.serving")
