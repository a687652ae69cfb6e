"""Looks at released mail: outcomes, retries, once each; and what an exception lets be."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from typing_extensions import override

from incidents import layers
from incidents.allowed import allow_copy, let_be
from incidents.automation import serve_responses, set_late_verdicts
from incidents.correlation import make_sense_of_backlog
from incidents.execution import serve_remediation
from incidents.foresight import foresee, why_exception_fails
from incidents.gateway_asked import ExceptionMade
from incidents.held import give_back
from incidents.intake import record
from incidents.layers import CopyState, Judged, LayerBlind, LayerError, NoMailbox, NotThereYet
from incidents.looks import AGAIN_AFTER_S, ask_look, serve_looks
from incidents.looks_proof import has_same_bytes
from incidents.looks_words import next_step
from incidents.models import Delivery, Disagreement, Incident, Intent, ReleaseLook
from incidents.remediation import pull_incident, release_held, settle_intent
from incidents.revoked import stop_allowing
from incidents.story import tell_story
from incidents.words import Outcome, Place, Verdict
from tenants.doors import ClaimedWork
from tenants.ids import new_id
from tenants.models import AuditEntry, OutgoingMail
from tenants.outbox import serve_outbox
from tenants.scope import Role, has_scope, tenant_scope
from tests.factories import Cast, gateway_saw, mailbox_saw
from tests.incidents.test_remediation import Mailboxes, work
from tests.seg_bridge.conftest import make_gate

INFO = "info@acme.example"


@dataclass
class Cloud(Mailboxes):
    """``answer``: what the next read says or raises; ``judges``: how it would judge what comes."""

    answer: CopyState | LayerError | None = None
    reads: int = 0
    judges: Judged | LayerError = field(default_factory=lambda: Judged(verdict="bec"))

    def foresee(self, delivery):
        if isinstance(self.judges, LayerError):
            raise self.judges
        return self.judges

    @override
    def read_state(self, copy):
        assert not has_scope(), "a vendor was called inside a scope"
        self.reads += 1
        if isinstance(self.answer, LayerError):
            raise self.answer
        return self.answer or super().read_state(copy)


@pytest.fixture
def cloud(monkeypatch):
    found = Cloud({"i1": Place.INBOX})
    monkeypatch.setitem(layers._layers, "mailbox", found)
    return found


def _scope(cast: Cast):
    return tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id)


def _made(*, beats: bool = False) -> ExceptionMade:
    return ExceptionMade(rule_id=new_id(), owner="Ana", words="one mail", beats_threats=beats)


@pytest.fixture
def released(cast: Cast, cloud: Cloud) -> Delivery:
    """Held by the gateway as fraud, released by Ana; the gate has handed it on."""
    make_gate(cast, cast.acme)
    with _scope(cast):
        record([_held(cast)])
        make_sense_of_backlog(cast.acme)
        copy = Delivery.objects.get()
        release_held(delivery=copy, actor=cast.ana, reason="They called")
        intent = Intent.objects.get()
        settle_intent(intent.id, ok=True, detail="")
        settle_intent(intent.id, ok=True, detail="")  # a gate may say it twice
        copy.refresh_from_db()
        return copy


def arrives(cast: Cast, verdict: Verdict) -> None:
    """The mailbox layer meets the released copy."""
    handed_on: dict[str, Any] = {
        "verdict": None,
        "score": None,
        "mail": {},
        "source_key": "released",
    }
    with _scope(cast):
        record([gateway_saw(cast.acme, INFO, **handed_on)])
        record([mailbox_saw(cast.acme, INFO, item="i1", verdict=verdict)])
        make_sense_of_backlog(cast.acme)


def _held(cast: Cast, verdict: Verdict = Verdict.BEC):
    return gateway_saw(
        cast.acme,
        INFO,
        verdict=verdict,
        score=12.0,
        action=Outcome.HELD,
        place=Place.HOLD,
        detail={"client_ip": "203.0.113.9", "mail_from": "eve@evil.example", "missing": []},
    )


def look(cast: Cast, *, times: int = 1) -> ReleaseLook:
    """The worker, as if the pauses had passed."""
    for _ in range(times):
        with _scope(cast):
            ReleaseLook.objects.filter(done_at=None).update(due_at=timezone.now())
        serve_looks(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with _scope(cast):
        return ReleaseLook.objects.select_related("delivery").get()


def at(place: Place) -> CopyState:
    return CopyState(exists=True, place=place, mailbox_item_id="i1", is_read=False)


OUTCOMES = [
    (at(Place.INBOX), "kept", "still in the inbox", ""),
    (at(Place.OTHER), "moved", "another folder", "trace"),
    (at(Place.ARCHIVE), "moved", "the archive", "trace"),
    (at(Place.JUNK), "junked", "junk folder", "interference"),
    (at(Place.DELETED), "deleted", "folder of deleted mail", "trace"),
    (CopyState(exists=False, place=Place.GONE), "deleted", "no longer in the mailbox", "trace"),
    (at(Place.QUARANTINE), "pulled", "who moved it is not known", "release_again"),
    (NoMailbox("No connection."), "no_layer", "does not watch", "connection"),
]


@pytest.mark.parametrize(("answer", "outcome", "words", "step"), OUTCOMES)
def test_what_a_look_finds(cast: Cast, released, cloud, answer, outcome, words, step):
    arrives(cast, Verdict.CLEAN)
    cloud.answer = answer
    found = look(cast)
    assert (found.outcome, found.is_over, cloud.reads) == (outcome, True, 1)
    assert words in found.words
    assert INFO in found.words
    assert next_step(found).code == step
    look(cast, times=2)
    assert cloud.reads == 1  # once and for all
    with _scope(cast):
        make_sense_of_backlog(cast.acme)
        told = list(OutgoingMail.objects.values_list("to_address", flat=True))
        place = Delivery.objects.get().place
        (entry,) = AuditEntry.objects.filter(action="incidents.release.looked_at")
    assert told == ([] if outcome in ("kept", "no_layer") else ["ana@keep.example"])
    assert entry.detail["outcome"] == outcome
    if isinstance(answer, CopyState):
        assert place == answer.place


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (NotThereYet("Not yet.", again_after_s=20), "not_seen", "has not been seen"),
        (LayerBlind("Consent is missing.", again_after_s=300), "blind", "Consent is missing."),
        (LayerError("Busy.", again_after_s=5), "blind", "Busy."),
    ],
)
def test_what_cannot_be_seen_is_looked_at_again_a_few_times(
    cast: Cast, released, cloud, error, outcome, words
):
    cloud.answer = error
    pauses = AGAIN_AFTER_S[ReleaseLook.Outcome(outcome)]
    for n, pause in enumerate(pauses, start=1):
        found = look(cast)
        assert (found.outcome, found.is_over, cloud.reads) == (outcome, False, n)
        assert words in found.words
        assert found.looked_at
        waits = (found.due_at - found.looked_at).total_seconds()
        assert waits == pytest.approx(pause, abs=1)
    assert look(cast).is_over
    look(cast, times=2)
    assert cloud.reads == len(pauses) + 1
    with _scope(cast):
        assert OutgoingMail.objects.count() == 1


def test_a_mail_that_comes_late_is_found_by_the_next_look(cast: Cast, released, cloud):
    cloud.answer = NotThereYet("Not yet.", again_after_s=20)
    look(cast)
    cloud.answer = at(Place.INBOX)
    assert look(cast).outcome == "kept"
    with _scope(cast):
        assert not OutgoingMail.objects.exists()


def test_an_abandoned_look_comes_round_and_the_old_one_does_not_count(
    cast: Cast, released, cloud, monkeypatch
):
    """A worker dies, or is slower than its lease: another looks, and its outcome stands."""

    class Slow(Cloud):
        @override
        def read_state(self, copy):
            if not self.reads:
                self.reads = 1
                found = look(cast)  # the lease has run out meanwhile, for all that the other knows
                assert found.outcome == "junked"
                return at(Place.INBOX)
            return at(Place.JUNK)

    monkeypatch.setitem(layers._layers, "mailbox", Slow({}))
    assert look(cast).outcome == "junked"
    with _scope(cast):
        assert AuditEntry.objects.filter(action="incidents.release.looked_at").count() == 1


def test_whoever_wants_can_look_again(cast: Cast, released, cloud):
    cloud.answer = at(Place.JUNK)
    found = look(cast)
    with _scope(cast):
        ask_look(look=found, actor=cast.ana)
    cloud.answer = at(Place.INBOX)
    assert look(cast).outcome == "kept"


def test_the_releaser_reads_what_happened_and_what_to_do(cast: Cast, released, cloud, mailoutbox):
    cloud.answer = at(Place.JUNK)
    look(cast)
    serve_outbox(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    (mail,) = mailoutbox
    assert "did not stay" in mail.body
    assert "junk folder of info@acme.example" in mail.body
    assert "See what to set at the mail host" in mail.body
    assert "evil.example" not in mail.body


@pytest.mark.parametrize(
    ("delivered", "same"),
    [
        (b"X-Ms: 1\r\nSubject: A\r\nTo: b\r\n\r\nText\r\n", True),
        (b"Subject: A\r\nTo: b\r\n\r\nText", True),
        (b"Subject: [EXTERNAL] A\r\nTo: b\r\n\r\nText\r\n", False),
        (b"Subject: A\r\nTo: b\r\n\r\nText and a banner\r\n", False),
        (b"Subject: A\r\n\r\nText\r\n", False),
    ],
)
def test_the_bytes_of_the_original(delivered: bytes, same: bool):
    original = b"Received: x\r\nSubject: A\r\nTo: b\r\n\r\nText\r\n"
    assert has_same_bytes(original, delivered) is same


def _pulled(cast: Cast, verdict: Verdict = Verdict.BEC) -> Incident:
    """Let in by the gateway, condemned inside, pulled, with a standing order."""
    with _scope(cast):
        record([gateway_saw(cast.acme, INFO)])
        record([mailbox_saw(cast.acme, INFO, item="i1", verdict=verdict)])
        make_sense_of_backlog(cast.acme)
        incident = Incident.objects.get()
        pull_incident(incident=incident, actor=cast.bo, reason="fraud")
    work(cast.acme)
    return incident


def test_a_copy_that_was_given_back_is_looked_at_too(cast: Cast, cloud):
    _pulled(cast)
    with _scope(cast):
        copy = Delivery.objects.get()
        assert copy.place == Place.QUARANTINE
        give_back(delivery=copy, actor=cast.ana, reason="It is true")
    work(cast.acme)
    assert look(cast).outcome == "kept"
    with _scope(cast):
        told = " ".join(line.lead for line in tell_story(Incident.objects.get()).lines)
        assert "Looked at after putting it back by Ana: still there." in told
        assert "the release" not in told, "nobody released it"
        pull_incident(incident=Incident.objects.get(), actor=cast.bo, reason="It is false")
        found = ReleaseLook.objects.get()
        ask_look(look=found, actor=cast.ana)
    work(cast.acme)
    again = look(cast)
    assert again.outcome == "pulled"
    assert "asked by Bo: “It is false”" in again.words
    with _scope(cast):
        lines = tell_story(Incident.objects.get(), is_for_client=True).lines
    [hers] = [line for line in lines if line.source.startswith("look:")]
    assert hers.lead == "Looked at after putting it back by Ana: pulled again by Bailey."
    assert "It is false" not in hers.text


LAW = [
    (Verdict.SPAM, Verdict.SUSPICIOUS, "", False, True),
    (Verdict.BEC, Verdict.BEC, "", False, True),
    (Verdict.BEC, Verdict.PHISH, "", False, False),
    (Verdict.MALWARE, Verdict.CLEAN, "", False, False),
    (Verdict.PHISH, Verdict.PHISH, "", True, True),
    (Verdict.CLEAN, Verdict.BEC, Verdict.PHISH, True, False),
]


@pytest.mark.parametrize(("gateway", "mailbox", "person", "beats", "is_let_be"), LAW)
def test_an_exception_beats_no_malware_no_phish_and_no_person(
    cast: Cast, gateway, mailbox, person, beats, is_let_be
):
    with _scope(cast):
        record([_held(cast)])
        make_sense_of_backlog(cast.acme)
        copy = Delivery.objects.get()
        allow_copy(copy, _made(beats=beats))
        allow_copy(copy, _made(beats=beats))
        copy.gateway_verdict, copy.mailbox_verdict, copy.person_verdict = gateway, mailbox, person
        assert (let_be([copy]) == {copy.id}) is is_let_be


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_released_mail_opens_an_incident_unless_an_exception_lets_it_be(
    cast: Cast, released, is_allowed
):
    made = _made()
    with _scope(cast):
        if is_allowed:
            allow_copy(released, made)
    arrives(cast, Verdict.BEC)
    with _scope(cast):
        copy = Delivery.objects.get()
        assert copy.was_released
        assert copy.mailbox_verdict == Verdict.BEC  # its word stands
        assert Incident.objects.exists() is not is_allowed
        assert Disagreement.objects.exists() is not is_allowed
        if is_allowed:
            assert stop_allowing(cast.acme, made.rule_id, cast.ana) == 1
            assert Incident.objects.get().kind == Incident.Kind.BEC
            assert stop_allowing(cast.acme, made.rule_id, cast.ana) == 0


def test_a_standing_order_leaves_what_an_exception_lets_be(cast: Cast, released, cloud):
    """Another copy was pulled, and the order would take this one too."""
    with _scope(cast):
        record([gateway_saw(cast.acme, "it@acme.example", verdict=Verdict.CLEAN)])
        record([mailbox_saw(cast.acme, "it@acme.example", item="i2", verdict=Verdict.BEC)])
        make_sense_of_backlog(cast.acme)
        pull_incident(incident=Incident.objects.get(), actor=cast.bo, reason="fraud")
        (mailbox, _) = foresee(_fresh(released))
        allow_copy(released, _made())
    arrives(cast, Verdict.BEC)
    assert mailbox.acts == "pull"
    assert "the standing order of Bo" in mailbox.text
    serve_responses(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with _scope(cast):
        pulled = Intent.objects.filter(action="pull").values_list("delivery__recipient", flat=True)
        assert list(pulled) == ["it@acme.example"]


def _fresh(copy: Delivery) -> Delivery:
    return Delivery.objects.select_related("message", "tenant").get(id=copy.id)


FORESEEN = [
    (Judged(verdict="clean"), "nothing", "leave it in the inbox"),
    (Judged(verdict="bec"), "ask", "It opens an incident, and a person decides."),
    (Judged(verdict="bec", entry={"owner": "Bo"}), "nothing", "the exception of Bo lets it be"),
    (NoMailbox("Not watched."), "nobody", "Nothing looks at the mail after delivery."),
    (LayerBlind("It is blind."), "unknown", "Not known. It is blind."),
    (LayerError("Its original is not kept."), "unknown", "Not known. Its original is not kept."),
]


@pytest.mark.parametrize(("judges", "acts", "words"), FORESEEN)
def test_what_the_mailbox_layer_will_do_is_said(cast: Cast, cloud, judges, acts, words):
    cloud.judges = judges
    make_gate(cast, cast.acme)
    with _scope(cast):
        record([_held(cast)])
        make_sense_of_backlog(cast.acme)
        (mailbox, _) = foresee(_fresh(Delivery.objects.get()))
    assert mailbox.acts == acts
    assert words in mailbox.text


def test_late_verdicts_that_act_by_themselves_are_said(cast: Cast, cloud):
    cloud.judges = Judged(verdict="bec", confidence=0.9)
    make_gate(cast, cast.acme)
    with _scope(cast):
        set_late_verdicts(tenant=cast.acme, actor=cast.mo, rule_mode="auto")
        record([_held(cast)])
        make_sense_of_backlog(cast.acme)
        (mailbox, _) = foresee(_fresh(Delivery.objects.get()))
        assert "the gateway would then block mail like it" in mailbox.text
        set_late_verdicts(tenant=cast.acme, actor=cast.ana, stop=True)
        (mailbox, _) = foresee(_fresh(Delivery.objects.get()))
        assert "block" not in mailbox.text


def test_what_the_gateway_will_do_with_the_next_is_said(cast: Cast, cloud):
    make_gate(cast, cast.acme)
    with _scope(cast):
        record([_held(cast, Verdict.PHISH)])
        make_sense_of_backlog(cast.acme)
        copy = _fresh(Delivery.objects.get())
        seen = foresee(copy)
    assert [each.layer for each in seen] == ["mailbox", "gateway"]
    assert seen[1].acts == "hold"
    assert seen[1].text.startswith("The next mail like it would be held: policy of Acme")
    assert "phishing" in why_exception_fails(copy, seen)


def test_of_a_pulled_mail_the_gateway_is_the_other_layer(cast: Cast, cloud):
    _pulled(cast)
    with _scope(cast):
        copy = _fresh(Delivery.objects.get())
        gateway, mailbox = foresee(copy)
    assert (gateway.layer, gateway.acts) == ("gateway", "unknown")  # it kept no facts
    assert "Not known." in gateway.text
    assert (mailbox.layer, mailbox.acts) == ("mailbox", "nothing")


def test_the_look_is_due_when_the_setting_says(cast: Cast, cloud, settings):
    settings.RELEASE_LOOK_AFTER_S = 300
    make_gate(cast, cast.acme)
    with _scope(cast):
        record([_held(cast)])
        make_sense_of_backlog(cast.acme)
        release_held(delivery=Delivery.objects.get(), actor=cast.ana, reason="They called")
        assert not ReleaseLook.objects.exists()  # nothing is delivered yet
        settle_intent(Intent.objects.get().id, ok=True, detail="")
        found = ReleaseLook.objects.get()
    assert found.due_at - found.delivered_at == timedelta(seconds=300)
    assert serve_looks(ClaimedWork(cast.acme.id, cast.provider.id, 1)) == found.due_at
    assert cloud.reads == 0
    assert serve_remediation(ClaimedWork(cast.acme.id, cast.provider.id, 1)) is None
