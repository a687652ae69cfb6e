"""Who answered a mail or passed it on, from what mailboxes sent: laws and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incidents.answers import sweep_answers
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.mail.answers import answered_ids, is_forward_subject
from incidents.models import Answer, Delivery, Incident
from incidents.observations import Observation
from incidents.words import Place, Verdict
from tenants.models import Mailbox, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw, mailbox_sent

EVE, IT = "eve@evil.example", "it@acme.example"
NAMED = "<fraud@evil.example>"
CAME = datetime(2026, 11, 22, 8, tzinfo=UTC)


def scope(tenant: Tenant):
    return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)


def tell(tenant: Tenant, *seen: Observation) -> None:
    """Each in a batch of its own, in this order."""
    for each in seen:
        with scope(tenant):
            record([each])
            make_sense_of_backlog(tenant)


def fraud(tenant: Tenant, whom: str = IT, *, named: str = NAMED, **changes) -> Observation:
    facts = mail_json(subject="Pay", sender={"address": EVE, "name": "CFO", "raw": ""}) | {
        "reply_to": [{"address": "boss@free.example", "name": "", "raw": ""}]
    }
    return mailbox_saw(
        tenant,
        whom,
        **{
            "item": f"item-{whom}-{named}",
            "internet_message_id": named,
            "fingerprint": "f" * 32,
            "observed_at": CAME,
            "verdict": Verdict.BEC,
            "trace_ulid": "",
            "trace_state": "missing",
            "mail": facts,
            "detail": {"received_at": CAME.isoformat(), "conversation": "AAQk-1"},
        }
        | changes,
    )


def sent(
    tenant: Tenant,
    whom: str = IT,
    *,
    to: Sequence[str] = (EVE,),
    subject: str = "Re: Pay",
    parent: str = NAMED,
    way: Sequence[str] = (),
    conversation: str = "",
    after_s: int = 600,
) -> Observation:
    return mailbox_sent(
        tenant,
        whom,
        answers=parent,
        to=to,
        at=CAME + timedelta(seconds=after_s),
        subject=subject,
        references=way,
        conversation=conversation,
        item=f"sent-{after_s}-{subject}",
    )


def marks(tenant: Tenant, whom: str = IT, named: str = NAMED) -> tuple[int | None, int | None]:
    """After how many seconds it was answered, and passed on."""
    with scope(tenant):
        copy = Delivery.objects.get(recipient=whom, message__internet_message_id=named)
    times = (copy.replied_at, copy.forwarded_at)
    replied, forwarded = (int((at - CAME).total_seconds()) if at else None for at in times)
    assert (copy.replied_by is None) == (replied is None)
    assert (copy.forwarded_by is None) == (forwarded is None)
    return replied, forwarded


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_whatever_is_told_first_the_first_answer_counts(cast: Cast, order):
    told = (fraud(cast.acme), sent(cast.acme, after_s=900), sent(cast.acme, after_s=600))
    tell(cast.acme, *(told[place] for place in order))
    assert marks(cast.acme) == (600, None)


def test_the_incident_counts_it_and_is_more_severe(cast: Cast):
    tell(cast.acme, fraud(cast.acme))
    with scope(cast.acme):
        before = Incident.objects.get()
    tell(cast.acme, sent(cast.acme))
    with scope(cast.acme):
        after = Incident.objects.get()
    assert (before.counts["replied"], after.counts["replied"]) == (0, 1)
    assert {part["code"] for part in after.severity_parts} >= {"replied"}
    assert after.queue_rank >= before.queue_rank


def test_a_late_verdict_finds_the_answer_that_was_given_before(cast: Cast):
    tell(cast.acme, fraud(cast.acme, verdict=Verdict.CLEAN), sent(cast.acme))
    late = fraud(cast.acme, observed_at=CAME + timedelta(hours=3))
    tell(cast.acme, late)
    with scope(cast.acme):
        assert Incident.objects.get().counts["replied"] == 1


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, (600, None)),
        ({"to": ["boss@free.example"]}, (600, None)),  # where he wants his answers
        ({"to": ["friend@acme.example"]}, (600, None)),  # it says it answers this mail
        ({"to": ["friend@acme.example"], "subject": "FW: Pay"}, (None, 600)),
        ({"to": [EVE], "subject": "FW: Pay"}, (600, None)),  # back to him all the same
        ({"to": ["helpdesk@msp.example"], "subject": "WG: Pay"}, (None, 600)),
        # By the way of references: only to who wrote it.
        ({"parent": "<other@x.example>", "way": [NAMED, "<other@x.example>"]}, (600, None)),
        (
            {"parent": "<other@x.example>", "way": [NAMED], "to": ["a@x.example"]},
            (None, None),
        ),
        # By the conversation alone: only to who wrote it, or as passed on.
        ({"parent": "", "conversation": "AAQk-1"}, (600, None)),
        ({"parent": "", "conversation": "AAQk-1", "to": ["a@x.example"]}, (None, None)),
        (
            {"parent": "", "conversation": "AAQk-1", "to": ["a@x.example"], "subject": "Fwd: Pay"},
            (None, 600),
        ),
        ({"parent": "", "conversation": "AAQk-2"}, (None, None)),
        ({"parent": "", "conversation": ""}, (None, None)),
        ({"parent": "<other@evil.example>"}, (None, None)),
        # Sent before the mail came: a forged Message-ID, or an older thread.
        ({"after_s": -600}, (None, None)),
        ({"after_s": -600, "parent": "", "conversation": "AAQk-1"}, (None, None)),
        ({"after_s": -60}, (-60, None)),  # clocks differ
    ],
)
def test_what_counts_as_an_answer_and_what_as_passed_on(cast: Cast, wish, expected):
    tell(cast.acme, fraud(cast.acme), sent(cast.acme, **wish))
    assert marks(cast.acme) == expected


def test_another_mailbox_and_another_client_never_count(cast: Cast):
    tell(cast.acme, fraud(cast.acme), fraud(cast.acme, "info@acme.example"))
    tell(cast.globex, fraud(cast.globex))
    tell(cast.acme, sent(cast.acme, "info@acme.example", conversation="AAQk-1"))
    assert marks(cast.acme, "info@acme.example") == (600, None)
    assert marks(cast.acme) == (None, None)
    assert marks(cast.globex) == (None, None)


def test_mail_to_an_alias_is_answered_by_its_mailbox(cast: Cast):
    with maintenance_scope():
        Mailbox.objects.filter(address=IT).update(aliases=["support@acme.example"])
    seen = gateway_saw(
        cast.acme,
        "support@acme.example",
        observed_at=CAME,
        internet_message_id=NAMED,
        mail=mail_json(sender={"address": EVE, "name": "", "raw": ""}),
    )
    tell(cast.acme, sent(cast.acme), seen)
    assert marks(cast.acme, "support@acme.example") == (600, None)


def test_mail_that_came_in_proves_no_answer_whatever_it_claims(cast: Cast):
    """Only the connector's own word that the mailbox sent it counts."""
    forged = fraud(cast.acme, named="<forged@evil.example>", fingerprint="e" * 32)
    facts = mail_json(subject="Re: Pay", sender={"address": IT, "name": "", "raw": ""})
    facts |= {"in_reply_to": NAMED, "to": [{"address": EVE, "name": "", "raw": ""}]}
    for place in (Place.INBOX, Place.SENT):
        tell(cast.acme, fraud(cast.acme), *(_changed(forged, mail=facts, place=place),))
    assert marks(cast.acme) == (None, None)


def _changed(seen: Observation, **changes) -> Observation:
    return Observation.from_json({**seen.as_json(), **changes})


MAILS = ("<a@evil.example>", "<b@evil.example>")


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_order_and_no_repetition_changes_the_marks(cast: Cast, data):
    """However the accounts come, in whatever batches, and some of them twice."""
    told = [
        *(fraud(cast.acme, named=named, fingerprint=named.rjust(32, "0")) for named in MAILS),
        sent(cast.acme, parent=MAILS[0], after_s=600),
        sent(cast.acme, parent=MAILS[0], after_s=300, subject="FW: Pay", to=["x@x.example"]),
        sent(cast.acme, parent="", conversation="AAQk-1", after_s=700),
        sent(cast.acme, parent=MAILS[1], way=MAILS, after_s=500),
    ]
    order = data.draw(st.permutations(told + told[2:4]))
    cuts = data.draw(st.lists(st.integers(1, len(order) - 1), max_size=3, unique=True).map(sorted))
    edges = [0, *cuts, len(order)]
    with transaction.atomic():
        for first, last in pairwise(edges):
            with scope(cast.acme):
                record(order[first:last])
                make_sense_of_backlog(cast.acme)
        found = [marks(cast.acme, named=named) for named in MAILS]
        transaction.set_rollback(True)
    assert found == [(500, 300), (500, None)]


def test_answers_to_nothing_are_forgotten_and_marks_stay(cast: Cast):
    tell(cast.acme, fraud(cast.acme), sent(cast.acme))
    with scope(cast.acme):
        Answer.objects.update(sent_at=CAME - timedelta(days=4000))
        assert sweep_answers(cast.acme.id) == 1
        assert not Answer.objects.exists()
    assert marks(cast.acme) == (600, None)


def test_names_of_what_is_answered_are_bounded_and_the_nearest_come_first():
    assert answered_ids("<b@x> (his mail)", ["<a@x>\t<b@x>"]) == ["<b@x>", "<a@x>"]
    assert answered_ids("", ["<a@x> <b@x>"]) == ["<b@x>", "<a@x>"]
    assert answered_ids("no id at all", ["neither", "<>", "< >"]) == []
    assert len(answered_ids("", [" ".join(f"<{n}@x>" for n in range(5000))])) == 10


@pytest.mark.parametrize(
    ("subject", "is_forward"),
    [
        ("FW: Pay", True),
        ("Fwd: Pay", True),
        ("WG: Rechnung", True),
        ("[EXTERNAL] TR : facture", True),
        ("Re: FW: Pay", False),
        ("Forward planning", False),
        ("Invoice: pay", False),
        ("", False),
    ],
)
def test_a_subject_says_whether_mail_is_passed_on(subject, is_forward):
    assert is_forward_subject(subject) is is_forward
