"""A client's outbound page: what a lead sets up, what everybody sees, what is shown once."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from incidents.models import Delivery
from incidents.words import Direction
from seg_bridge.gate.outbound.logins import check_secret
from seg_bridge.models import GateCommand
from seg_bridge.outbound.models import OutboundTerms, SenderStop, SigningKey, SubmissionLogin
from seg_bridge.outbound.serving import serve_outbound
from tenants.doors import ClaimedWork
from tests.factories import Cast
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.outbound.parts import CEO, TERMS, analyst, stop_the_ceo, switch_on

pytestmark = pytest.mark.usefixtures("no_broker")


def page(client, person) -> str:
    client.force_login(person)
    answer = client.get(reverse("client_outbound", args=["acme"]))
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_an_empty_page_says_how_to_begin(client, cast: Cast):
    text = page(client, cast.mo)
    assert "To begin, switch it on under Terms" in text
    assert "Nobody is stopped" in text
    assert "Make a login" in text
    text = page(client, cast.ana)
    assert "A lead sets it up." in text
    assert "Make a login" not in text


def test_without_a_next_mail_server_it_says_where_mail_goes(client, cast: Cast):
    switch_on(cast, next_hop_host="")
    text = page(client, cast.ana)
    assert "puts all outbound mail off" not in text  # since gates ask for the MX themselves
    assert "each recipient's own mail host (MX)</dd>" in text


def test_the_page_says_where_mail_is_submitted(client, cast: Cast, settings):
    settings.SUBMISSION_AT, settings.SUBMISSIONS_AT = "mx1.example.com:587", "mx1.example.com:465"
    text = page(client, cast.ana)
    assert "<code>mx1.example.com:587</code> (STARTTLS)" in text
    assert "<code>mx1.example.com:465</code> (TLS)" in text


def test_a_lead_sets_the_terms(client, cast: Cast):
    client.force_login(cast.mo)
    address = reverse("client_outbound_terms", args=["acme"])
    assert client.post(address, {**TERMS, "stop_threats": "0"}).status_code == 200
    with analyst(cast):
        assert not OutboundTerms.objects.exists(), "a stop at no threat is none"
    assert client.post(address, {**TERMS, "stop_threats": "3"}).status_code == 302
    assert "at 3 threats in 10 minutes" in page(client, cast.ana)
    assert "smtp.acme.example:587" in page(client, cast.ana)
    answer = client.get(address)
    assert answer.status_code == 403, "Ana is no lead"


@pytest.mark.parametrize(
    ("network", "status", "words"),
    [
        ("203.0.113.0/28", 302, ""),
        ("0.0.0.0/0", 400, "is too wide"),
        ("smtp.acme.example", 400, "is no address and no network"),
    ],
)
def test_a_sending_host(client, cast: Cast, network, status, words):
    client.force_login(cast.mo)
    address = reverse("client_outbound_host", args=["acme"])
    answer = client.post(address, {"network": network, "note": "Berlin"})
    assert answer.status_code == status
    assert words in answer.content.decode()
    assert (network in page(client, cast.ana)) is (status == 302)


def test_a_logins_secret_is_shown_once(client, cast: Cast):
    client.force_login(cast.mo)
    address = reverse("client_outbound_login", args=["acme"])
    answer = client.post(address, {"purpose": "Scanners"})
    (secret,) = re.findall(r'data-copy="([\w-]{32})"', answer.content.decode())
    assert "no-store" in answer["Cache-Control"]
    with analyst(cast):
        login = SubmissionLogin.objects.get()
    assert check_secret(secret, login.hashed)
    text = page(client, cast.mo)
    assert login.name in text
    assert secret not in text
    assert login.hashed not in text
    client.post(reverse("submission_login_end", args=[login.id]))
    assert f"<code>{login.name}</code>" not in page(client, cast.mo)


def test_a_keys_record_is_shown_and_looked_up_by_a_worker(client, cast: Cast, monkeypatch):
    client.force_login(cast.mo)
    client.post(reverse("client_outbound_key", args=["acme"]))
    with analyst(cast):
        key = SigningKey.objects.select_related("domain").get()
    text = page(client, cast.ana)
    assert key.record_name in text
    assert f"v=DKIM1; k=rsa; p={key.public}" in text
    assert "not looked up yet" in text
    assert client.post(reverse("signing_key_check", args=[key.id])).status_code == 302
    assert "being looked up" in page(client, cast.ana)
    monkeypatch.setattr(
        "seg_bridge.outbound.checking._resolver", lambda: lambda *_: (key.record_value,)
    )
    serve_outbound(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    text = page(client, cast.ana)
    assert "holds this key" in text
    assert "Signing" in text


def test_anybody_who_has_the_client_lets_a_stopped_sender_send(client, cast: Cast):
    make_gate(cast, cast.acme)
    with analyst(cast):
        stop = SenderStop.objects.create(
            tenant=cast.acme,
            stop_ulid="01J0000000000000000000ST01",
            gate_name="mx1",
            mailbox=CEO,
            cause="threats",
            words="5 of its mails within 10 minutes were held to be threats",
            stopped_at="2026-11-22T12:00:00+00:00",
        )
    text = page(client, cast.bo)
    assert "5 of its mails within 10 minutes were held to be threats." in text
    address = reverse("sender_stop_lift", args=[stop.id])
    assert "What is held stays held." in client.get(address).content.decode()
    assert client.post(address, {"reason": ""}).status_code == 200
    assert client.post(address, {"reason": "Sessions ended"}).status_code == 302
    text = page(client, cast.bo)
    assert "Nobody is stopped" in text
    assert "0 of 1 gates follow" in text
    with analyst(cast):
        GateCommand.objects.update(ok=True)
    assert "all gates follow" in page(client, cast.bo)
    assert client.post(address, {"reason": "Again"}).status_code == 409


def test_a_stop_leads_to_its_incident_and_back(client, cast: Cast):
    make_gate(cast, cast.acme)
    incident = stop_the_ceo(cast)
    text = page(client, cast.bo)
    assert reverse("incident", args=[incident.id]) in text
    answer = client.get(reverse("incident", args=[incident.id]))
    assert answer.status_code == 200
    told = answer.content.decode()
    assert "An account at risk, its mail to 5 people was held" in told
    assert reverse("client_outbound", args=["acme"]) in told
    assert "Block sender" not in told
    assert "not seen in a mailbox" not in told.lower(), "these mailboxes are other people's"
    assert client.get(reverse("held") + "?client=acme").status_code == 200


def test_held_mail_that_was_going_out_says_so(client, cast: Cast):
    incident = stop_the_ceo(cast)
    client.force_login(cast.ana)
    held = str(client.get(reverse("held")).content.decode())
    assert "Acme, on its way out" in held
    with analyst(cast):
        copy = Delivery.objects.filter(direction=Direction.OUTBOUND).first()
    assert copy is not None
    question = str(client.get(reverse("held_release", args=[copy.id])).content.decode())
    assert f"The gateway stopped {CEO} from sending" in question
    assert reverse("incident", args=[incident.id]) in question
    assert "can only be pulled back" not in question, "nobody reaches the recipient's mailbox"

    shown = str(client.get(reverse("incident", args=[incident.id])).content.decode())
    assert "No copy went out: the gateway kept all of them." in shown


def test_of_mail_that_was_going_out_nobody_is_stopped_any_more(client, cast: Cast):
    stop_the_ceo(cast)
    client.force_login(cast.ana)
    with analyst(cast):
        copy = Delivery.objects.filter(direction=Direction.OUTBOUND).first()
        SenderStop.objects.update(lifted_at=timezone.now(), lifted_by="Ana")
    assert copy is not None
    question = str(client.get(reverse("held_release", args=[copy.id])).content.decode())
    assert "from sending" not in question
