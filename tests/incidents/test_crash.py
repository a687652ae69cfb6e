"""Intake and late verdicts, by workers that are killed at every commit in turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from typing_extensions import override

from incidents import layers
from incidents.correlation import make_sense_of_backlog
from incidents.evidence import store_evidence
from incidents.execution import serve_remediation
from incidents.intake import record
from incidents.interference.hourly import want_compare
from incidents.layers import Copy, CopyState, LayerBlind, NotThereYet
from incidents.looks import AGAIN_AFTER_S, serve_looks
from incidents.models import (
    Delivery,
    Incident,
    Intent,
    Interference,
    Job,
    MessageTrait,
    Observation,
    PullProposal,
    ReleaseLook,
    Renewal,
    RenewalCopy,
)
from incidents.modes import set_mode
from incidents.prevalence import FORGOTTEN_AFTER
from incidents.remediation import pull_incident, release_held, settle_intent
from incidents.renewals import renew, resume_waiting
from incidents.taking_back import stop_job
from incidents.tasks import follow_titles, forget_rare_traits, want_compare_of_all
from incidents.words import Place, Verdict
from tenants.doors import ClaimedWork
from tenants.models import AuditEntry, OutgoingMail, Tenant, Work
from tests.crash.worker import check_passed, crash_at_each, serve
from tests.factories import Cast, mail_json, mailbox_saw
from tests.incidents.test_disagreements import INFO, IT, held, inside, passed, released
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
        sender = someone(number)
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


def test_a_stopped_pull_is_settled_by_reading_and_calls_nothing(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
):
    """Its answer was lost before it was stopped, at every other mail after it had moved."""
    boxes = Mailboxes({})
    monkeypatch.setitem(layers._layers, "mailbox", boxes)
    begun: list[bool] = []

    def begin() -> None:
        number, was_sent = len(begun), len(begun) % 2 == 1
        boxes.places[f"i{number}{INFO}"] = Place.INBOX
        boxes.trouble = ["lost after" if was_sent else "lost before"]
        sender = someone(number)
        mail = mail_json(subject=f"{number} " * 5, sender=sender, from_all=[sender])
        with _scope(cast.acme):
            record([inside(cast, number=number, mail=mail, verdict=Verdict.PHISH)])
            make_sense_of_backlog(cast.acme)
            copy = Delivery.objects.get(mailbox_item_id=f"i{number}{INFO}")
            incident = Incident.objects.get(memberships__message=copy.message_id)
            job = pull_incident(incident=incident, actor=cast.ana)
        serve_remediation(claimed(cast))
        begun.append(was_sent)
        with _scope(cast.acme):
            assert Intent.objects.get(job=job).state == Intent.State.UNKNOWN
            stop_job(job=job, actor=cast.bo)

    def work() -> None:
        """As if leases had run out."""
        with _scope(cast.acme):
            due_at = datetime.now(UTC) - timedelta(seconds=1)
            Intent.objects.exclude(state__in=Intent.OVER).update(due_at=due_at)
        serve("remediate")

    def check(died_at: str) -> None:
        assert boxes.moves == sum(begun), died_at
        with _scope(cast.acme):
            states = list(Intent.objects.order_by("id").values_list("state", flat=True))
            assert all(job.is_over for job in Job.objects.all()), died_at
        assert states == ["verified" if was_sent else "failed" for was_sent in begun], died_at

    places = crash_at_each(begin, work, check)
    assert "incidents.execution._leave:after_commit" in places
    assert entries(cast, "incidents.job.stopped") == len(begun)


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
        sender = someone(number)
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


class LostOnce(Mailboxes):
    """The copies in ``lost`` cannot be reached, once each."""

    lost: set[str]

    @override
    def read_state(self, copy: Copy) -> CopyState:
        if copy.mailbox_item_id in self.lost:
            self.lost.remove(copy.mailbox_item_id)
            raise LayerBlind("The consent is lost.", again_after_s=300)
        return super().read_state(copy)


def test_what_waited_for_access_is_looked_at_together_and_done_once(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
):
    """Access is lost once more in the middle: what was read until then counts for nothing."""
    boxes = LostOnce({})
    boxes.lost = set()
    monkeypatch.setitem(layers._layers, "mailbox", boxes)
    monkeypatch.setattr(layers, "_catching_up", [])
    begun: list[int] = []

    def begin() -> None:
        """A pull of two copies waits, and access comes back."""
        number = len(begun)
        begun.append(number)
        boxes.places |= {f"i{number}{to}": Place.INBOX for to in (INFO, IT)}
        boxes.lost.add(f"i{number}{IT}")
        mail = mail_json(subject=f"{number} " * 5, sender=(sender := someone(number)))
        seen = {"verdict": Verdict.PHISH, "mail": mail | {"from_all": [sender]}}
        with _scope(cast.acme):
            record([inside(cast, to, number=number, **seen) for to in (INFO, IT)])
            make_sense_of_backlog(cast.acme)
            pull_incident(incident=Incident.objects.latest("number"), actor=cast.ana)
            resume_waiting(cast.acme.id)

    def work() -> None:
        for _ in range(2):
            with _scope(cast.acme):
                Intent.objects.filter(state="pending").update(due_at=datetime.now(UTC))
            renew(claimed(cast))

    def check(died_at: str) -> None:
        with _scope(cast.acme):
            assert set(Renewal.objects.values_list("state", flat=True)) == {"went_on"}, died_at
            assert Renewal.objects.count() == len(begun), died_at
            read = RenewalCopy.objects.values_list("found", flat=True)
            assert list(read) == ["there"] * 2 * len(begun), died_at
            assert not Intent.objects.exclude(waits_since=None).exists(), died_at
        assert entries(cast, "incidents.renewal.looked_at") == len(begun), died_at
        serve_remediation(claimed(cast))
        assert set(boxes.places.values()) == {Place.QUARANTINE}, died_at
        assert boxes.moves == 2 * len(begun), died_at

    places = crash_at_each(begin, work, check)
    check_passed(places, "incidents.renewals", reads={"_unread"})


def someone(number: int) -> dict[str, str]:
    return {"address": f"eve@evil{number}.example", "name": "Eve", "raw": ""}


def test_what_the_beat_asks_for_is_done_for_every_client(cast: Cast):
    """The beat asks again; what was done for one client before is not undone by the next death."""
    tenants = (cast.acme, cast.globex)
    for tenant in tenants:
        with _scope(tenant):
            record([mailbox_saw(tenant, f"info@{tenant.slug}.example", verdict=Verdict.PHISH)])
            make_sense_of_backlog(tenant)
    long_ago = datetime.now(UTC) - FORGOTTEN_AFTER - timedelta(days=1)

    def state_of(tenant: Tenant) -> tuple[str, int, bool]:
        """Title of the incident, traits of its mail, whether its layers are to be compared."""
        with _scope(tenant):
            waits = Work.objects.filter(tenant=tenant, queue="compare").exclude(wanted_at=None)
            title = Incident.objects.get(tenant=tenant).title
            return title, MessageTrait.objects.filter(tenant=tenant).count(), waits.exists()

    right = {tenant.slug: (state_of(tenant)[0], 1, True) for tenant in tenants}

    def begin() -> None:
        """Old traits beside a new one, a name that is no longer right, and an old comparison."""
        for tenant in tenants:
            with _scope(tenant):
                Incident.objects.update(title="An older name")
                Work.objects.filter(queue="compare").update(wanted_at=None)
                MessageTrait.objects.all().delete()
                mail = Incident.objects.get().memberships.get().message
                for value, at in (
                    ("old", long_ago),
                    ("older", long_ago),
                    ("new", datetime.now(UTC)),
                ):
                    MessageTrait.objects.create(
                        tenant=tenant, message=mail, kind="url_host", value=value, seen_at=at
                    )

    def work() -> None:
        for task in (forget_rare_traits, follow_titles, want_compare_of_all):
            task()

    def check(died_at: str) -> None:
        assert {tenant.slug: state_of(tenant) for tenant in tenants} == right, died_at

    places = crash_at_each(begin, work, check)
    check_passed(places, "incidents.tasks")


def test_the_layers_are_compared_within_the_hour(cast: Cast):
    with _scope(cast.acme):
        record([passed(cast), inside(cast)])
        make_sense_of_backlog(cast.acme)
    began = datetime.now(UTC)

    def begin() -> None:
        with _scope(cast.acme):
            Interference.objects.update(copies=999, looked_at=began - timedelta(hours=2))
            assert want_compare(cast.acme.id)

    def check(died_at: str) -> None:
        with _scope(cast.acme):
            found = dict(Interference.objects.values_list("kind", "copies"))
            assert found.keys() == set(Interference.Kind), died_at
            assert max(found.values()) < 999, died_at
            assert not want_compare(cast.acme.id), died_at

    places = crash_at_each(begin, lambda: serve("compare"), check)
    check_passed(places, "incidents.interference.hourly")
