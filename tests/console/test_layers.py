"""Pages and API between the layers: disagreements, rehearsed rules, held mail, standing orders."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from incidents.correlation import make_sense_of_backlog
from incidents.held import release_together
from incidents.intake import record
from incidents.models import (
    ClientWord,
    Delivery,
    Disagreement,
    Incident,
    Intent,
    Job,
    LateVerdicts,
    Message,
    StandingOrder,
)
from incidents.remediation import settle_intent
from incidents.repairs import mark_of
from incidents.words import Place, Verdict
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.services import add_rule
from tenants.errors import Conflict
from tenants.models import AuditEntry, Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, mail_json, state_policy
from tests.incidents.test_disagreements import INFO, IT, held, inside, passed
from tests.seg_bridge.conftest import make_gate

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def as_ana(client, cast: Cast):
    make_gate(cast, cast.acme, cast.globex)
    client.force_login(cast.ana)
    return client


def scope(tenant: Tenant):
    return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)


def happened(cast: Cast, *seen: Any) -> None:
    with scope(cast.acme):
        record(seen)
        make_sense_of_backlog(cast.acme)


def the_item(cast: Cast, **of: Any) -> Disagreement:
    with scope(cast.acme):
        return Disagreement.objects.get(**of)


@pytest.fixture
def item(cast: Cast, as_ana) -> Disagreement:
    happened(cast, passed(cast), inside(cast, verdict=Verdict.PHISH))
    return the_item(cast)


def text(browser, name: str, *arguments: Any, **query: str) -> str:
    answer = browser.get(reverse(name, args=arguments), query)
    assert answer.status_code == 200, answer.content[:500]
    return str(answer.content.decode())


def test_the_queue_counts_and_filters(cast: Cast, as_ana, item):
    page = text(as_ana, "disagreements")
    assert "Passed by the gateway, condemned inside (1)" in page
    assert f'id="row-{item.id}"' in page
    for wish in ({"client": "globex"}, {"kind": "released_then_condemned"}, {"state": "settled"}):
        assert f'id="row-{item.id}"' not in text(as_ana, "disagreements", **wish)
    assert f'id="row-{item.id}"' in text(as_ana, "disagreements", state="any", client="acme")


def test_the_page_says_both_words_the_rule_and_the_repair(as_ana, item):
    page = text(as_ana, "disagreement", item.id)
    assert "eve@evil.example for 30 days" in page
    assert "policy: clean is delivered" in page
    assert "No entry of a list was involved" in page
    assert page.count("<h2>Gateway</h2>") == 1
    assert page.count("<h2>Mailbox</h2>") == 1


def test_rehearse_then_accept_then_it_is_on_the_incident(cast: Cast, as_ana, item):
    as_ana.post(reverse("disagreement_rehearse", args=[item.id]))
    page = text(as_ana, "disagreement", item.id)
    with scope(cast.acme):
        kept = Rehearsal.objects.get()
        assert not GatewayRule.objects.exists()
    opens = reverse("rehearsal_list", args=[kept.id, "newly_held"])
    assert f'href="{opens}">1</a>' in page
    assert "Invoice 4711" in text(as_ana, "rehearsal_list", kept.id, "newly_held")
    assert "Phishing" in text(as_ana, "rehearsal_list", kept.id, "caught")
    answer = as_ana.post(reverse("disagreement_accept", args=[item.id]), {"reason": "clear"})
    assert answer.status_code == 302
    page = text(as_ana, "incident", item.incident_id)
    assert "repaired by Ana" in page
    assert "Block entry: <bdi>eve@evil.example</bdi>" in text(as_ana, "disagreement", item.id)


def test_what_is_accepted_on_a_page_is_what_it_showed(cast: Cast, as_ana, item):
    """While it stands open the file turns out to be malware: another rule is proposed."""
    address = reverse("disagreement_accept", args=[item.id])
    shown = re.search(r'name="seen" value="([0-9a-f]+)"', as_ana.get(address).content.decode())
    assert shown is not None
    as_ana.post(reverse("disagreement_rehearse", args=[item.id]))
    with scope(cast.acme):
        Message.objects.update(facts=mail_json(attachments=[FILE]))
    at = timezone.now() + timedelta(minutes=1)
    happened(cast, inside(cast, verdict=Verdict.MALWARE, observed_at=at))
    now = the_item(cast)
    assert now.proposal["match"] == "attachment_sha256"
    assert "rehearsal" not in now.result, "that was about another rule"
    refused = as_ana.post(address, {"reason": "clear", "seen": shown[1]})
    assert refused.status_code == 409
    assert "Something else is proposed by now" in refused.content.decode()
    seen = {"reason": "clear", "seen": mark_of(now.proposal)}
    assert as_ana.post(address, seen).status_code == 302
    with scope(cast.acme):
        assert GatewayRule.objects.get().match == "attachment_sha256"


def test_an_objection_stands_in_the_question_with_what_was_written(cast: Cast, as_ana, item):
    with scope(cast.acme):
        closed = {"state": "resolved", "classification": "false_positive"}
        Incident.objects.update(**closed, resolved_at=timezone.now())
    address = reverse("disagreement_accept", args=[item.id])
    refused = as_ana.post(address, {"reason": "it was phishing after all"})
    page = refused.content.decode()
    assert refused.status_code == 200
    assert "come out wrong" in page
    assert 'value="it was phishing after all"' in page
    assert 'name="despite"' in page
    with scope(cast.acme):
        assert not GatewayRule.objects.exists()
    agreed = {"reason": "it was phishing after all", "despite": "on"}
    assert as_ana.post(address, agreed).status_code == 302
    with scope(cast.acme):
        assert GatewayRule.objects.exists()


FILE = {"sha256": "c" * 64, "size_bytes": 9000, "is_inline": False, "name": "x.exe", "kind": "exe"}


def test_dismissing_asks_why(cast: Cast, as_ana, item):
    address = reverse("disagreement_dismiss", args=[item.id])
    assert as_ana.post(address, {"reason": ""}).status_code == 200
    assert as_ana.post(address, {"reason": "a drill"}).status_code == 302
    assert the_item(cast).state == "dismissed"


def test_words_of_mail_are_escaped_and_no_link(cast: Cast, as_ana):
    evil = '<img src=x onerror=alert(1)>"'
    facts = mail_json(subject=evil, sender={"address": f"{evil}@evil.example", "name": evil})
    happened(cast, passed(cast, mail=facts), inside(cast, verdict=Verdict.PHISH, mail=facts))
    item = the_item(cast)
    for page in (
        text(as_ana, "disagreements"),
        text(as_ana, "disagreement", item.id),
        text(as_ana, "disagreement_accept", item.id),
        text(as_ana, "incident", item.incident_id),
    ):
        assert "<img" not in page


# --- rules


NEW = {"kind": "block", "match": "sender", "value": "eve@evil.example", "days": "30"}


def test_a_rule_is_rehearsed_over_all_chosen_clients_and_saved_from_there(cast: Cast, as_ana, item):
    answer = as_ana.post(reverse("rule_new"), {**NEW, "clients": ["acme", "globex"]})
    page = as_ana.get(answer["Location"]).content.decode()
    assert "Over 2 clients: 1 newly held" in page
    with scope(cast.acme):
        kept = Rehearsal.objects.get()
        assert not GatewayRule.objects.exists()
    body = {"reason": "goes on", "pull_delivered": "on"}
    as_ana.post(reverse("rehearsal_save", args=[kept.id]), body)
    for tenant in (cast.acme, cast.globex):
        with scope(tenant):
            rule = GatewayRule.objects.get()
            assert (rule.owner_name, rule.reason) == ("Ana", "goes on")
    with scope(cast.acme):
        # What the new rule would have held is pulled from where it lies.
        assert Intent.objects.get().delivery.recipient == INFO
        assert Job.objects.get().detail["rule"] == str(GatewayRule.objects.get().id)
    again = as_ana.post(reverse("rehearsal_save", args=[kept.id]), body)
    assert again.status_code == 409


def test_removing_a_rule_shows_what_would_come_in_and_asks_again(cast: Cast, as_ana):
    with scope(cast.acme):
        rule = add_rule(
            tenant_id=cast.acme.id,
            kind="block",
            match="sender",
            value="eve@evil.example",
            reason="seen",
            actor=cast.bo,
        )
        state_policy(cast.acme, act_from=20.0)
    happened(cast, held(cast, verdict=Verdict.BEC, score=9.0))
    answer = as_ana.post(reverse("rule_remove", args=[rule.id]))
    page = as_ana.get(answer["Location"]).content.decode()
    assert "one copy of phishing, fraud or malware would be delivered" in page
    save = reverse("rehearsal_save", args=[answer["Location"].rsplit("/", 1)[-1]])
    refused = as_ana.post(save, {"reason": "an error"})
    assert refused.status_code == 409
    assert "To do it nevertheless, say so and why." in refused.content.decode()
    assert as_ana.post(save, {"reason": "an error", "despite": "on"}).status_code == 302
    with scope(cast.acme):
        rule.refresh_from_db()
        assert rule.removed_at is not None
        entry = AuditEntry.objects.get(action="seg_bridge.change.saved")
        assert "would be delivered" in entry.detail["despite"][0]


def test_an_old_rehearsal_is_not_saved(cast: Cast, as_ana, item):
    answer = as_ana.post(reverse("rule_new"), {**NEW, "clients": ["acme"]})
    with scope(cast.acme):
        kept = Rehearsal.objects.get()
        older = kept.created_at.replace(year=kept.created_at.year - 1)
        Rehearsal.objects.update(created_at=older)
    answer = as_ana.post(reverse("rehearsal_save", args=[kept.id]), {"reason": "x"})
    assert answer.status_code == 409
    assert "more than an hour old" in answer.content.decode()


def test_nonsense_is_said_before_anything_is_rehearsed(cast: Cast, as_ana):
    answer = as_ana.post(reverse("rule_new"), {**NEW, "value": "no address", "clients": ["acme"]})
    assert answer.status_code == 400
    assert "is not an address" in answer.content.decode()


def test_the_question_before_a_block_says_what_it_would_have_held(as_ana, item):
    page = text(as_ana, "incident_block", item.incident_id)
    assert "Over the last 1 copies it would have held 1" in page


# --- held mail of one rule


def hold_three(cast: Cast) -> list[Delivery]:
    for number in (1, 2):
        happened(cast, held(cast, number=number, rule="policy of Acme: spam is held"))
    entry = {"by": "block", "action": "hold", "rule_id": "6f1f7d0e-52a4-4c3e-9d1b-1c0c4e6b7a10"}
    happened(cast, held(cast, number=3, detail={"decided": entry}, rule="block of Acme: x"))
    with scope(cast.acme):
        return list(Delivery.objects.order_by("message__trace_ulid"))


def test_the_same_rules_other_held_mails_are_offered_and_released_with_it(cast: Cast, as_ana):
    first, second, third = hold_three(cast)
    page = text(as_ana, "held_release", first.id)
    assert str(second.id) in page
    assert str(third.id) not in page
    answer = as_ana.post(
        reverse("held_release", args=[first.id]), {"reason": "safe", "also": [str(second.id)]}
    )
    assert answer.status_code == 302
    with scope(cast.acme):
        job = Job.objects.get(kind="release")
        released = set(Intent.objects.filter(job=job).values_list("delivery_id", flat=True))
    assert released == {first.id, second.id}


def test_a_release_of_several_settles_each_wish_and_nothing_is_left_for_a_second(cast: Cast):
    first, second, _ = hold_three(cast)
    with scope(cast.acme):
        for copy in (first, second):
            ClientWord.objects.create(
                tenant=cast.acme,
                kind=ClientWord.Kind.RELEASE,
                delivery=copy,
                text="please",
                person_id=cast.ana.id,
                person_name="Ana",
            )
        release_together(delivery=first, also=[second.id], actor=cast.ana)
        # As they are while a gate carries them out; in this test there is none.
        Intent.objects.update(state=Intent.State.CALLING)
        with pytest.raises(Conflict):
            release_together(delivery=first, also=[second.id], actor=cast.ana)
        assert Job.objects.filter(kind="release").count() == 1
        assert not ClientWord.objects.exclude(settled_at=None).exists(), "no gate has done it yet"
        for intent in Intent.objects.all():
            settle_intent(intent.id, ok=True, detail="")
        wishes = ClientWord.objects.values_list("delivery_id", "outcome")
        assert set(wishes) == {(first.id, "Released."), (second.id, "Released.")}


def test_another_rules_mail_cannot_be_slipped_in(cast: Cast, as_ana):
    first, _, third = hold_three(cast)
    answer = as_ana.post(
        reverse("held_release", args=[first.id]), {"reason": "safe", "also": [str(third.id)]}
    )
    assert answer.status_code == 200
    with scope(cast.acme):
        assert not Job.objects.exists()


def test_mail_held_by_one_entry_belongs_together_though_its_words_change(cast: Cast, as_ana):
    _, _, third = hold_three(cast)
    entry = {"by": "block", "action": "hold", "rule_id": "6f1f7d0e-52a4-4c3e-9d1b-1c0c4e6b7a10"}
    happened(cast, held(cast, IT, 4, detail={"decided": entry}, rule="block of Acme: y"))
    page = text(as_ana, "held_release", third.id)
    assert "The same rule holds 1 other." in page
    assert IT in page


# --- standing orders and the client's wish


def test_a_pull_leaves_an_order_as_asked_and_it_can_be_withdrawn(cast: Cast, as_ana, item):
    pull = reverse("incident_pull", args=[item.incident_id])
    as_ana.post(pull, {"late_days": "30"})
    with scope(cast.acme):
        order = StandingOrder.objects.get()
        assert round((order.expires_at - order.created_at) / timedelta(days=1)) == 30
    assert "Pull later copies" in text(as_ana, "orders")
    assert "Pull later copies until" in text(as_ana, "incident", item.incident_id)
    as_ana.post(reverse("order_withdraw", args=[order.id]), {"reason": "over"})
    assert "withdrawn by Ana" in text(as_ana, "orders")


def test_a_pull_without_an_order(cast: Cast, as_ana, item):
    as_ana.post(reverse("incident_pull", args=[item.incident_id]), {"late_days": "0"})
    with scope(cast.acme):
        assert not StandingOrder.objects.exists()
        assert Job.objects.filter(kind="pull").exists()


def test_the_clients_wish_and_the_switch(cast: Cast, as_ana):
    address = reverse("late_verdicts", args=["acme"])
    wish = {"rule_mode": "auto", "most_copies": "5", "rule_days": "14"}
    assert as_ana.post(address, {**wish, "stop": "on"}).status_code == 403
    less = {**wish, "rule_mode": "ask", "stop": "on"}
    assert as_ana.post(address, less).status_code == 302
    with scope(cast.acme):
        row = LateVerdicts.objects.get()
        assert (row.rule_mode, row.most_copies, row.stopped_by) == ("ask", 5, "Ana")
    assert "Stopped by Ana" in text(as_ana, "late_verdicts", "acme")
    refused = as_ana.post(address, {**wish, "rule_mode": "ask"})
    assert (refused.status_code, "a lead" in refused.content.decode()) == (403, True)
    as_ana.force_login(cast.mo)
    as_ana.post(address, wish)
    with scope(cast.acme):
        row = LateVerdicts.objects.get()
        assert (row.rule_mode, row.stopped_at) == ("auto", None)


def test_what_is_contained_is_recommended_to_be_repaired(cast: Cast, as_ana, item):
    with scope(cast.acme):
        Delivery.objects.update(place=Place.QUARANTINE)
        incident = Incident.objects.get()
        incident.counts |= {"in_inbox": 0, "removed": 1}
        incident.save()
    page = text(as_ana, "incident", item.incident_id)
    assert "Accept the repair" in page
