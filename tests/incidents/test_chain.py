"""Whom a mail was passed on to, step by step, stands in its story (FEATURES 52)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from incidents.models import Delivery, Incident
from incidents.story import tell_story
from incidents.words import Place, Verdict
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, mail_json, mailbox_saw, mailbox_sent
from tests.incidents.test_answers import CAME, IT, NAMED, fraud, scope, tell

INFO, CEO = "info@acme.example", "ceo@acme.example"
KIM = "kim@other.example"


def passes_on(cast: Cast, who: str, parent: str, *to: str, minutes: int) -> str:
    """She passes it on; the Message-ID of what she sent."""
    sent = mailbox_sent(
        cast.acme,
        who,
        answers=parent,
        to=to,
        at=CAME + timedelta(minutes=minutes),
        subject="Fwd: Pay",
        item=f"sent-{who}-{minutes}",
    )
    tell(cast.acme, sent)
    return sent.internet_message_id


def arrives(cast: Cast, whom: str, named: str, *, sender: str, **changes: Any) -> None:
    values: dict[str, Any] = {
        "item": f"item-{whom}-{named}",
        "internet_message_id": named,
        "observed_at": CAME + timedelta(minutes=20),
        "direction": "internal",
        "verdict": Verdict.CLEAN,
        "trace_ulid": "",
        "trace_state": "none_expected",
        "fingerprint": "",
        "mail": mail_json(subject="Fwd: Pay", sender={"address": sender, "name": "", "raw": ""}),
    }
    tell(cast.acme, mailbox_saw(cast.acme, whom, **(values | changes)))


def the_incident() -> Incident:
    rows = Incident.objects.select_related("tenant")
    return rows.get(memberships__message__internet_message_id=NAMED)


def told(cast: Cast) -> list[str]:
    with scope(cast.acme):
        story = tell_story(the_incident())
    return [f"{line.lead} {line.text}" for line in story.lines if "passed it on" in line.lead]


def test_each_step_names_whom_it_went_to_and_where_it_lies_now(cast: Cast):
    tell(cast.acme, fraud(cast.acme))
    first = passes_on(cast, IT, NAMED, INFO, KIM, minutes=10)
    arrives(cast, INFO, first, sender=IT)
    second = passes_on(cast, INFO, first, CEO, minutes=30)
    arrives(cast, CEO, second, sender=INFO, place=Place.JUNK)
    assert told(cast) == [
        "it@ passed it on to info@ and kim@other.example. Seen in the sent items. What arrived of"
        " it: info@: inbox. kim@other.example is outside Acme: nobody can pull it there.",
        "info@ passed it on to ceo@. Seen in the sent items. What arrived of it: ceo@: junk.",
    ]


def test_a_foreign_mail_with_the_same_id_is_no_step(cast: Cast):
    tell(cast.acme, fraud(cast.acme))
    named = passes_on(cast, IT, NAMED, INFO, minutes=10)
    arrives(cast, INFO, named, sender="eve@evil.example", direction="inbound")
    arrives(cast, CEO, named, sender=CEO)
    assert told(cast) == ["it@ passed it on to info@. Seen in the sent items."]


def test_a_circle_ends(cast: Cast):
    tell(cast.acme, fraud(cast.acme))
    first = passes_on(cast, IT, NAMED, INFO, minutes=10)
    arrives(cast, INFO, first, sender=IT)
    with scope(cast.acme):
        proof = Delivery.objects.get(recipient=IT).forwarded_by
        Delivery.objects.filter(recipient=INFO).update(forwarded_by=proof, forwarded_at=CAME)
    assert len(told(cast)) == 1


def test_the_client_reads_that_it_was_passed_on(cast: Cast):
    tell(cast.acme, fraud(cast.acme))
    passes_on(cast, IT, NAMED, KIM, minutes=10)
    with scope(cast.acme):
        Incident.objects.update(shared_at=CAME)
    with tenant_scope(Role.PORTAL, [cast.acme.id]):
        lines = tell_story(the_incident()).lines
    assert "it@ passed it on." in [line.lead for line in lines]
