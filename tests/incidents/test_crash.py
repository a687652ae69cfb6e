"""Intake and late verdicts, by workers that are killed at every commit in turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from incidents import layers
from incidents.correlation import make_sense_of_backlog
from incidents.evidence import store_evidence
from incidents.intake import record
from incidents.layers import CopyState, NotThereYet
from incidents.looks import AGAIN_AFTER_S, serve_looks
from incidents.models import Delivery, Intent, Job, Observation, PullProposal, ReleaseLook
from incidents.modes import set_mode
from incidents.remediation import release_held, settle_intent
from incidents.words import Place, Verdict
from tenants.doors import ClaimedWork
from tenants.models import AuditEntry, OutgoingMail
from tests.crash.worker import check_passed, crash_at_each, serve
from tests.factories import Cast, mail_json
from tests.incidents.test_disagreements import INFO, held, inside, passed, released
from tests.incidents.test_looks import Cloud
from tests.incidents.test_remediation import Mailboxes, _scope
from tests.seg_bridge.conftest import make_gate


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


def claimed(cast: Cast) -> ClaimedWork:
    return ClaimedWork(cast.acme.id, cast.provider.id, 1)


def entries(cast: Cast, action: str) -> int:
    with _scope(cast.acme):
        return AuditEntry.objects.filter(action=action).count()


def test_a_sure_verdict_of_the_mailbox_layer_pulls_once(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
):
    boxes = Mailboxes({})
    monkeypatch.setitem(layers._layers, "mailbox", boxes)
    with _scope(cast.acme):
        set_mode(tenant=cast.acme, mode="auto", actor=cast.mo)
    begun: list[int] = []

    def begin() -> None:
        number = len(begun)
        begun.append(number)
        boxes.places[f"i{number}{INFO}"] = Place.INBOX
        sender = {"address": f"eve@evil{number}.example", "name": "Eve", "raw": ""}
        mail = mail_json(subject=f"{number} " * 5, sender=sender, from_all=[sender])
        sure: dict[str, Any] = {"verdict": Verdict.PHISH, "confidence": 0.95, "mail": mail}
        with _scope(cast.acme):
            record([passed(cast, number=number, mail=mail), inside(cast, number=number, **sure)])
            make_sense_of_backlog(cast.acme)

    def check(died_at: str) -> None:
        with _scope(cast.acme):
            assert PullProposal.objects.exclude(looked_at=None).count() == len(begun), died_at
            assert not PullProposal.objects.exclude(left="").exists(), died_at
            pulls = Intent.objects.filter(action="pull")
            assert pulls.values("delivery").distinct().count() == len(begun), died_at
            assert pulls.count() == Job.objects.count() == len(begun), died_at

    places = crash_at_each(begin, lambda: serve("respond"), check)
    serve("remediate")
    assert boxes.moves == len(begun)
    check_passed(places, "incidents.proposals")


RAW = b"Subject: x\r\n\r\n"  # as the mailboxes of these tests give it
JUNK = CopyState(exists=True, place=Place.JUNK, mailbox_item_id="i", is_read=False)


@pytest.mark.parametrize(
    ("answer", "outcome", "looks"),
    [
        (JUNK, "junked", 1),
        (NotThereYet("Not yet."), "not_seen", 1 + len(AGAIN_AFTER_S[ReleaseLook.Outcome.NOT_SEEN])),
    ],
)
def test_a_release_is_looked_at_to_the_end_and_told_once(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, settings, tmp_path, answer, outcome, looks
):
    settings.EVIDENCE_DIR = tmp_path
    cloud = Cloud({}, answer=answer)
    monkeypatch.setitem(layers._layers, "mailbox", cloud)
    make_gate(cast, cast.acme)
    with _scope(cast.acme):
        digest = store_evidence(tenant_id=cast.acme.id, raw=RAW, source="gate:mx1", method="smtp")
    begun: list[Delivery] = []

    def begin() -> None:
        """Ana releases a held mail, and the mailbox layer has met it."""
        number = len(begun)
        with _scope(cast.acme):
            record([held(cast, number=number, evidence=digest)])
            make_sense_of_backlog(cast.acme)
            copy = Delivery.objects.get(message__internet_message_id=f"<{number}@evil.example>")
            release_held(delivery=copy, actor=cast.ana, reason="They called")
            settle_intent(Intent.objects.get(delivery=copy).id, ok=True, detail="")
            record([released(cast, number), inside(cast, number=number)])
            make_sense_of_backlog(cast.acme)
        begun.append(copy)
        cloud.reads = 0

    def work() -> None:
        for _ in range(looks):
            with _scope(cast.acme):
                ReleaseLook.objects.filter(done_at=None).update(due_at=datetime.now(UTC))
            serve_looks(claimed(cast))

    def check(died_at: str) -> None:
        is_read_twice = died_at.endswith(("._look:before_commit", "._after_error:before_commit"))
        assert cloud.reads == looks + is_read_twice, died_at
        with _scope(cast.acme):
            found = ReleaseLook.objects.exclude(done_at=None).values_list("outcome", "proof")
            proof = "bytes" if outcome == "junked" else ""
            assert list(found) == [(outcome, proof)] * len(begun), died_at
            seen = Observation.objects.filter(source="check").count()
            assert seen == (len(begun) if outcome == "junked" else 0), died_at
            assert OutgoingMail.objects.count() == len(begun), died_at
        assert entries(cast, "incidents.release.looked_at") == len(begun), died_at

    places = crash_at_each(begin, work, check)
    other = "_after_error" if outcome == "junked" else "_look"
    others = {other: "the other row of this table"}
    check_passed(places, "incidents.looks", reads={"_next_due"}, others=others)
    if outcome == "junked":
        check_passed(places, "incidents.looks_proof", reads={"compare"})
