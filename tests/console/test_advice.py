"""What is recommended can be done with the layers that the client has."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from api_bridge.models import Connection
from console.queries.incident import copy_rows
from incidents.models import Delivery, Incident, Job, Message
from incidents.remediation import block_sender
from incidents.services.comments import log_call
from seg_bridge.services import create_gate
from tenants.audit import BAILEY
from tenants.scope import maintenance_scope
from tests.console.test_pages import open_phish
from tests.console.test_queue import as_ana, counts, make, scope  # noqa: F401

pytestmark = pytest.mark.usefixtures("no_broker")

HOUR = timedelta(hours=1)
UNSEEN = counts(copies=2, delivered=2, unseen=2)


@pytest.fixture
def gate(cast):
    with maintenance_scope():
        made, _ = create_gate(
            provider=cast.provider,
            name="mx1",
            hostname="mx1.example",
            tenants=[cast.acme],
            actor=BAILEY,
        )
        made.last_seen_at = timezone.now()
        made.save(update_fields=["last_seen_at"])


def delivered(cast, **changes):
    values = {"state": "triaged", "counts": UNSEEN, "sender": "eve@evil.example"}
    with scope(cast):
        return make(cast.acme, 1, **(values | changes))


def read(as_ana, incident):  # noqa: F811
    page = as_ana.get(reverse("incident", args=[incident.id]))
    queue = as_ana.get(reverse("queue"), {"tab": "team"}).content.decode()
    return page.context["page"], queue


def texts(page):
    return [each.text for each in page.others]


def test_without_a_mailbox_layer_the_sender_is_blocked_and_then_the_people_are_told(
    as_ana,  # noqa: F811
    cast,
    gate,
):
    incident = delivered(cast)
    page, queue = read(as_ana, incident)
    assert page.advice.text == "Block sender"
    assert "Acme has no mailbox layer: 2 copies cannot be pulled." in page.advice.effect
    assert page.look_again == ""
    assert "Pull" not in " ".join(texts(page))
    assert "Block the sender" in queue
    with scope(cast):
        block_sender(incident=incident, actor=cast.ana, reason="fraud", expires_at=None)

    page, queue = read(as_ana, incident)
    assert page.advice.text == "Tell the recipients"
    assert page.advice.href == reverse("incident_call", args=[incident.id])
    assert "Tell the recipients" in queue
    assert "Sender blocked" in queue


@pytest.mark.parametrize("changes", [{"sender": ""}, {"cross_layer": ["internal_only"]}])
def test_a_sender_whom_no_gateway_can_stop_is_not_to_be_blocked(as_ana, cast, gate, changes):  # noqa: F811
    page, queue = read(as_ana, delivered(cast, **changes))
    assert page.advice.text == "Tell the recipients"
    assert "Block sender" not in texts(page)
    assert "Tell the recipients" in queue


def test_with_no_layer_at_all_the_people_are_told(as_ana, cast):  # noqa: F811
    page, _ = read(as_ana, delivered(cast))
    assert page.advice.text == "Tell the recipients"
    assert "Block sender" not in texts(page)


def test_a_blind_mailbox_layer_pulls_later_and_the_gateway_helps_now(as_ana, cast, gate):  # noqa: F811
    with scope(cast):
        Connection.objects.create(tenant=cast.acme, kind="graph", blind_since=timezone.now() - HOUR)
    page, _ = read(as_ana, delivered(cast, counts=counts(copies=2, delivered=2, in_inbox=2)))
    assert page.advice.text == "Block sender"
    assert "blind" in page.advice.effect
    assert "Pull when the layer sees again" in texts(page)


def test_a_mailbox_layer_that_sees_pulls(as_ana, cast, gate):  # noqa: F811
    with scope(cast):
        Connection.objects.create(tenant=cast.acme, kind="graph")
    page, queue = read(as_ana, delivered(cast))
    assert page.advice.text == "Pull 2 copies"
    assert "Pull 2 copies" in queue
    assert texts(page) == ["Block sender", "Resolve"]


def test_a_client_without_a_gateway_is_not_told_to_block(as_ana, cast):  # noqa: F811
    with scope(cast):
        Connection.objects.create(tenant=cast.acme, kind="graph")
    page, _ = read(as_ana, delivered(cast))
    assert texts(page) == ["Resolve"]


def test_blocking_is_on_record_as_an_act(as_ana, cast, gate):  # noqa: F811
    incident = delivered(cast)
    as_ana.post(reverse("incident_block", args=[incident.id]), {"days": "30", "reason": "fraud"})
    with scope(cast):
        job = Job.objects.get(incident=incident)
    assert (job.kind, job.state, job.requested_by) == ("block", "done", "Ana")


def test_what_was_read_is_not_said_of_the_copies_that_are_left(as_ana, cast, gate):  # noqa: F811
    left = counts(copies=3, delivered=3, in_inbox=1, removed=2, read=2)
    page, _ = read(as_ana, delivered(cast, counts=left))
    assert page.sentence == "1 copy can be reached by people now; 2 of all 3 were read."


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ({"copies": 1, "in_inbox": 1}, "1 copy can be reached by people now, not read so far."),
        (
            {"copies": 1, "in_inbox": 1, "read": 1},
            "1 copy can be reached by people now, and was read.",
        ),
        (
            {"copies": 2, "in_inbox": 2, "read": 2},
            "2 copies can be reached by people now, both read.",
        ),
        (
            {"copies": 3, "in_inbox": 3},
            "3 copies can be reached by people now, none of them read so far.",
        ),
        (
            {"copies": 3, "in_inbox": 3, "read": 1},
            "3 copies can be reached by people now, 1 of them read.",
        ),
    ],
)
def test_the_sentence_on_exposure_is_english(as_ana, cast, numbers, sentence):  # noqa: F811
    page, _ = read(as_ana, delivered(cast, counts=counts(**{"delivered": 1} | numbers)))
    assert page.sentence == sentence


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (1, "1 copy is in a mailbox. It was found to be harmless."),
        (2, "2 copies are in mailboxes. It was found to be harmless."),
    ],
)
def test_of_what_was_closed_as_harmless_nobody_is_in_danger(
    as_ana,  # noqa: F811
    cast,
    gate,
    number,
    sentence,
):
    values = {"state": "resolved", "classification": "benign", "resolved_at": timezone.now()}
    numbers = counts(copies=number, delivered=number, in_inbox=number)
    page, _ = read(as_ana, delivered(cast, counts=numbers, **values))
    assert page.sentence == sentence


def test_lists_that_are_cut_say_so(as_ana, cast, gate):  # noqa: F811
    many = counts(copies=900, delivered=900, in_inbox=900, messages=150)
    incident = delivered(cast, counts=many)
    page = as_ana.get(reverse("incident", args=[incident.id])).content.decode()
    assert '<span class="count">150</span><span class="dim small">the newest' in page
    assert '<span class="count">900</span><span class="dim small">' in page


def test_an_account_is_secured_by_a_call_and_its_own_mailbox_is_not_blocked(as_ana, cast, gate):  # noqa: F811
    values = {"kind": "account", "sender": "ceo@acme.example", "counts": counts(copies=5, held=5)}
    incident = delivered(cast, **values)
    page, queue = read(as_ana, incident)
    assert page.advice.text == "Call the contact"
    assert "the password of ceo@acme.example" in page.advice.effect
    assert "Block sender" not in [other.text for other in page.others]
    assert "Gateway stopped it" in queue
    assert "Release 5 copies" not in [other.text for other in page.others], "nobody wrote them"
    text = as_ana.get(reverse("incident", args=[incident.id])).content.decode()
    assert reverse("client_outbound", args=["acme"]) in text


def test_a_pull_that_runs_is_not_recommended_again(as_ana, cast):  # noqa: F811
    with maintenance_scope():
        Connection.objects.create(tenant=cast.acme)
    seen = counts(copies=2, delivered=2, in_inbox=2)
    incident = delivered(cast, counts=seen, mailbox_verdict="phish")
    with scope(cast):
        job = Job.objects.create(
            tenant=cast.acme,
            incident=incident,
            kind=Job.Kind.PULL,
            state=Job.State.RUNNING,
            counts={"copies": 2, "verified": 1},
        )
    page, queue = read(as_ana, incident)
    assert (page.advice.text, page.advice.href) == ("Pull runs: 1 of 2", "")
    assert "Pull runs: 1 of 2" in queue

    with scope(cast):
        Job.objects.filter(id=job.id).update(state=Job.State.PARTLY)
    page, _queue = read(as_ana, incident)
    assert page.advice.text == "Pull 2 copies"


def test_after_the_pull_of_answered_fraud_the_contact_is_called_before_it_is_resolved(
    as_ana,  # noqa: F811
    cast,
):
    with maintenance_scope():
        Connection.objects.create(tenant=cast.acme)
    gone = counts(copies=2, delivered=2, removed=2, read=2, replied=1, forwarded=1)
    incident = delivered(cast, counts=gone, kind="bec")
    page, _queue = read(as_ana, incident)
    assert page.advice.text == "Call the contact"
    assert page.advice.effect.startswith("1 replied, 1 passed on: ask what was sent or paid")
    assert page.advice.href == reverse("incident_call", args=[incident.id])

    with scope(cast):
        log_call(incident=incident, actor=cast.ana, whom="Irma", said="No payment was made.")
    page, _queue = read(as_ana, incident)
    assert page.advice.text == "Resolve"


def test_one_copy_is_spoken_of_as_one(as_ana, cast):  # noqa: F811
    with maintenance_scope():
        Connection.objects.create(tenant=cast.acme)
    seen = counts(copies=1, delivered=1, in_inbox=1)
    page, _queue = read(as_ana, delivered(cast, counts=seen, mailbox_verdict="phish"))
    assert page.advice.effect.startswith("It goes to a hidden folder")


def test_a_repair_that_was_made_by_hand_is_not_recommended(as_ana, cast, gate):  # noqa: F811
    incident = open_phish(cast.acme)
    gone = counts(copies=1, delivered=1, removed=1)
    with scope(cast):
        Incident.objects.filter(id=incident.id).update(counts=gone)
    assert read(as_ana, incident)[0].advice.text == "Accept the repair"

    with scope(cast):
        block_sender(incident=incident, actor=cast.ana, reason="fraud", expires_at=None)
    assert read(as_ana, incident)[0].advice.text == "Resolve"


def test_a_stop_that_was_a_false_alarm_lets_its_mail_go(as_ana, cast, gate):  # noqa: F811
    closed = {"state": "resolved", "resolved_at": timezone.now()}
    values = {"kind": "account", "sender": "ceo@acme.example", "counts": counts(copies=5, held=5)}
    incident = delivered(cast, **values, **closed, classification="false_positive")
    page, _ = read(as_ana, incident)
    assert "Release 5 copies" in [other.text for other in page.others]


@pytest.mark.parametrize(("kind", "is_chosen"), [("account", True), ("phish", False)])
def test_what_most_likely_caused_it_is_chosen_first(as_ana, cast, kind, is_chosen):  # noqa: F811
    incident = delivered(cast, kind=kind)
    page = as_ana.get(reverse("incident_resolve", args=[incident.id])).content.decode()
    assert ('<option value="account" selected' in page) is is_chosen


def test_a_copy_is_in_a_bad_place_where_a_person_condemns_one_of_its_mail():
    mails = {"place": "inbox", "gateway_verdict": "clean"}
    one, two = Message(), Message()
    copies = [Delivery(message=mail, **mails) for mail in (one, one, two)]
    assert [row.is_threat for row in copy_rows(copies)] == [False, False, False]
    copies[0].person_verdict = "phish"
    assert [row.is_threat for row in copy_rows(copies)] == [True, True, False]
