"""Many held mails are let go together: one question, one exception a client, each looked at."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from incidents.allowed import let_be
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Delivery, Incident, Intent, Job, ReleaseLook
from incidents.remediation import settle_intent
from incidents.words import Outcome, Place, Verdict
from seg_bridge.models import GatewayRule
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw
from tests.seg_bridge.conftest import make_gate

SENDER = "billing@supplier.example"
SIGNED = [{"method": "dkim", "result": "pass", "domain": "supplier.example"}]


def holds(tenant: Tenant, recipient: str, mail: str, **changes: Any) -> None:
    """One copy of the mail called so, held; the same name is the same mail."""
    key, content = f"<{mail}@supplier.example>", (mail * 32)[:32]
    facts = {"sender": {"address": SENDER, "name": "", "raw": ""}, "auth": SIGNED}
    facts |= changes.pop("facts", {})
    seen = gateway_saw(
        tenant,
        recipient,
        internet_message_id=key,
        fingerprint=content,
        trace_ulid=f"01J{mail * 23}"[:26].upper(),
        source_key=f"{mail}/{recipient}",
        **{"verdict": Verdict.BEC, "score": 12.0, "action": Outcome.HELD, "place": Place.HOLD}
        | changes,
        detail={"client_ip": "203.0.113.9", "mail_from": SENDER, "missing": []},
        mail=mail_json(internet_message_id=key, fingerprint=content, **facts),
    )
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        record([seen])
        make_sense_of_backlog(tenant)


def _scope(cast: Cast):
    both = [cast.acme.id, cast.globex.id]
    return tenant_scope(Role.ANALYST, both, provider_id=cast.provider.id)


@pytest.fixture
def asked(cast: Cast, client, settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    make_gate(cast, cast.acme, cast.globex)
    client.force_login(cast.ana)
    return client


def copies(cast: Cast) -> list[Delivery]:
    with _scope(cast):
        return list(Delivery.objects.order_by("tenant", "recipient"))


def post(client, ids, path: str = "", **wish: Any):
    sent = {"copy": [str(each) for each in ids], "reason": "They called"} | wish
    return client.post(path or reverse("held_release_all"), sent)


def test_all_held_copies_of_an_incident_with_one_exception(cast: Cast, asked):
    for address in ("cfo", "info"):
        holds(cast.acme, f"{address}@acme.example", "a")
    found = copies(cast)
    # One that was let through makes an incident of it.
    holds(cast.acme, "it@acme.example", "a", action=Outcome.DELIVERED, place=Place.INBOX)
    with _scope(cast):
        incident = Incident.objects.get()
    path = reverse("incident_release", args=[incident.id])
    assert path in asked.get(reverse("incident", args=[incident.id])).content.decode()
    page = asked.get(path).content.decode()
    assert "Release 2 mails?" in page
    assert "2 of 2:</b> The next mail like it would be held" in page
    assert "This one mail only, to mailboxes of acme.example" in page

    answer = post(asked, [copy.id for copy in found], path, match="mail", days="7")
    assert answer.status_code == 302, answer.content
    with _scope(cast):
        rule, job = GatewayRule.objects.get(), Job.objects.get()
        assert (rule.recipient, rule.match, rule.in_mailboxes) == ("@acme.example", "mail", True)
        assert (rule.release_id, job.detail["exception"]) == (job.id, str(rule.id))
        assert str(job.id) in answer["Location"]
        assert let_be(found) == {copy.id for copy in found}
        for intent in Intent.objects.all():
            settle_intent(intent.id, ok=True, detail="")
        looks = ReleaseLook.objects.all()
        assert {look.rule_id for look in looks} == {rule.id}
        assert {look.delivery_id for look in looks} == {copy.id for copy in found}
    assert asked.get(answer["Location"]).content.decode().count('id="look-') == 2


def test_mails_of_two_clients_have_one_exception_each(cast: Cast, asked):
    holds(cast.acme, "cfo@acme.example", "a")
    holds(cast.acme, "cfo@acme.example", "b")
    holds(cast.globex, "ceo@globex.example", "c")
    found = copies(cast)
    path = reverse("held_release_all") + "?" + "&".join(f"copy={copy.id}" for copy in found)
    page = asked.get(path).content.decode()
    assert "Acme: 2 mails" in page
    assert "Mail signed by supplier.example, to this mailbox" in page

    answer = post(asked, [copy.id for copy in found], match="like", days="1")
    assert "/jobs/groups/" in answer["Location"]
    with _scope(cast):
        rules = {rule.tenant_id: rule for rule in GatewayRule.objects.all()}
        assert {rule.recipient for rule in rules.values()} == {
            "cfo@acme.example",
            "ceo@globex.example",
        }
        jobs = {job.tenant_id: job for job in Job.objects.all()}
        assert {key: job.detail["exception"] for key, job in jobs.items()} == {
            key: str(rule.id) for key, rule in rules.items()
        }
        for intent in Intent.objects.all():
            settle_intent(intent.id, ok=True, detail="")
    assert asked.get(answer["Location"]).content.decode().count('id="look-') == 3


def test_what_one_client_refuses_holds_up_no_other(cast: Cast, asked):
    """Globex's mails have no signer in common; its part fails and says so, Acme's goes."""
    holds(cast.acme, "cfo@acme.example", "a")
    holds(cast.globex, "ceo@globex.example", "c")
    other = {"sender": {"address": "x@other.example", "name": "", "raw": ""}, "auth": []}
    holds(cast.globex, "ceo@globex.example", "d", facts=other)
    answer = post(asked, [copy.id for copy in copies(cast)], match="like", days="1")
    with _scope(cast):
        jobs = {job.tenant_id: job for job in Job.objects.all()}
        assert jobs[cast.globex.id].state == Job.State.FAILED
        assert "not fit for such an exception" in jobs[cast.globex.id].error
        assert [each.delivery.tenant_id for each in Intent.objects.all()] == [cast.acme.id]
        assert GatewayRule.objects.get().tenant_id == cast.acme.id
    assert "not fit for such an exception" in asked.get(answer["Location"]).content.decode()


def test_one_client_refused_says_so_and_releases_nothing(cast: Cast, asked):
    holds(cast.acme, "cfo@acme.example", "a")
    holds(cast.acme, "info@acme.example", "b")
    answer = post(asked, [copy.id for copy in copies(cast)], match="mail", days="7")
    assert answer.status_code == 200, "one mail's exception is not offered for two mails"
    assert "Select a valid choice" in answer.content.decode()
    assert post(asked, [copies(cast)[0].id], match="like", days="7", reason="").status_code == 200
    assert post(asked, []).status_code == 400
    assert post(asked, ["x"]).status_code == 400
    with _scope(cast):
        assert not Job.objects.exists()
        assert not GatewayRule.objects.exists()


def test_what_she_may_not_release_is_said_and_never_released(cast: Cast, asked):
    """Malware is kept for leads by the policy; a foreign id in the form is nobody's."""
    holds(cast.acme, "cfo@acme.example", "a", verdict=Verdict.MALWARE)
    holds(cast.globex, "ceo@globex.example", "c")
    asked.force_login(cast.bo)  # Acme only
    ids = [copy.id for copy in copies(cast)]
    page = asked.get(reverse("held_release_all") + f"?copy={ids[0]}&copy={ids[1]}").content.decode()
    assert "Not yours to release" in page
    assert "ceo@globex.example" not in page
    assert post(asked, ids).status_code == 403
    with _scope(cast):
        assert not Job.objects.exists()


def test_of_many_copies_what_is_not_looked_at_is_said(cast: Cast, asked, monkeypatch):
    monkeypatch.setattr("incidents.foresight.MOST_FORESEEN", 1)
    for name in ("cfo", "info"):
        holds(cast.acme, f"{name}@acme.example", "a")
    ids = [copy.id for copy in copies(cast)]
    page = asked.get(reverse("held_release_all") + f"?copy={ids[0]}&copy={ids[1]}").content.decode()
    assert "1 more: not looked at beforehand" in page


def test_an_entry_for_a_domain_is_rehearsed_over_all_its_mailboxes(cast: Cast, asked):
    """What the mailbox layer condemned at any mailbox of the domain is an objection."""
    holds(cast.acme, "cfo@acme.example", "a")
    holds(cast.acme, "info@acme.example", "b")
    ids = [copy.id for copy in copies(cast)]
    holds(
        cast.acme,
        "it@acme.example",
        "e",
        action=Outcome.DELIVERED,
        place=Place.INBOX,
        verdict=Verdict.CLEAN,
    )
    signed = {"authserv_id": "mx1", **SIGNED[0]}
    facts = mail_json(sender={"address": SENDER, "name": "", "raw": ""}, auth_results=[signed])
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        same = {"internet_message_id": "<e@supplier.example>", "fingerprint": "e" * 32}
        ulid = f"01J{'E' * 23}"
        record(
            [
                mailbox_saw(
                    cast.acme,
                    "it@acme.example",
                    verdict=Verdict.BEC,
                    mail=facts,
                    trace_ulid=ulid,
                    **same,
                )
            ]
        )
        make_sense_of_backlog(cast.acme)
    answer = post(asked, ids, match="like", days="7")
    assert answer.status_code == 409, answer.content
    assert "one incident would have been missed" in answer.content.decode()
    assert post(asked, ids, match="like", days="7", despite="on").status_code == 302
    with _scope(cast):
        assert GatewayRule.objects.get().recipient == "@acme.example"
