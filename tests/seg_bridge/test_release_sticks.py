"""A mail that both layers condemn is released and stays: a real gate, a real cloud, the pages.

The supplier's account has really changed; gateway and mailbox layer take the mail for a fraud.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from api_bridge.known import forget_profiles
from api_bridge.runtime import close_connectors, shared_runtime
from console.launch.ports import free_port
from incidents.looks import serve_looks
from incidents.models import Delivery, Incident, ReleaseLook
from incidents.words import Outcome, Place, Verdict
from seg_bridge.models import GatewayRule
from seg_bridge.services import remove_rule
from tenants.doors import ClaimedWork
from tenants.models import Assignment, Domain
from tenants.scope import maintenance_scope
from tests.api_bridge.sandbox.running import SandboxProcess
from tests.api_bridge.sync.conftest import Client, make_client
from tests.factories import Cast, make_cast
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.yard import EmptyDns, processes, wait_for

FRAUD = (
    "From: Supplier <billing@supplier.example.net>\r\nReply-To: pay@other-host.example.org\r\n"
    "To: {to}\r\nSubject: Our bank details have changed\r\n"
    "Message-ID: <inv-{number}@supplier.example.net>\r\n"
    "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    "Dear customer, our bank account has changed. Please pay all open invoices urgently today to"
    " the new account IBAN DE89370400440532013000. Do not use the old bank details any more.\r\n"
)


@dataclass
class Town:
    """A client behind a gate, whose mailboxes are in a cloud; ``number`` counts its mail."""

    cast: Cast
    client: Client
    smtp_port: int
    number: int = 0

    @property
    def claimed(self) -> ClaimedWork:
        return ClaimedWork(self.client.tenant.id, self.client.tenant.provider_id, 1)

    def send(self) -> bool:
        """False: the gate says to come again."""
        self.number += 1
        to = self.client.company.mail("ana")
        raw = FRAUD.format(to=to, number=self.number).encode()
        try:
            with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=30) as smtp:
                smtp.sendmail("billing@supplier.example.net", [to], raw)
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused):
            return False
        return True

    def seen(self, **wanted: Any):
        return self.client.observations(**wanted)


@pytest.fixture
def town(transactional_db: None, tmp_path: Path, settings, monkeypatch) -> Iterator[Town]:
    folder = tmp_path / "cloud"
    folder.mkdir()
    with SandboxProcess(folder) as cloud:
        settings.OUTGOING_HOSTS = [cloud.addresses["https"]]
        # Of ingest, which hears of the release.
        monkeypatch.setenv("BAILEY_RELEASE_LOOK_AFTER_S", "1")
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
        shared_runtime.cache_clear()
        forget_profiles()
        cast = make_cast()
        client = make_client(cast, cloud, "delta")
        host, _, port = cloud.addresses["smtp"].rpartition(":")
        with maintenance_scope():
            Domain.objects.filter(tenant=client.tenant).update(
                next_hop_host=host, next_hop_port=int(port)
            )
            Assignment.objects.create(tenant=client.tenant, person=cast.ana)
        client.sync()
        mx, smtp_port = make_gate(cast, client.tenant), free_port()
        try:
            with EmptyDns() as dns, processes(tmp_path, mx, dns=dns, smtp_port=smtp_port):
                yield Town(cast, client, smtp_port)
        finally:
            client.company.close()
            close_connectors()
            shared_runtime.cache_clear()


def test_a_mail_that_both_layers_condemn_is_released_and_stays(town: Town):
    copy = the_gateway_holds_it(town)
    browser = Browser()
    browser.force_login(town.cast.ana)
    the_question_says_what_the_mailbox_layer_would_do(browser, copy)
    rule = it_is_released_with_one_exception(town, browser, copy)
    the_mailbox_layer_condemns_it_and_lets_it_be(town, rule)
    it_is_still_there_and_is_the_original(town, browser, copy)
    the_same_mail_again_passes_both_layers(town, rule)
    taking_the_exception_back_ends_it_in_both(town, rule)


def the_gateway_holds_it(town: Town) -> Delivery:
    wait_for(town.send, "the gate to take mail")
    (seen,) = wait_for(lambda: town.seen(action=Outcome.HELD), "the held mail's account")
    assert seen.verdict == Verdict.BEC
    (copy,) = town.client.deliveries()
    assert copy.place == Place.HOLD
    return copy


def the_question_says_what_the_mailbox_layer_would_do(browser: Browser, copy: Delivery) -> None:
    page = browser.get(reverse("held_release", args=[copy.id])).content.decode()
    assert "It would judge it fraud" in page or "It would judge it bec" in page.lower(), page
    assert "It opens an incident, and a person decides." in page
    assert "The next mail like it would be held" in page


def it_is_released_with_one_exception(town: Town, browser: Browser, copy: Delivery) -> GatewayRule:
    wish = {"reason": "They called us: it is true", "match": "mail", "days": "7"}
    answer = browser.post(reverse("held_release", args=[copy.id]), wish)
    assert answer.status_code == 302, answer.content
    with town.client.scope():
        rule = GatewayRule.objects.get()
        assert (rule.kind, rule.in_mailboxes, rule.owner_name) == ("allow", True, "Ana")
        assert str(rule.release_id) in answer["Location"]
        return rule


def the_mailbox_layer_condemns_it_and_lets_it_be(town: Town, rule: GatewayRule) -> None:
    company = town.client.company
    wait_for(lambda: company.mails("ana"), "the mail in the inbox")
    town.client.sync()
    (seen,) = town.seen(layer="mailbox", source_key__endswith="/scan")
    assert seen.verdict == Verdict.BEC
    assert seen.detail["decided"]["rule_id"] == str(rule.id)
    (copy,) = town.client.deliveries()
    assert (copy.place, copy.mailbox_verdict) == (Place.INBOX, Verdict.BEC)
    with town.client.scope():
        assert not Incident.objects.exists()


def it_is_still_there_and_is_the_original(town: Town, browser: Browser, copy: Delivery) -> None:
    def has_looked() -> ReleaseLook | None:
        serve_looks(town.claimed)
        with town.client.scope():
            return ReleaseLook.objects.exclude(outcome="").first()

    look = wait_for(has_looked, "the look")
    assert (look.outcome, look.proof, look.is_over) == ("kept", "bytes", True)
    page = browser.get(reverse("message", args=[copy.message_id])).content.decode()
    assert "It is still in the inbox" in page


def the_same_mail_again_passes_both_layers(town: Town, rule: GatewayRule) -> None:
    town.number -= 1
    assert town.send()
    wait_for(lambda: len(town.client.company.mails("ana")) == 2, "the second mail")
    town.client.sync()
    town.client.make_sense()
    with town.client.scope():
        assert not Incident.objects.exists()


def taking_the_exception_back_ends_it_in_both(town: Town, rule: GatewayRule) -> None:
    with town.client.scope():
        remove_rule(rule=rule, actor=town.cast.ana, reason="It was false after all")
        incident = Incident.objects.get()
    assert incident.kind == Incident.Kind.BEC

    def is_held() -> bool:
        assert town.send()
        return len(town.seen(action=Outcome.HELD)) > 1

    wait_for(is_held, "the gate to hold it again")
