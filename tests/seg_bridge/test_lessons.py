"""From a person's decision to a gate's command, and back."""

from hashlib import sha256

import pytest
from django.utils import timezone

from incidents import layers
from incidents.correlation import serve_intake
from incidents.execution import serve_remediation
from incidents.held import release_together
from incidents.intake import record
from incidents.layers import LayerError
from incidents.lessons import Act, teach_from_held
from incidents.models import Delivery, Incident, Intent
from incidents.services import reopen_incident, resolve_incident
from incidents.words import Outcome, Place, Verdict
from seg_bridge.held.drop import delete_held
from seg_bridge.learning.orders import NO_GATE, NO_ORIGINAL
from seg_bridge.learning.told import lessons_about, sentence_of
from seg_bridge.models import GateClient, Lesson, PolicyLayer
from seg_bridge.policies.push import serve_policies
from tenants.audit import BAILEY
from tenants.doors import ClaimedWork
from tenants.models import AuditEntry, Mailbox
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.factories import Cast, gateway_saw, mailbox_saw, state_policy
from tests.seg_bridge.conftest import Wire, make_gate

RAW = b"From: eve@evil.example\r\n\r\npay here\r\n"
DIGEST = sha256(RAW).hexdigest()
INFO = "info@acme.example"


def analyst(cast: Cast):
    ids = [cast.acme.id, cast.globex.id]
    return tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id)


@pytest.fixture
def willing(cast: Cast) -> Cast:
    with analyst(cast):
        state_policy(cast.acme, learn="own")
    return cast


def arrive(cast: Cast, wire: Wire, n: int = 1, *recipients: str, tenant=None, **gateway) -> None:
    """The gate holds a phish; ``gateway`` changes what it says."""
    tenant = tenant or cast.acme
    values = {"verdict": Verdict.PHISH, "score": 12.0, "action": Outcome.HELD, "place": Place.HOLD}
    values |= {"evidence": DIGEST} | gateway
    for recipient in recipients or (f"info@{tenant.slug}.example",):
        seen = gateway_saw(
            tenant,
            recipient,
            ulid=f"01J000000000000000000{tenant.id % 1000:03d}0{n}",
            internet_message_id=f"<{n}@evil.example>",
            fingerprint=f"{n}" * 32,
            **values,
        )
        assert wire.ship(seen).json()["stored"] == 1
    serve_intake(ClaimedWork(tenant.id, cast.provider.id, 1))


def delivered_and_found(cast: Cast, wire: Wire, found: Verdict, **gateway) -> Incident:
    """The gateway lets it through, the mailbox layer finds it."""
    passed = {"verdict": Verdict.CLEAN, "action": Outcome.DELIVERED, "place": Place.UNKNOWN}
    arrive(cast, wire, **(passed | gateway))
    ulid = f"01J000000000000000000{cast.acme.id % 1000:03d}01"
    same = {"internet_message_id": "<1@evil.example>", "fingerprint": "1" * 32}
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record([mailbox_saw(cast.acme, INFO, trace_ulid=ulid, verdict=found, **same)])
    serve_intake(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    return incident(cast)


def incident(cast: Cast) -> Incident:
    with analyst(cast):
        return Incident.objects.select_related("tenant").get()


def resolve(cast: Cast, found: Incident, classification: str = "true_positive") -> None:
    with analyst(cast):
        resolve_incident(
            incident=found, actor=cast.ana, classification=classification, cause="seen"
        )


def reopen(cast: Cast, found: Incident) -> None:
    with analyst(cast):
        reopen_incident(incident=found, actor=cast.ana, reason="was wrong")


def waiting(wire: Wire):
    return [each for each in wire.news(after=0)["commands"] if each["kind"] == "learn"]


def answer(wire: Wire, command, detail: str = "learned", *, ok: bool = True) -> None:
    line = {"kind": "command_done", "command_id": command["id"], "ok": ok, "detail": detail}
    assert wire.ship(line | {"at": timezone.now().isoformat()}).json()["stored"] == 1


def lessons(cast: Cast) -> list[Lesson]:
    with analyst(cast):
        return list(Lesson.objects.select_related("command__gate").order_by("id"))


def test_a_resolved_incident_teaches_the_gate_that_saw_the_mail(willing: Cast, wire: Wire):
    found = delivered_and_found(willing, wire, Verdict.PHISH)
    resolve(willing, found)
    (command,) = waiting(wire)
    assert command["terms"] == {"as_spam": True, "share": "", "unshare": ""}
    assert (command["tenant_id"], command["evidence"]) == (willing.acme.id, DIGEST)
    assert (command["recipients"], command["released_by"]) == ([], "Ana")
    answer(wire, command)
    assert waiting(wire) == []
    (lesson,) = lessons(willing)
    assert (lesson.command.ok, lesson.command.detail) == (True, "learned")
    assert lesson.incident_id == found.id
    with analyst(willing):
        entry = AuditEntry.objects.get(action="seg_bridge.lesson.ordered")
        assert (entry.actor_name, entry.object_id) == ("Ana", str(found.id))


@pytest.mark.parametrize(
    ("consent", "terms"),
    [
        ("no", None),
        ("own", {"as_spam": True, "share": "", "unshare": ""}),
        ("shared", {"as_spam": True, "share": "phish", "unshare": ""}),
    ],
)
def test_the_client_says_how_far_it_goes(cast: Cast, wire: Wire, consent: str, terms):
    with analyst(cast):
        state_policy(cast.acme, learn=consent)
    resolve(cast, delivered_and_found(cast, wire, Verdict.PHISH))
    assert [each["terms"] for each in waiting(wire)] == ([terms] if terms else [])


def test_nothing_is_learned_unless_somebody_says_so(cast: Cast, wire: Wire):
    resolve(cast, delivered_and_found(cast, wire, Verdict.PHISH))
    assert lessons(cast) == []


def test_one_careful_mailbox_keeps_a_mail_from_being_learned(willing: Cast, wire: Wire):
    with analyst(willing):
        box = Mailbox.objects.get(address="ceo@acme.example")
        PolicyLayer.objects.create(
            provider=willing.provider,
            tenant=willing.acme,
            level="mailbox",
            mailbox=box,
            stated={"learn": {"value": "no"}},
            changed_by="Mo",
        )
    arrive(willing, wire, 1, INFO, "ceo@acme.example")
    arrive(willing, wire, 2, INFO)
    with analyst(willing):
        for copy in Delivery.objects.filter(recipient=INFO):
            teach_from_held([copy], Act.FALSE_ALARM, willing.ana)
    assert [each["ulid"][-1] for each in waiting(wire)] == ["2"]


def test_a_mail_with_many_copies_is_one_lesson(willing: Cast, wire: Wire):
    arrive(willing, wire, 1, INFO, "ceo@acme.example", "cfo@acme.example")
    with analyst(willing):
        teach_from_held(list(Delivery.objects.all()), Act.FALSE_ALARM, willing.ana)
    (command,) = waiting(wire)
    assert command["terms"]["as_spam"] is False


def test_the_same_is_not_taught_twice_and_the_opposite_is(willing: Cast, wire: Wire):
    arrive(willing, wire)
    with analyst(willing):
        copies = list(Delivery.objects.all())
        for act in (Act.FALSE_ALARM, Act.FALSE_ALARM, Act.RELEASED, Act.DENIED_AS_SPAM):
            teach_from_held(copies, act, willing.ana)
    assert [each["terms"]["as_spam"] for each in waiting(wire)] == [False, True]


@pytest.mark.parametrize("is_spam", [True, False])
def test_held_mail_that_is_thrown_away_as_spam_is_learned_and_no_other(
    willing: Cast, wire: Wire, is_spam: bool
):
    arrive(willing, wire)
    with analyst(willing):
        copy = Delivery.objects.get()
        delete_held(delivery=copy, actor=willing.ana, reason="seen", is_spam=is_spam)
    assert [each["terms"]["as_spam"] for each in waiting(wire)] == [True] * is_spam


def test_what_failed_is_tried_again_with_the_next_decision(willing: Cast, wire: Wire):
    arrive(willing, wire)
    for _ in range(2):
        with analyst(willing):
            teach_from_held(list(Delivery.objects.all()), Act.FALSE_ALARM, willing.ana)
        (command,) = waiting(wire)
        answer(wire, command, "Rspamd: no answer within 15 s", ok=False)
    assert len(lessons(willing)) == 2


def test_nobody_has_decided_what_a_policy_did(willing: Cast, wire: Wire):
    arrive(willing, wire)
    with analyst(willing):
        teach_from_held(list(Delivery.objects.all()), Act.FALSE_ALARM, BAILEY)
    assert lessons(willing) == []


@pytest.mark.parametrize("is_false_alarm", [True, False])
def test_a_release_teaches_only_where_it_was_a_false_alarm(
    willing: Cast, wire: Wire, is_false_alarm: bool
):
    arrive(willing, wire)
    with analyst(willing):
        release_together(
            delivery=Delivery.objects.get(),
            also=[],
            actor=willing.ana,
            reason="asked",
            is_false_alarm=is_false_alarm,
        )
    assert len(waiting(wire)) == is_false_alarm
    assert "release" in [each["kind"] for each in wire.news(after=0)["commands"]]


def test_an_incident_that_is_opened_again_takes_its_lesson_back(cast: Cast, wire: Wire):
    with analyst(cast):
        state_policy(cast.acme, learn="shared")
    found = delivered_and_found(cast, wire, Verdict.PHISH)
    resolve(cast, found)
    (first,) = waiting(wire)
    answer(wire, first, "learned; hashes: shared")
    reopen(cast, found)
    (second,) = waiting(wire)
    assert second["terms"] == {"as_spam": False, "share": "", "unshare": "phish"}
    answer(wire, second, "learned; hashes: taken back")
    resolve(cast, found, "benign")
    assert waiting(wire) == []
    reopen(cast, found)
    assert waiting(wire) == [], "there is nothing left to take back"
    resolve(cast, found)
    (again,) = waiting(wire)
    assert again["terms"] == {"as_spam": True, "share": "phish", "unshare": ""}


def test_a_lesson_that_failed_hides_none_that_was_learned(cast: Cast, wire: Wire):
    with analyst(cast):
        state_policy(cast.acme, learn="shared")
    found = delivered_and_found(cast, wire, Verdict.PHISH, verdict=Verdict.SPAM)
    resolve(cast, found)
    (learned,) = waiting(wire)
    answer(wire, learned, "learned; hashes: shared")
    reopen(cast, found)
    (failed,) = waiting(wire)
    answer(wire, failed, "Rspamd: no answer (tried 4 times)", ok=False)
    resolve(cast, found, "false_positive")
    (command,) = waiting(wire)
    assert command["terms"] == {"as_spam": False, "share": "", "unshare": "phish"}


@pytest.mark.parametrize(
    ("ok", "detail", "terms"),
    [
        (True, "known before", {"as_spam": False, "share": "", "unshare": ""}),
        (True, "not needed (too few words)", None),
        (False, "this gate has no engine that learns", None),
        (
            False,
            "learned; Rspamd: no answer (tried 4 times)",
            {"as_spam": False, "share": "", "unshare": ""},
        ),
    ],
)
def test_only_what_was_learned_is_taken_back(willing: Cast, wire: Wire, ok, detail, terms):
    found = delivered_and_found(willing, wire, Verdict.PHISH)
    resolve(willing, found)
    (command,) = waiting(wire)
    answer(wire, command, detail, ok=ok)
    reopen(willing, found)
    assert [each["terms"] for each in waiting(wire)] == ([terms] if terms else [])


def test_a_false_positive_teaches_that_it_is_no_spam(willing: Cast, wire: Wire):
    found = delivered_and_found(willing, wire, Verdict.PHISH, verdict=Verdict.SPAM)
    resolve(willing, found, "false_positive")
    (command,) = waiting(wire)
    assert command["terms"]["as_spam"] is False


@pytest.mark.parametrize(
    ("changes", "is_served", "refusal"),
    [({"evidence": ""}, True, NO_ORIGINAL), ({}, False, NO_GATE)],
)
def test_what_cannot_be_taught_says_why(willing: Cast, wire: Wire, changes, is_served, refusal):
    arrive(willing, wire, **changes)
    if not is_served:
        with maintenance_scope():
            GateClient.objects.filter(tenant=willing.acme).delete()
    with analyst(willing):
        teach_from_held(list(Delivery.objects.all()), Act.FALSE_ALARM, willing.ana)
    (lesson,) = lessons(willing)
    assert (lesson.command, lesson.refusal, lesson.is_failed) == (None, refusal, True)


def test_the_gate_gets_the_bytes_while_it_has_to_learn_from_them(willing: Cast, wire: Wire):
    wire.ask("PUT", f"/ship/evidence/{willing.acme.id}/{DIGEST}", RAW)
    arrive(willing, wire)
    target = f"/ship/evidence/{willing.acme.id}/{DIGEST}"
    assert wire.ask("GET", target).status_code == 404
    with analyst(willing):
        teach_from_held(list(Delivery.objects.all()), Act.FALSE_ALARM, willing.ana)
    assert wire.ask("GET", target).content == RAW
    with maintenance_scope():
        entry = AuditEntry.objects.get(action="seg_bridge.evidence.fetched")
        assert entry.reason == "to learn from a mail"
    answer(wire, *waiting(wire))
    assert wire.ask("GET", target).status_code == 404


def test_lessons_are_their_clients_and_go_to_no_other_gate(willing: Cast, wire: Wire):
    other = Wire(make_gate(willing, willing.acme, willing.globex, name="mx2"), wire.client)
    arrive(willing, wire)
    arrive(willing, wire, tenant=willing.globex)
    with analyst(willing):
        for copy in Delivery.objects.all():
            teach_from_held([copy], Act.FALSE_ALARM, willing.ana)
    (command,) = waiting(wire)
    assert command["tenant_id"] == willing.acme.id, "Globex has not agreed"
    assert waiting(other) == []
    with tenant_scope(Role.ANALYST, [willing.globex.id], provider_id=willing.provider.id):
        assert not Lesson.objects.exists()


@pytest.mark.parametrize(
    ("as_spam", "ok", "detail", "sentence"),
    [
        (True, True, "learned", "The filter has learned that this mail is spam."),
        (False, True, "known before", "The filter knew before that this mail is not spam."),
        (
            True,
            True,
            "not needed (all learn conditions denied learning spam in default classifier)",
            "The filter did not need to learn that this mail is spam: it holds it so already.",
        ),
        (
            True,
            True,
            "not needed (too few words); hashes: too short for a hash",
            "The filter did not need to learn that this mail is spam (too few words); it is too"
            " short for a hash.",
        ),
        (
            True,
            True,
            "learned; hashes: shared",
            "The filter has learned that this mail is spam; its hashes are known to all clients of"
            " the gateway.",
        ),
        (
            None,
            True,
            "hashes: taken back",
            "Its hashes are taken back from all clients of the gateway.",
        ),
        (
            True,
            False,
            "this gate has no engine that learns",
            "The filter could not be taught that this mail is spam: this gate has no engine that"
            " learns.",
        ),
    ],
)
def test_what_came_of_a_lesson_is_one_sentence(as_spam, ok, detail, sentence):
    assert sentence_of(as_spam, ok, detail) == sentence


def test_a_lesson_is_told_with_its_number_its_gate_and_why(willing: Cast, wire: Wire):
    found = delivered_and_found(willing, wire, Verdict.PHISH)
    resolve(willing, found)
    (command,) = waiting(wire)
    with analyst(willing):
        message_id = Delivery.objects.get().message_id
        (told,) = lessons_about([message_id])
        assert told.sentence == "Gate mx1 has yet to learn that this mail is spam."
        assert (told.number, told.gate) == (command["seq"], "mx1")
        assert told.why == f"Incident {found.number} was resolved as a true positive, by Ana."
    answer(wire, command)
    reopen(willing, found)
    with analyst(willing):
        (last,) = lessons_about([message_id], is_last_only=True)
        assert last.lesson.takes_back
        assert len(lessons_about([message_id])) == 2


class Mailboxes:
    """A mailbox layer that gives every mail, or says why not."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem

    def fetch(self, copy):
        if self.problem:
            raise LayerError(self.problem)
        return RAW, "graph-mime"


@pytest.mark.parametrize("problem", ["", "The mailbox is gone."])
def test_what_the_gateway_missed_is_fetched_from_the_mailbox_first(
    willing: Cast, wire: Wire, monkeypatch, problem: str
):
    monkeypatch.setitem(layers._layers, "mailbox", Mailboxes(problem))
    found = delivered_and_found(willing, wire, Verdict.SPAM, evidence="")
    resolve(willing, found)
    assert waiting(wire) == []
    with analyst(willing):
        (told,) = lessons_about([Delivery.objects.get().message_id])
        assert told.sentence.startswith("Its original is fetched first")
    claimed = ClaimedWork(willing.acme.id, willing.provider.id, 1)
    for _ in range(2):
        serve_policies(claimed)
    with analyst(willing):
        assert Intent.objects.filter(action="acquire").count() == 1, "it is asked once"
    serve_remediation(claimed)
    commands = waiting(wire)
    (lesson,) = lessons(willing)
    if problem:
        assert commands == []
        assert lesson.refusal == f"{NO_ORIGINAL}, and its mailbox did not give it: {problem}"
    else:
        assert [each["evidence"] for each in commands] == [DIGEST]
        assert str(lesson.command.id) == commands[0]["id"]
