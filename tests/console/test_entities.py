"""Pages of what mail has in common: how common, at whom, which incidents, mails and rules."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from console.queries.entities import AtClient, Facts, facts_of, last_days, read_thing
from console.queries.entity_lists import mails_page
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Delivery, Incident, MailTrait, MessageTrait, TraitCount
from incidents.prevalence import sweep_rare
from incidents.words import Verdict
from seg_bridge.services import add_rule
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw

pytestmark = pytest.mark.usefixtures("no_broker")

LINK = {"url": "https://pay.evil.example/x/1", "host": "pay.evil.example", "text": "Pay"}
FILE = {
    "name": "<b>invoice</b>.pdf",
    "kind": "pdf",
    "claimed_type": "application/pdf",
    "size_bytes": 9_000,
    "sha256": "ab" * 32,
    "is_inline": False,
    "members": [],
    "flags": [],
}


def mail_at(tenant: Tenant, number: int, verdict: Verdict) -> None:
    whom = f"cfo@{tenant.slug}.example"
    ulid = f"01J00000000000000000{tenant.id % 10000:04d}{number:02d}"
    common = {
        "mail": mail_json(subject=f"Invoice {number}", links=[LINK], attachments=[FILE]),
        "internet_message_id": f"<{number}.{tenant.slug}@evil.example>",
        "fingerprint": f"{tenant.id}{number}".rjust(32, "0"),
    }
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        record(
            [
                gateway_saw(tenant, whom, ulid=ulid, **common),
                mailbox_saw(tenant, whom, trace_ulid=ulid, verdict=verdict, **common),
            ]
        )
        make_sense_of_backlog(tenant)


def page_of(person, kind: str, value: str, **wish: str) -> str:
    client = Client()
    client.force_login(person)
    answer = client.get(reverse("entity"), {"kind": kind, "value": value, **wish})
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>|\s+", " ", answer.content.decode()).split())


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("sender", "Eve@evil.example"),
        ("domain", "evil.example"),
        ("host", "pay.evil.example"),
        ("link", "https://pay.evil.example/x/1?you=cfo"),
        ("file", "ab" * 32),
    ],
)
def test_prevalence_counts_benign_mail_and_only_the_clients_in_sight(cast: Cast, kind, value):
    mail_at(cast.acme, 1, Verdict.PHISH)
    mail_at(cast.acme, 2, Verdict.CLEAN)
    mail_at(cast.globex, 1, Verdict.CLEAN)
    seen_by_ana = " ".join(page_of(cast.ana, kind, value).split())
    assert "In 3 of 3 mails, at 2 clients" in seen_by_ana
    assert "Globex" in seen_by_ana
    seen_by_bo = " ".join(page_of(cast.bo, kind, value).split())
    assert "In 2 of 2 mails, at 1 client" in seen_by_bo
    assert "Globex" not in seen_by_bo
    assert "Phishing from evil.example" in seen_by_bo


def test_prevalence_has_the_dates_of_the_first_and_the_last_at_each_client_and_over_all(cast: Cast):
    """Of three mails at two clients, on three days; who sees one client sees its days alone."""
    mail_at(cast.acme, 1, Verdict.PHISH)
    mail_at(cast.globex, 1, Verdict.CLEAN)
    now = timezone.now()
    days = {cast.acme: (20, 3), cast.globex: (40, 10)}
    for tenant, (first, last) in days.items():
        with tenant_scope(Role.WORKER, [tenant.id]):
            TraitCount.objects.update(
                first_seen_at=now - timedelta(days=first), last_seen_at=now - timedelta(days=last)
            )
    thing = read_thing("sender", "eve@evil.example")
    assert thing is not None
    with tenant_scope(Role.ANALYST, [each.id for each in days], provider_id=cast.provider.id):
        found = facts_of(thing, last_days("90"))
        only = facts_of(thing, last_days("90"), client="acme")
    assert seen_days(found, now) == (40, 3)
    assert {each.client: seen_days(each, now) for each in found.at} == days
    assert seen_days(only, now) == (20, 3)
    assert (only.messages, only.total, found.messages, found.total) == (1, 1, 2, 2)
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        assert seen_days(facts_of(thing, last_days("90")), now) == (20, 3)


def seen_days(found: Facts | AtClient, now: datetime) -> tuple[int, int]:
    assert found.first_seen_at is not None
    assert found.last_seen_at is not None
    return (now - found.first_seen_at).days, (now - found.last_seen_at).days


def test_each_mail_moves_the_last_date_and_an_older_one_the_first(cast: Cast):
    mail_at(cast.acme, 1, Verdict.CLEAN)
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        first = TraitCount.objects.get(kind="sender")
    mail_at(cast.acme, 2, Verdict.CLEAN)
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        second = TraitCount.objects.get(kind="sender")
        assert second.messages == 2
        assert second.first_seen_at == first.first_seen_at
        assert second.last_seen_at > first.last_seen_at
        TraitCount.objects.update(
            first_seen_at=timezone.now() + timedelta(days=1),
            last_seen_at=timezone.now() + timedelta(days=2),
        )
    mail_at(cast.acme, 3, Verdict.CLEAN)
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        third = TraitCount.objects.get(kind="sender")
    assert third.first_seen_at < timezone.now() < third.last_seen_at


def test_a_mailbox_counts_the_copies_of_the_period_alone(cast: Cast):
    mail_at(cast.acme, 1, Verdict.PHISH)
    mail_at(cast.acme, 2, Verdict.CLEAN)
    long_ago = timezone.now() - timedelta(days=60)
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        old = Delivery.objects.order_by("id")[0]
        Delivery.objects.filter(id=old.id).update(received_at=long_ago)
    thing = read_thing("mailbox", "cfo@acme.example")
    assert thing is not None
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        assert [facts_of(thing, last_days(days)).messages for days in ("30", "90")] == [1, 2]
        assert facts_of(thing, last_days("90")).first_seen_at == long_ago


def test_a_mailbox_shows_its_mail(cast: Cast):
    mail_at(cast.acme, 1, Verdict.PHISH)
    text = page_of(cast.bo, "mailbox", "cfo@acme.example")
    assert "1 copy of mail" in text
    assert "Phishing from evil.example" in text
    assert "No client in sight" in page_of(cast.bo, "mailbox", "cfo@globex.example")


def test_rules_in_force_are_named(cast: Cast):
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        add_rule(
            tenant_id=cast.acme.id,
            kind="block",
            match="sender_domain",
            value="evil.example",
            reason="They keep writing",
            actor=cast.ana,
        )
    for kind, value in (("sender", "eve@evil.example"), ("domain", "evil.example")):
        assert "They keep writing" in page_of(cast.ana, kind, value)


def test_rules_for_all_clients_are_named_at_each_of_them(cast: Cast):
    ids = [cast.acme.id, cast.globex.id]
    with tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id):
        add_rule(
            tenant_id=None,
            kind="block",
            match="sender",
            value="eve@evil.example",
            reason="They keep writing",
            actor=cast.mo,
        )
    text = page_of(cast.bo, "sender", "eve@evil.example")
    assert "They keep writing" in text
    assert "for all clients" in text


def test_the_incident_leads_to_its_entities(cast: Cast):
    mail_at(cast.acme, 1, Verdict.PHISH)
    client = Client()
    client.force_login(cast.bo)
    with tenant_scope(Role.ANALYST, [cast.acme.id]):
        incident = Incident.objects.get()
    text = client.get(reverse("incident", args=[incident.id])).content.decode()
    found = re.findall(r'href="(/console/entities\?[^"]+)"', text)
    assert len(found) == 5
    for address in found:
        page = client.get(address.replace("&amp;", "&")).content.decode()
        assert "In 1 of 1 mails" in " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "<b>invoice</b>" not in text


def test_mails_of_harmless_senders_stand_beside_those_of_incidents(cast: Cast):
    mail_at(cast.acme, 1, Verdict.PHISH)
    mail_at(cast.acme, 2, Verdict.CLEAN)
    for kind, value in (("host", "pay.evil.example"), ("file", "ab" * 32), ("link", LINK["url"])):
        text = page_of(cast.bo, kind, value)
        assert "Invoice 1" in text, kind
        assert "Invoice 2" in text, kind
        assert "newest 2 mails" in text


def test_lists_are_bounded_by_the_time_that_was_chosen(cast: Cast):
    mail_at(cast.acme, 1, Verdict.PHISH)
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        long_ago = timezone.now() - timedelta(days=60)
        for model, name in ((MailTrait, "seen_at"), (MessageTrait, "seen_at")):
            model.objects.update(**{name: long_ago})
    usual = page_of(cast.bo, "host", "pay.evil.example")
    assert "None in the last 30 days" in usual
    assert "In no incident" in usual
    assert "In 1 of 1 mails" in usual
    assert "Invoice 1" in page_of(cast.bo, "host", "pay.evil.example", days="90")


def test_every_mail_is_on_one_page_and_none_on_two(cast: Cast):
    for number in range(1, 8):
        mail_at(cast.acme, number, Verdict.CLEAN)
        mail_at(cast.globex, number, Verdict.PHISH)
    ids = [cast.acme.id, cast.globex.id]
    with tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id):
        # As a batch that came in one moment.
        MailTrait.objects.filter(tenant=cast.acme).update(seen_at=timezone.now())
        for kind, value in (("host", "pay.evil.example"), ("mailbox", "cfo@acme.example")):
            thing, period = read_thing(kind, value), last_days("30")
            assert thing is not None
            seen, cursor = [], ""
            while True:
                page = mails_page(thing, period, cursor=cursor, size=3)
                seen += [row.mail.id for row in page.rows]
                cursor = page.older
                if not cursor:
                    break
            expected = 14 if kind == "host" else 7
            assert len(seen) == len(set(seen)) == expected


def test_a_trait_is_listed_once_for_each_counted_mail(cast: Cast):
    """What the number says is what the list holds."""
    mail_at(cast.acme, 1, Verdict.PHISH)
    mail_at(cast.acme, 1, Verdict.PHISH)
    mail_at(cast.acme, 2, Verdict.CLEAN)
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        thing = read_thing("host", "pay.evil.example")
        assert thing is not None
        counted = facts_of(thing, last_days("30")).messages
        assert len(mails_page(thing, last_days("30")).rows) == counted == 2


def test_only_what_is_old_is_forgotten(cast: Cast):
    mail_at(cast.acme, 1, Verdict.CLEAN)
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        before = MailTrait.objects.count()
        sweep_rare(cast.acme.id)
        assert MailTrait.objects.count() == before > 0
        MailTrait.objects.update(seen_at=timezone.now() - timedelta(days=91))
        assert sweep_rare(cast.acme.id) >= before
        assert not MailTrait.objects.exists()


def test_what_can_be_done_is_offered_with_the_value_filled_in(cast: Cast):
    mail_at(cast.acme, 1, Verdict.PHISH)
    client = Client()
    client.force_login(cast.bo)
    answer = client.get(reverse("entity"), {"kind": "link", "value": LINK["url"]})
    offered = dict(answer.context["acts"])
    block = client.get(offered["Block"])
    assert 'value="pay.evil.example"' in block.content.decode()
    assert block.context["form"].initial["match"] == "url_host"
    assert block.context["form"].initial["clients"] == ["acme"]


def graph(person, name: str, *args: object, **wish: str):
    client = Client()
    client.force_login(person)
    return client.get(reverse(name, args=args), wish)


def test_the_picture_and_the_table_say_the_same(cast: Cast):
    mail_at(cast.acme, 1, Verdict.PHISH)
    mail_at(cast.acme, 2, Verdict.CLEAN)
    answer = graph(cast.bo, "entity_graph", kind="host", value="pay.evil.example")
    shown = answer.context["graph"]
    text = answer.content.decode()
    assert {joint.label for joint in shown.joints} == {
        "Phishing from evil.example, 1 inbox",
        "In no incident",
    }
    assert {node.thing.kind.name for node in shown.nodes} == {
        *("sender", "domain", "host", "link", "file", "mailbox")
    }
    picture, _, table = text.partition('class="graph"')[2].partition("</svg>")
    for node in shown.nodes:
        href = node.href.replace("&", "&amp;")
        assert href in picture
        assert href in table
        assert node.mails == 2
    assert [node.thing.value for node in shown.nodes if node.is_focus] == ["evil.example"]
    assert "<script" not in picture
    assert "style=" not in picture


def test_an_incident_shows_what_hangs_together_through_its_mails(cast: Cast):
    mail_at(cast.acme, 1, Verdict.PHISH)
    with tenant_scope(Role.ANALYST, [cast.acme.id]):
        incident = Incident.objects.get()
    answer = graph(cast.bo, "incident_graph", incident.id)
    assert [joint.label for joint in answer.context["graph"].joints] == ["Invoice 1"]
    assert "&lt;b&gt;invoice" in answer.content.decode()
    assert "<b>invoice</b>" not in answer.content.decode()


def test_a_big_graph_shows_the_best_of_each_kind_and_lists_all(cast: Cast):
    links = [{**LINK, "url": f"https://h{n}.example/x", "host": f"h{n}.example"} for n in range(45)]
    facts = mail_json(subject="Many", links=links)
    whom = [f"box{n}@acme.example" for n in range(20)]
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record([gateway_saw(cast.acme, each, mail=facts) for each in whom])
        make_sense_of_backlog(cast.acme)
    answer = graph(cast.bo, "entity_graph", kind="sender", value="eve@evil.example")
    shown = answer.context["graph"]
    picture = answer.context["picture"]
    assert len(shown.nodes) == 2 + 45 + 45 + 20
    assert len(picture.boxes) == 40
    assert f"… and {len(shown.nodes) - 39} more" in answer.content.decode()
    assert {node.thing.kind.name for node in shown.shown} == {
        *("sender", "domain", "host", "link", "mailbox")
    }
    inside = [
        0 <= box.x <= picture.width - 240 and 0 <= box.y <= picture.height - 42
        for box in picture.boxes
    ]
    assert all(inside)
    places = {(box.x, box.y) for box in picture.boxes}
    assert len(places) == 40


def test_a_graph_holds_nothing_of_other_clients(cast: Cast):
    mail_at(cast.acme, 1, Verdict.PHISH)
    mail_at(cast.globex, 1, Verdict.PHISH)
    text = graph(cast.bo, "entity_graph", kind="host", value="pay.evil.example").content.decode()
    assert "cfo@acme.example" in text
    assert "globex" not in text.lower()


def test_nothing_named_is_a_page_to_ask(cast: Cast):
    assert "Look up" in page_of(cast.bo, "", "")
    assert "No client in sight" in page_of(cast.bo, "no such kind", "nobody@nowhere.example")
