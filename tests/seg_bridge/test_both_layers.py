"""The law of entries that both layers follow, as the mailbox layer asks them; and making one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from incidents.allowed import let_be
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.layers import SeenMail
from incidents.mail.facts import Address, AuthResult, MailFacts
from incidents.mail.fingerprint import mail_key
from incidents.models import Delivery, Job
from incidents.words import MatrixAction, Outcome, Place, Verdict
from seg_bridge.entries import EntriesForBoth
from seg_bridge.gate.policy import GatewayRule as Entry
from seg_bridge.models import GatewayRule, Rehearsal
from seg_bridge.services import remove_rule
from tenants.models import AuditEntry
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw
from tests.seg_bridge.conftest import make_gate

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SENDER, INFO = "billing@supplier.example", "info@acme.example"
ID, CONTENT = "<1@supplier.example>", "c" * 32
PASS = (
    AuthResult(authserv_id="mx1", method="dkim", result="pass", domain="supplier.example"),
    AuthResult(authserv_id="mx1", method="dmarc", result="pass", domain="supplier.example"),
)
FAIL = (replace(PASS[1], result="fail"),)
ONE = mail_key(ID, SENDER, CONTENT)


def entry(match: str, value: str, **changes) -> Entry:
    values: dict[str, Any] = {
        "id": "01a20000-0000-0000-0000-000000000001",
        "kind": "allow",
        "match": match,
        "value": value,
        "recipient": INFO,
        "action": MatrixAction.DELIVER,
        "expires_at": NOW + timedelta(days=7),
        "owner": "Ana",
        "reason": "They called",
    }
    return Entry(**(values | changes))


def mail(verdict: Verdict, auth=PASS, *, proven: bool = True, **changes) -> SeenMail:
    facts = MailFacts(
        size_bytes=1,
        raw_sha256="",
        internet_message_id=ID,
        sender=Address(SENDER),
        fingerprint=CONTENT,
        auth_results=auth,
    )
    names = changes.pop("names", (INFO,))
    return SeenMail(verdict=verdict, facts=replace(facts, **changes), names=names, is_proven=proven)


MAIL, DKIM, FROM = ("mail", ONE), ("dkim_domain", "supplier.example"), ("sender", SENDER)
BEC = Verdict.BEC
LAW = [
    (MAIL, mail(BEC), True),
    (MAIL, mail(BEC, ()), True),  # released: with a trace, without findings
    (MAIL, mail(BEC, proven=False), False),
    (MAIL, mail(BEC, FAIL), False),
    (MAIL, mail(BEC, fingerprint="d" * 32), False),
    (MAIL, mail(BEC, internet_message_id="<2@supplier.example>"), False),
    (MAIL, mail(BEC, sender=Address("eve@evil.example")), False),
    (MAIL, mail(BEC, fingerprint=""), False),
    (DKIM, mail(BEC), True),
    (DKIM, mail(BEC, proven=False), False),
    (DKIM, mail(BEC, ()), False),
    (FROM, mail(BEC), True),
    (FROM, mail(BEC, FAIL), False),
    (FROM, mail(BEC, proven=False), False),
    (DKIM, mail(Verdict.PHISH), False),
    (MAIL, mail(Verdict.MALWARE), False),
    (MAIL, mail(BEC, names=("it@acme.example",)), False),
    (MAIL, mail(BEC, names=("post@acme.example", INFO)), True),
]


@pytest.mark.parametrize(("rests_on", "seen", "lets"), LAW)
def test_what_an_entry_for_both_layers_lets_be(rests_on, seen, lets):
    told = EntriesForBoth([entry(*rests_on)]).allowing(seen, NOW)
    assert bool(told) is lets
    if lets:
        assert (told["by"], told["owner"], told["reason"]) == ("allow", "Ana", "They called")


def test_an_entry_that_says_so_beats_threats_until_its_end():
    entries = EntriesForBoth([entry(*MAIL, beats_threats=True)])
    assert entries.allowing(mail(Verdict.PHISH), NOW)
    assert not entries.allowing(mail(Verdict.PHISH), NOW + timedelta(days=8))


def _scope(cast: Cast):
    return tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id)


@pytest.fixture
def held(cast: Cast, settings) -> Delivery:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    make_gate(cast, cast.acme)
    seen = gateway_saw(
        cast.acme,
        INFO,
        internet_message_id=ID,
        fingerprint=CONTENT,
        verdict=Verdict.PHISH,
        score=12.0,
        action=Outcome.HELD,
        place=Place.HOLD,
        detail={"client_ip": "203.0.113.9", "mail_from": SENDER, "missing": []},
        mail=mail_json(
            internet_message_id=ID,
            fingerprint=CONTENT,
            sender={"address": SENDER, "name": "", "raw": ""},
            auth=[{"method": "dkim", "result": "pass", "domain": "supplier.example"}],
        ),
    )
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record([seen])
        make_sense_of_backlog(cast.acme)
        return Delivery.objects.get()


def release(client, held: Delivery, **exception):
    wish = {"reason": "They called", "exception": exception}
    path = f"/api/v1/held/{held.id}/release"
    return client.post(path, wish, content_type="application/json")


def test_over_the_api_a_release_makes_one_exception_and_names_it(cast: Cast, held, client):
    client.force_login(cast.ana)
    told = client.get(f"/api/v1/held/{held.id}/foresight").json()
    assert [each["acts"] for each in told["layers"]] == ["nobody", "hold"]
    assert [each["match"] for each in told["ways"]] == ["mail", "dkim_domain"]
    assert "phishing" in told["caution"]

    answer = release(client, held, match="mail", days=7, beats_threats=True)
    assert answer.status_code == 202, answer.content
    with _scope(cast):
        rule, job = GatewayRule.objects.get(), Job.objects.get()
        assert (rule.value, rule.recipient, rule.in_mailboxes) == (ONE, INFO, True)
        assert (rule.release_id, job.detail["exception"]) == (job.id, str(rule.id))
        assert Rehearsal.objects.get().counts["newly_delivered"] == 1
        assert AuditEntry.objects.filter(action="seg_bridge.rule.added").count() == 1
        assert let_be([held]) == {held.id}
    (shown,) = client.get("/api/v1/gateway-rules/").json()["results"]
    assert (shown["in_mailboxes"], shown["release"]) == (True, str(job.id))
    page = client.get(reverse("rules")).content.decode()
    assert "both layers" in page
    assert "made with a release" in page
    with _scope(cast):
        remove_rule(rule=rule, actor=cast.ana, reason="It was false")
        assert let_be([held]) == set()


def test_without_saying_so_phishing_is_not_let_be(cast: Cast, held, client):
    client.force_login(cast.ana)
    assert release(client, held, match="dkim_domain", days=7).status_code == 202
    with _scope(cast):
        assert let_be([held]) == set()


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"match": "dkim_domain", "days": 7, "beats_threats": True}, 400),
        ({"match": "client_ip", "days": 7}, 400),
        ({"match": "mail", "days": 31}, 400),
        ({"match": "mail", "days": 0}, 400),
    ],
)
def test_a_wish_that_makes_no_sense_releases_nothing(cast: Cast, held, client, wish, status):
    client.force_login(cast.ana)
    assert release(client, held, **wish).status_code == status
    with _scope(cast):
        assert not Job.objects.exists()
        assert not GatewayRule.objects.exists()


def test_what_the_mailbox_layer_would_have_let_be_is_an_objection(cast: Cast, held, client):
    """Another mail of this signer: the gateway passed it, the mailbox layer alone caught it."""
    ulid, named = "01J00000000000000000000002", "<2@supplier.example>"
    signed = {"authserv_id": "mx1", "method": "dkim", "result": "pass"}
    facts = mail_json(
        sender={"address": SENDER, "name": "", "raw": ""},
        auth_results=[signed | {"domain": "supplier.example"}],
    )
    common = {"trace_ulid": ulid, "internet_message_id": named, "fingerprint": "e" * 32}
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record([gateway_saw(cast.acme, INFO, mail=facts, source_key="second", **common)])
        record([mailbox_saw(cast.acme, INFO, verdict=BEC, mail=facts, **common)])
        make_sense_of_backlog(cast.acme)
    client.force_login(cast.ana)
    answer = release(client, held, match="dkim_domain", days=7)
    assert answer.status_code == 409
    assert "one incident would have been missed" in answer.json()["detail"]
    assert release(client, held, match="mail", days=7, beats_threats=True).status_code == 202


def test_a_pulled_mail_is_given_back_with_an_exception_from_its_page(cast: Cast, held, client):
    with _scope(cast):
        Delivery.objects.update(place=Place.QUARANTINE, mailbox_verdict=BEC, gateway_verdict=BEC)
    client.force_login(cast.ana)
    page = client.get(reverse("message", args=[held.message_id])).content.decode()
    assert "Give back" in page
    question = client.get(reverse("held_release", args=[held.id])).content.decode()
    assert question.index("The next mail like it would be held") < question.index("It is put back")
    wish = {"reason": "They called", "match": "dkim_domain", "days": "1"}
    assert client.post(reverse("held_release", args=[held.id]), wish).status_code == 302
    with _scope(cast):
        assert Job.objects.get().kind == Job.Kind.RESTORE
        assert GatewayRule.objects.get().release_id == Job.objects.get().id
        assert let_be(list(Delivery.objects.all())) == {held.id}
