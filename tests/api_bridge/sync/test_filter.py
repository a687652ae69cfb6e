"""What Microsoft says of delivered mail becomes the word of the mail host beside the two layers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from api_bridge.models import Connection
from incidents.models import Disagreement, Incident
from incidents.story import tell_story
from incidents.words import Layer
from tests.api_bridge.sandbox.running import simple_mail
from tests.api_bridge.sync.conftest import Client

SENDER = "sender@sender.example.net"
LIE = "X-Forefront-Antispam-Report: CIP:192.0.2.1;SCL:9;CAT:MALW;\r\n"


def says(client: Client, **rule: Any) -> None:
    rules = [{"sender": SENDER, **rule}] if rule else []
    client.company.cloud.admin("PUT", "filter", {"rules": rules})


def test_the_filters_word_of_the_trusted_hop_counts_and_a_forged_one_does_not(client_: Client):
    raw = simple_mail(client_.company.mail("ana"), subject="One", message_id="<1@x>", extra=LIE)
    client_.company.receive("ana", raw=raw)
    try:
        says(client_, category="HPHSH", scl=9)
        raw = simple_mail(client_.company.mail("bo"), subject="Two", message_id="<2@x>", extra=LIE)
        client_.company.receive("bo", raw=raw)
    finally:
        says(client_)
    client_.sync()
    (said,) = client_.observations(layer=Layer.VENDOR)
    assert (said.internet_message_id, said.verdict) == ("<2@x>", "phish")
    assert said.recipient == client_.company.mail("bo")
    assert said.reasons[0]["value"] == "HPHSH"
    copies = {copy.message.internet_message_id: copy for copy in client_.deliveries()}
    assert copies["<2@x>"].vendor_verdict == "phish"
    assert copies["<1@x>"].vendor_verdict == ""
    details = {
        seen.internet_message_id: seen.detail
        for seen in client_.observations(layer=Layer.MAILBOX)
        if seen.detail
    }
    assert details["<2@x>"]["host_filter"]["category"] == "HPHSH"
    assert details["<2@x>"]["client_ip"] == "127.0.0.1", "from whom the trusted hop had it"
    assert "host_filter" not in details["<1@x>"]
    assert "client_ip" not in details["<1@x>"]
    with client_.scope():
        item = Disagreement.objects.get()
    assert (item.kind, item.copies) == ("vendor_against_layer", 1)


def evidence(recipient: str, message_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.security.analyzedMessageEvidence",
        "verdict": "malicious", "networkMessageId": "4fd2", "internetMessageId": message_id,
        "recipientEmailAddress": recipient, "subject": "Hello", "threats": ["Phish"],
        "p2Sender": {"emailAddress": SENDER}, **changes,
    }  # fmt: skip


def test_what_defender_says_later_goes_the_way_of_every_hosts_verdicts(client_: Client):
    message_id = client_.company.receive("ana")
    client_.sync()
    ana = client_.company.mail("ana")
    alert = {
        "title": "Email messages containing malicious URL removed after delivery",
        "evidence": [
            evidence(ana, message_id),
            evidence("who@else.example", message_id),
            evidence(ana, "<clean@x>", verdict="noThreatsFound"),
            {"@odata.type": "#microsoft.graph.security.userEvidence", "verdict": "malicious"},
        ],
    }
    path = f"tenants/{client_.company.tenant_id}/alerts"
    client_.company.cloud.admin("POST", path, alert, 201)
    for _ in range(2):
        with client_.scope():
            at = Connection.objects.get().created_at
            Connection.objects.update(watch_due_at=at, verdicts_due_at=at)
        client_.sync()
    (said,) = client_.observations(layer=Layer.VENDOR)
    assert (said.verdict, said.engine, said.recipient) == ("phish", "microsoft-defender", ana)
    assert client_.deliveries()[0].vendor_verdict == "phish"


def test_a_link_that_somebody_opened_stands_on_the_copy(client_: Client):
    message_id = client_.company.receive("ana")
    client_.sync()
    ana = client_.company.mail("ana")
    person = {"userPrincipalName": ana}
    alert = {
        "title": "A user clicked through to a potentially malicious URL",
        "firstActivityDateTime": "2026-11-22T09:58:00Z",
        "evidence": [
            evidence(ana, message_id),
            {"@odata.type": "#microsoft.graph.security.userEvidence", "userAccount": person},
        ],
    }
    path = f"tenants/{client_.company.tenant_id}/alerts"
    client_.company.cloud.admin("POST", path, alert, 201)
    with client_.scope():
        at = Connection.objects.get().created_at
        Connection.objects.update(watch_due_at=at, verdicts_due_at=at)
    client_.sync()
    (said,) = client_.observations(layer=Layer.VENDOR)
    (copy,) = client_.deliveries()
    assert copy.clicked_at == datetime(2026, 11, 22, 9, 58, tzinfo=UTC)
    assert copy.clicked_by == said.id
    with client_.scope():
        incident = Incident.objects.get()
        story = tell_story(incident)
    assert incident.counts["clicked"] == 1
    assert any("opened a link in it" in line.lead for line in story.lines)
