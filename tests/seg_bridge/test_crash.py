"""What the shipper sends, and what goes out by mail: killed at every commit in turn."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from django.utils import timezone

from incidents import layers
from incidents.correlation import make_sense_of_backlog
from incidents.evidence import read_evidence
from incidents.gateway_asked import LessonWish
from incidents.intake import record
from incidents.models import (
    ClientWord,
    Delivery,
    Evidence,
    Finding,
    Incident,
    Intent,
    Job,
    Message,
    Observation,
)
from incidents.observations import Observation as Seen
from incidents.words import Verdict
from seg_bridge.held.models import Digest, HeldLink
from seg_bridge.held.requests import serve_requests
from seg_bridge.learning.orders import Decision, teach
from seg_bridge.models import DomainCheck, Gate, GateCommand, Lesson, TrialMail
from seg_bridge.onboarding import work as onboarding
from seg_bridge.onboarding.services import send_trial
from seg_bridge.tasks import want
from tenants import outbox
from tenants.models import AuditEntry, Domain, OutgoingMail, Work
from tenants.scope import Role, tenant_scope
from tenants.work import want_work
from tests.crash.worker import check_passed, crash_at_each, serve
from tests.factories import Cast, gateway_saw, mailbox_saw, state_policy
from tests.seg_bridge.conftest import Wire, make_gate
from tests.seg_bridge.test_forgetting import sign
from tests.seg_bridge.test_lessons import Mailboxes
from tests.seg_bridge.test_queues import item, rows, tell
from tests.seg_bridge.test_requests import CLEAN, PHISH, hold, nobody_could_look, scope, wish
from tests.seg_bridge.test_retention import carried_out
from tests.seg_bridge.test_retention import hold as hold_for
from tests.seg_bridge.yard import SinkThread
from tests.tenants.test_outbox import Server


def test_what_is_shipped_is_there_once_and_the_bytes_with_it(
    cast: Cast, wire: Wire, settings, tmp_path
):
    """The shipper repeats what was not answered for; what was is on record."""
    settings.EVIDENCE_DIR = tmp_path
    begun: list[tuple[bytes, list[Seen]]] = []

    def begin() -> None:
        number = len(begun)
        raw = f"Subject: {number}\r\n\r\n".encode()
        lines = [
            gateway_saw(
                tenant,
                f"info@{tenant.slug}.example",
                ulid=f"01J{number:023d}",
                internet_message_id=f"<{number}@evil.example>",
                fingerprint=f"{number:032x}",
                evidence=sha256(raw).hexdigest() if tenant == cast.acme else "",
            )
            for tenant in (cast.acme, cast.globex)
        ]
        begun.append((raw, lines))
        with scope(cast):
            # It follows no policy here: after a while that would be noted as trouble.
            Gate.objects.update(offered_version="", offered_at=None)

    def work() -> None:
        raw, lines = begun[-1]
        target = f"/ship/evidence/{cast.acme.id}/{sha256(raw).hexdigest()}"
        assert wire.ask("PUT", target, raw).status_code in (200, 201)
        assert wire.ship(*lines).json()["refused"] == []
        wire.news()
        serve("intake")

    def check(died_at: str) -> None:
        for tenant in (cast.acme, cast.globex):
            with tenant_scope(Role.WORKER, [tenant.id]):
                assert Observation.objects.count() == len(begun), died_at
                assert Delivery.objects.count() == len(begun), died_at
        with tenant_scope(Role.WORKER, [cast.acme.id]):
            kept = Evidence.objects.values_list("sha256", flat=True)
            read = {read_evidence(tenant_id=cast.acme.id, digest=each) for each in kept}
        assert read == {raw for raw, _ in begun}, died_at

    places = crash_at_each(begin, work, check)
    check_passed(
        places,
        "seg_bridge.ingest",
        reads={"_news", "_is_ahead"},
        others={
            "_give_back": "the gate asks again for what it was not given",
            "_note_policy": "only trouble with a policy is noted; the gate tells it each time",
        },
    )
    check_passed(
        places,
        "seg_bridge.shipping",
        reads={"_share_out"},
        others={"_take_one_by_one.<locals>.take": "as _take_share, for lines that were refused"},
    )


@pytest.fixture
def mailed(cast: Cast, settings, monkeypatch: pytest.MonkeyPatch) -> Cast:
    """A client with a daily digest, whose mailboxes a layer watches: it sees what has arrived."""
    settings.EMAIL_BACKEND = "tests.tenants.test_outbox.Server"
    Server.plan, Server.got = [], []

    def has_arrived(_tenant: int, _address: str, message_id: str) -> bool:
        return message_id in [mail.extra_headers["Message-ID"] for mail in Server.got]

    monkeypatch.setattr(outbox, "_look_up", [has_arrived])
    make_gate(cast, cast.acme)
    hour = (timezone.now() - timedelta(hours=1)).hour
    with scope(cast):
        state_policy(cast.acme, **{"digest.when": "daily", "digest.hour": hour})
    return cast


def test_a_digest_is_made_once_and_arrives_once(mailed: Cast):
    """Also where the worker died over the mail: a layer says whether it has arrived."""
    begun: list[Delivery] = []

    def begin() -> None:
        with scope(mailed):
            for each in Digest.objects.all():
                Digest.objects.filter(id=each.id).update(slot=f"before {each.id}")
        begun.append(hold(mailed, Verdict.SPAM))
        with scope(mailed):
            Delivery.objects.update(received_at=timezone.now() - timedelta(hours=3))

    def work() -> None:
        want("digest")
        serve("digest")
        for _ in range(2):  # the second time: what became of a mail that a worker died over
            with scope(mailed):
                past = timezone.now() - outbox.PATIENCE
                rows = OutgoingMail.objects.exclude(due_at=None)
                rows.update(due_at=timezone.now(), tried_at=past)
            serve("notify")

    def check(died_at: str) -> None:
        with scope(mailed):
            assert Digest.objects.count() == len(begun), died_at
            assert HeldLink.objects.count() == len(begun), died_at
            states = set(OutgoingMail.objects.values_list("state", flat=True))
            assert states == {OutgoingMail.State.SENT}, died_at
        assert len(Server.got) == len(begun), died_at

    places = crash_at_each(begin, work, check)
    check_passed(places, "seg_bridge.tasks")
    check_passed(places, "seg_bridge.held.digest")
    check_passed(places, "tenants.outbox")
    check_passed(places, "tenants.work")


def count_of(action: str) -> int:
    """Entries of the audit log.  Needs a scope."""
    return AuditEntry.objects.filter(action=action).count()


@pytest.mark.parametrize(
    ("held_as", "scanner", "outcome"),
    [
        (Verdict.SPAM, nobody_could_look, "released by the client"),
        (Verdict.PHISH, CLEAN, "released by policy"),
        (Verdict.PHISH, PHISH, "refused by policy"),
    ],
)
def test_a_wish_is_served_once(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, held_as, scanner, outcome
):
    """One release with one order to the gate, or one refusal with one mail to her; one entry."""
    assert serve_requests.__kwdefaults__
    monkeypatch.setitem(serve_requests.__kwdefaults__, "scanner", scanner)
    make_gate(cast, cast.acme)
    with scope(cast):
        state_policy(cast.acme, held_requests="auto")
    begun: list[Delivery] = []

    def begin() -> None:
        begun.append(hold(cast, held_as))
        wish(cast, begun[-1])

    def check(died_at: str) -> None:
        orders, mails = (0, len(begun)) if "refused" in outcome else (len(begun), 0)
        with scope(cast):
            outcomes = list(ClientWord.objects.values_list("scan__outcome", flat=True))
            assert outcomes == [outcome] * len(begun), died_at
            assert ClientWord.objects.exclude(settled_at=None).count() == mails, died_at
            assert OutgoingMail.objects.count() == mails, died_at
            assert Intent.objects.filter(action="release").count() == orders, died_at
            assert GateCommand.objects.filter(kind="release").count() == orders, died_at
            assert count_of("seg_bridge.request.served") == len(begun), died_at
            assert Work.objects.get(queue="held").wanted_at is None, died_at

    places = crash_at_each(begin, lambda: serve("held"), check)
    check_passed(places, "seg_bridge.held.requests")


def test_what_is_too_old_goes_once_and_nothing_else(cast: Cast, settings, tmp_path):
    """The order to the gate, the original behind it, old mail to people, and old signs."""
    settings.EVIDENCE_DIR = tmp_path
    make_gate(cast, cast.acme)
    begun: list[Delivery] = []
    with scope(cast):
        state_policy(cast.acme, held_keep_days=7)
    young = hold_for(cast, days=3)

    def begin() -> None:
        carried_out(cast)
        begun.append(hold_for(cast, days=9))
        with scope(cast):
            sign(cast.acme, "ceo@acme.example", 400)
            said = {"kind": "digest", "to": "pia@acme.example", "subject": "x", "text": "x"}
            outbox.post(tenant_id=cast.acme.id, event="one", **said)
            old = timezone.now() - timedelta(days=181)
            OutgoingMail.objects.update(due_at=None, created_at=old)
            want_work(cast.acme.id, "retain")

    def check(died_at: str) -> None:
        with scope(cast):
            assert GateCommand.objects.filter(kind="drop").count() == len(begun), died_at
            assert count_of("seg_bridge.held.expired") == len(begun), died_at
            kept = {young.message.evidence, begun[-1].message.evidence}
            assert set(Evidence.objects.values_list("sha256", flat=True)) == kept, died_at
            assert count_of("incidents.evidence.removed") == len(begun) - 1, died_at
            assert count_of("incidents.records.forgotten") == len(begun), died_at
            assert not OutgoingMail.objects.exists(), died_at
            for digest in kept:
                assert read_evidence(tenant_id=cast.acme.id, digest=digest), died_at
        assert {each.name for each in tmp_path.rglob("*") if each.is_file()} == kept, died_at

    places = crash_at_each(begin, lambda: serve("retain"), check)
    check_passed(places, "seg_bridge.held.retention")


def test_an_original_that_lessons_wait_for_is_asked_for_once(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, settings, tmp_path
):
    settings.EVIDENCE_DIR = tmp_path
    monkeypatch.setitem(layers._layers, "mailbox", Mailboxes())
    make_gate(cast, cast.acme)
    with scope(cast):
        state_policy(cast.acme, learn="own")
    begun: list[str] = []

    def begin() -> None:
        """The gateway passed it and kept no bytes; a person says that it is spam."""
        number = len(begun)
        begun.append(f"01J{number:023d}")
        same = {"internet_message_id": f"<{number}@evil.example>", "fingerprint": f"{number:032x}"}
        to = "info@acme.example"
        with scope(cast):
            record([gateway_saw(cast.acme, to, ulid=begun[-1], **same)])
            record([mailbox_saw(cast.acme, to, trace_ulid=begun[-1], **same)])
            make_sense_of_backlog(cast.acme)
            spam = LessonWish(Message.objects.get(trace_ulid=begun[-1]).id, as_spam=True)
            decision = Decision(
                tenant_id=cast.acme.id, because="spam", incident_id=None, actor=cast.ana
            )
            assert teach([spam], decision)

    def check(died_at: str) -> None:
        with scope(cast):
            asked = Intent.objects.filter(action="acquire")
            assert asked.values("delivery").distinct().count() == len(begun), died_at
            assert asked.count() == len(begun), died_at
            assert Job.objects.filter(kind="acquire").count() == len(begun), died_at
        serve("remediate")
        with scope(cast):
            learn = list(GateCommand.objects.order_by("seq").values_list("trace_ulid", flat=True))
            assert learn == begun, died_at
            assert Lesson.objects.exclude(command=None).count() == len(begun), died_at

    places = crash_at_each(begin, lambda: serve("policy"), check)
    check_passed(places, "seg_bridge.learning.orders")


def test_test_mails_are_sent_once_and_a_lost_record_is_missed_once(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
):
    """A worker that dies over a test mail takes no other with it."""
    gate = make_gate(cast, cast.acme).row
    monkeypatch.setattr(onboarding, "resolver", lambda: lambda name, kind: ())
    monkeypatch.setattr("seg_bridge.onboarding.services.MOST_TRIALS_AN_HOUR", 1_000)
    begun: list[str] = []
    unsure: set[str] = set()
    over_a_mail = {
        "seg_bridge.onboarding.work._claim_trial:after_commit",
        "seg_bridge.onboarding.probe.send_trial_mail:before_call",
        "seg_bridge.onboarding.probe.send_trial_mail:after_call",
        "seg_bridge.onboarding.work._keep_trial:before_commit",
    }

    def begin() -> None:
        """Two test mails, and a domain whose MX records named our gates the last time."""
        with scope(cast):
            for _ in range(2):
                trial = send_trial(
                    tenant=cast.acme, gate=gate, recipient="info@acme.example", actor=cast.mo
                )
                begun.append(trial.internet_message_id)
            DomainCheck.objects.all().delete()
            fields = {"tenant": cast.acme, "standing": {"mx": True}, "token": "t"}
            domain = Domain.objects.get(tenant=cast.acme)
            DomainCheck.objects.create(domain=domain, wanted_at=timezone.now(), **fields)

    def check(died_at: str) -> None:
        got = [re.findall(rb"Message-ID: (\S+)", mail.data)[0].decode() for mail in sink.mails]
        with scope(cast):
            rows = dict(TrialMail.objects.values_list("internet_message_id", "state"))
            assert DomainCheck.objects.get().standing["troubles"], died_at
            assert Finding.objects.count() == 1, died_at
            assert Incident.objects.filter(finding="mx").count() == 1, died_at
        left = {each for each in begun if rows[each] != "taken"} - unsure
        assert len(left) == (died_at in over_a_mail), died_at
        unsure.update(left)
        assert {rows[each] for each in unsure} <= {"sending"}, died_at
        assert len(got) == len(set(got)), died_at
        assert set(got) >= set(begun) - unsure, died_at

    with SinkThread() as sink:
        monkeypatch.setenv("BAILEY_GATE_NAME", "mx1")
        monkeypatch.setenv("BAILEY_GATE_LISTEN", f"127.0.0.1:{sink.port}")
        places = crash_at_each(begin, lambda: serve("onboard"), check)
    assert places >= over_a_mail
    check_passed(places, "seg_bridge.onboarding.work", reads={"_domains"})


def test_a_queue_that_is_half_told_is_not_said_to_be_of_now(cast: Cast, wire: Wire):
    """The gate repeats what was not answered for; until then the page shows what it showed."""
    begun: list[dict[int, list[tuple[str, str, str]]]] = []

    def queue_at() -> datetime | None:
        with scope(cast):
            at: datetime | None = Gate.objects.get().queue_at
            return at

    def shown() -> dict[int, list[tuple[str, str, str]]]:
        return {tenant.id: rows(cast, tenant) for tenant in (cast.acme, cast.globex)}

    def begin() -> None:
        """Another mail waits for Acme; Globex has one every other time."""
        number = len(begun)
        waiting = ("active", "first_try")
        theirs = [("cfo@globex.example", *waiting)] if number % 2 else []
        begun.append({cast.acme.id: [(f"{number}@acme.example", *waiting)], cast.globex.id: theirs})

    def work() -> None:
        at = datetime(2026, 11, 30, tzinfo=UTC) + timedelta(minutes=len(begun))
        assert queue_at() != at or shown() == begun[-1]
        told = [
            item(tenant, address, where=where, reason="")
            for tenant in (cast.acme, cast.globex)
            for address, where, _ in begun[-1][tenant.id]
        ]
        assert tell(wire, *told, at=at.isoformat()).status_code == 200
        assert queue_at() == at

    def check(died_at: str) -> None:
        assert shown() == begun[-1], died_at

    places = crash_at_each(begin, work, check)
    check_passed(places, "seg_bridge.queues.intake")
