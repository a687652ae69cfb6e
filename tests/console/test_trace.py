"""A mail is found by whatever somebody has of it, its way is told, and lists become files."""

import csv
import io
import re
from typing import Any

import pytest
from django.urls import reverse

from console.queries.mail import MOST_EXPORTED
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Delivery, Observation
from incidents.words import Outcome, Place, Verdict
from tenants.scope import Role, tenant_scope
from tests.console.test_pages import open_phish
from tests.factories import gateway_saw, mail_json

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def copy(cast):
    open_phish(cast.globex, 2)
    phish = open_phish(cast.acme)
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        Delivery.objects.update(mailbox_item_id="AAMk" + "x" * 120)
        return Delivery.objects.select_related("message").get(
            message__memberships__incident=phish.id
        )


@pytest.fixture
def as_ana(client, cast):
    client.force_login(cast.ana)
    return client


def rows(answer):
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def ids_of(copy, cast):
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        seen = Observation.objects.latest("observed_at")
    return {
        "Message-ID": copy.message.internet_message_id,
        "Message-ID without brackets": copy.message.internet_message_id.strip("<>"),
        "trace": copy.message.trace_ulid,
        "trace in small letters": copy.message.trace_ulid.lower(),
        "item": copy.mailbox_item_id,
        "copy": str(copy.id),
        "mail": str(copy.message_id),
        "observation": str(seen.id),
        "sender": copy.message.sender_address,
        "recipient": copy.recipient,
        "part of the subject": copy.message.subject[:5],
    }


def test_a_mail_is_found_by_any_id_of_either_layer(as_ana, cast, copy):
    for what, q in ids_of(copy, cast).items():
        found = rows(as_ana.get(reverse("mail_csv"), {"q": q, "client": "acme"}))
        assert [row["copy"] for row in found] == [str(copy.id)], what


def test_an_id_finds_mail_that_is_older_than_the_list(as_ana, cast, copy):
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        Delivery.objects.update(received_at="2025-01-01T00:00:00Z")
    by_id = rows(as_ana.get(reverse("mail_csv"), {"q": copy.message.trace_ulid}))
    assert [row["copy"] for row in by_id] == [str(copy.id)]
    by_words = as_ana.get(reverse("mail_csv"), {"q": copy.recipient, "days": "30"})
    assert rows(by_words) == []


def test_another_clients_mail_is_found_by_none_of_its_ids(client, cast):
    client.force_login(cast.bo)
    open_phish(cast.globex, 2)
    with tenant_scope(Role.WORKER, [cast.globex.id]):
        foreign = Delivery.objects.select_related("message").get()
        seen = Observation.objects.latest("observed_at")
    mail = foreign.message
    for q in (mail.internet_message_id, mail.trace_ulid, foreign.id, mail.id, seen.id):
        assert rows(client.get(reverse("mail_csv"), {"q": str(q)})) == []


def test_the_way_of_a_copy_is_told_with_its_conversation(as_ana, cast, copy):
    said = [["sender", "EHLO mx.evil.example"], ["gate", "250 gate1.example"]]
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        detail: dict[str, Any] = {
            "dialogue": said,
            "smtp_reply": "250 2.0.0 Ok",
            "next_hop": "mx.acme.example:25",
        }
        detail |= {"next_hop_reply": "250 taken", "tls": "TLSv1.3", "queue_id": "4XyZ"}
        detail["missing_why"] = ["clamav: the connection failed"]
        detail["engines"] = [
            {"engine": "rspamd", "version": "3.4", "verdict": "phish", "score": 15.2}
        ]
        record(
            [
                gateway_saw(
                    cast.acme,
                    copy.recipient,
                    ulid=copy.message.trace_ulid,
                    source_key="again",
                    internet_message_id=copy.message.internet_message_id,
                    fingerprint=copy.message.fingerprint,
                    mail=mail_json(),
                    detail=detail,
                )
            ]
        )
        make_sense_of_backlog(cast.acme)
    page = as_ana.get(reverse("trace", args=[copy.id])).content.decode()
    told = ("EHLO mx.evil.example", "250 taken", "TLSv1.3", "4XyZ", copy.message.trace_ulid)
    engines = ("clamav: the connection failed", "Engine rspamd 3.4", "phish, 15.2 points")
    for words in (*told, *engines):
        assert words in page
    assert page.index("EHLO mx.evil.example") < page.rindex("250 2.0.0 Ok")


def test_what_a_mail_says_of_itself_is_no_formula_in_the_file(as_ana, cast):
    evil = '=HYPERLINK("https://evil.example";"x")'
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        seen = gateway_saw(
            cast.acme,
            "info@acme.example",
            ulid="01J00000000000000000000009",
            mail=mail_json(subject=evil),
            verdict=Verdict.SPAM,
            action=Outcome.HELD,
            place=Place.HOLD,
        )
        record([seen])
        make_sense_of_backlog(cast.acme)
    for route in ("mail_csv", "held_csv"):
        answer = as_ana.get(reverse(route))
        (row,) = rows(answer)
        assert row["subject"] == "'" + evil
        assert answer["Content-Disposition"].startswith("attachment;")
        assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_file_has_the_rows_of_its_list(as_ana, cast, copy):
    assert rows(as_ana.get(reverse("mail_csv"), {"outcome": "held"})) == []
    assert rows(as_ana.get(reverse("held_csv"))) == []
    both = rows(as_ana.get(reverse("mail_csv")))
    assert {row["client"] for row in both} == {"Acme", "Globex"}
    assert len(both) == 2 < MOST_EXPORTED


def test_every_line_of_a_layer_opens_its_record(as_ana, cast, copy):
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        incident = copy.message.memberships.get().incident_id
    page = as_ana.get(reverse("incident", args=[incident])).content.decode()
    links = re.findall(r'class="who"><a href="([^"#]+)#(step-[^"]+)"', page)
    assert len(links) >= 2
    for address, step in links:
        assert f'id="{step}"' in as_ana.get(address).content.decode()


WAYS = {"203.0.113.77": "4F1C2A", "2001:db8::77": "4Tk2Yz5m"}


@pytest.fixture
def ways(cast):
    """Two mails of Acme and one of Globex, from the first host and under the same queue id."""
    with tenant_scope(Role.WORKER, [cast.acme.id, cast.globex.id]):
        for number, (host, queue) in enumerate(WAYS.items()):
            for tenant in (cast.acme, cast.globex)[: 2 - number]:
                seen = gateway_saw(
                    tenant,
                    f"info@{tenant.slug}.example",
                    ulid=f"01J0000000000000000000A{tenant.id % 10}{number}A",
                    internet_message_id=f"<{number}.{tenant.slug}@evil.example>",
                    detail={"client_ip": host, "queue_id": queue},
                    mail=mail_json(subject=f"Mail {number} of {tenant.slug}"),
                )
                record([seen])
                make_sense_of_backlog(tenant)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("203.0.113.77", {"Mail 0 of acme", "Mail 0 of globex"}),
        ("2001:DB8:0::77", {"Mail 1 of acme"}),
        ("[2001:db8::77]", {"Mail 1 of acme"}),
        ("203.0.113.7", set()),
        ("4F1C2A", {"Mail 0 of acme", "Mail 0 of globex"}),
        ("4Tk2Yz5m", {"Mail 1 of acme"}),
        ("4F1C2", set()),
    ],
)
def test_a_mail_is_found_by_sending_host_and_queue_id(as_ana, cast, ways, asked, found):
    assert {row["subject"] for row in rows(as_ana.get(reverse("mail_csv"), {"q": asked}))} == found
    answer = as_ana.get(reverse("api-deliveries"), {"q": asked}).json()
    assert len(answer["results"]) == len(found)


@pytest.mark.parametrize("asked", ["203.0.113.77", "4F1C2A"])
def test_the_way_of_another_clients_mail_finds_nothing(client, cast, ways, asked):
    client.force_login(cast.bo)
    found = rows(client.get(reverse("mail_csv"), {"q": asked}))
    assert {row["client"] for row in found} == {"Acme"}
