"""A real gate, its shipper and ingest as processes of their own, with the worker's login.

A mail goes in by SMTP and becomes rows; a held mail is released; a rule is in force in time.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.launch.ports import free_port
from incidents.correlation import serve_intake
from incidents.evidence import read_evidence
from incidents.mail.headers import header_values
from incidents.mail.trace import check_trace
from incidents.models import Delivery, Intent, Observation
from incidents.remediation import release_held
from incidents.traces import trace_keys
from incidents.words import Outcome, Place
from seg_bridge.models import GateCommand
from tenants.doors import ClaimedWork
from tests.factories import make_cast
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.yard import EmptyDns, SinkThread, Yard, processes, wait_for

IN_FORCE_WITHIN_S = 5.0


@pytest.fixture
def yard(transactional_db: None, tmp_path: Path) -> Iterator[Yard]:
    with a_yard(tmp_path) as found:
        yield found


@contextmanager
def a_yard(folder: Path) -> Iterator[Yard]:
    """Ingest, gate and shipper as processes, for the cast's clients; the benches use it too."""
    with SinkThread() as sink, EmptyDns() as dns:
        cast = make_cast(("127.0.0.1", sink.port))
        mx = make_gate(cast, cast.acme, cast.globex)
        smtp_port = free_port()
        with processes(folder, mx, dns=dns, smtp_port=smtp_port) as (ingest_port, running):
            yield Yard(cast, mx, sink, smtp_port, ingest_port, running)


def test_mail_becomes_rows_held_mail_is_released_and_a_rule_is_in_force_in_time(yard: Yard):
    seen = a_mail_goes_through_and_is_recorded(yard)
    the_mail_host_gets_its_trace(yard, seen.trace_ulid)
    a_rule_is_in_force_in_time(yard)
    held = the_original_of_held_mail_is_kept(yard)
    a_held_mail_is_released(yard, held.trace_ulid)


def a_mail_goes_through_and_is_recorded(yard: Yard) -> Observation:
    # Until the gate has its first policy it defers.
    wait_for(lambda: yard.is_taken("friend@sender.example"), "the gate to take mail")
    assert [mail.recipients for mail in yard.sink.mails] == [["info@acme.example"]]
    seen: Observation = wait_for(
        lambda: yard.observation(action=Outcome.DELIVERED), "the observation"
    )
    assert (seen.source, seen.recipient) == ("gate:mx1", "info@acme.example")
    assert seen.mail["subject"] == "Hello"
    return seen


def the_mail_host_gets_its_trace(yard: Yard, ulid: str) -> None:
    (header,) = header_values(yard.sink.mails[0].data, "X-Bailey-Trace")
    with yard.analyst():
        trace = check_trace(header, trace_keys(yard.cast.provider.id))
    assert trace is not None
    assert (trace.tenant_id, trace.ulid) == (yard.cast.acme.id, ulid)


def a_rule_is_in_force_in_time(yard: Yard) -> None:
    yard.block("eve@evil.example")
    committed = time.monotonic()
    yard.until_held("eve@evil.example")
    assert time.monotonic() - committed < IN_FORCE_WITHIN_S


def the_original_of_held_mail_is_kept(yard: Yard) -> Observation:
    held: Observation = wait_for(
        lambda: yard.observation(action=Outcome.HELD), "the held mail's observation"
    )
    assert "eve@evil.example" in held.rule
    with yard.analyst():
        raw = read_evidence(tenant_id=yard.cast.acme.id, digest=held.evidence)
    assert b"see you on Thursday" in raw
    return held


def a_held_mail_is_released(yard: Yard, ulid: str) -> None:
    serve_intake(ClaimedWork(yard.cast.acme.id, yard.cast.provider.id, 1))
    with yard.analyst():
        delivery = Delivery.objects.get(message__trace_ulid=ulid)
        assert delivery.place == Place.HOLD
        release_held(delivery=delivery, actor=yard.cast.ana, reason="they asked for it")

    def is_settled() -> bool:
        with yard.analyst():
            return Intent.objects.get().state == Intent.State.VERIFIED

    wait_for(is_settled, "the acknowledgement")
    copies = [mail for mail in yard.sink.mails if ulid.encode() in mail.data]
    assert [mail.recipients for mail in copies] == [["info@acme.example"]]
    assert b"see you on Thursday" in copies[0].data
    with yard.analyst():
        assert GateCommand.objects.get().ok is True
    again = yard.observation(trace_ulid=ulid)
    assert again is not None
    assert again.action == Outcome.DELIVERED
    assert "released by Ana" in again.rule


@pytest.mark.crash
def test_killing_ingest_while_mail_is_shipped_loses_nothing_and_doubles_nothing(yard: Yard):
    wait_for(lambda: yard.is_taken("friend@sender.example"), "the gate to take mail")
    subjects = [f"mail {number}" for number in range(30)]
    for number, subject in enumerate(subjects):
        yard.send("friend@sender.example", subject=subject)
        if number % 10 == 5:
            yard.kill_ingest()

    def recorded() -> list[str]:
        with yard.analyst():
            return sorted(row.mail["subject"] for row in Observation.objects.all())

    expected = sorted(["Hello", *subjects])
    wait_for(lambda: len(recorded()) >= len(expected), "all rows", within_s=90.0)
    assert recorded() == expected
    assert len(yard.sink.mails) == len(expected)
