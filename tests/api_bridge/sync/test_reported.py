"""Mail in the report mailbox of a real (sandbox) mail host is read as a report, and not judged."""

from __future__ import annotations

from api_bridge.known import forget_profiles
from incidents.models import Delivery, Incident, UserReport
from incidents.userreports.placing import serve_reported
from incidents.userreports.terms import set_terms
from tenants.audit import BAILEY
from tenants.doors import ClaimedWork
from tenants.models import OutgoingMail
from tests.api_bridge.sandbox.running import simple_mail
from tests.incidents.userreports.mails import report


def work(client_) -> None:
    for _ in range(3):
        serve_reported(ClaimedWork(client_.tenant.id, client_.tenant.provider_id, 1))
        client_.make_sense()


def ana_has(client_, message_id: str) -> bytes:
    """A mail that she has received, while the CFO's mailbox takes reports."""
    with client_.scope():
        set_terms(tenant=client_.tenant, actor=BAILEY, mailbox=client_.company.mail("cfo"))
    forget_profiles()
    original = simple_mail(
        client_.company.mail("ana"), subject="Your parcel", message_id=message_id
    )
    client_.company.receive("ana", raw=original)
    client_.sync()
    client_.make_sense()
    return original


def test_from_the_report_mailbox_to_the_incident(client_):
    company = client_.company
    ana, cfo = company.mail("ana"), company.mail("cfo")
    original = ana_has(client_, "<p1@parcel.example>")
    told = report(ana, original, subject="Phishing: Your parcel").replace(
        b"abuse@acme.example", cfo.encode()
    )
    company.send_inside("ana", ["cfo"], told)
    # Somebody outside who says that she is Ana.
    company.receive("cfo", raw=told.replace(b"report-of-", b"forged-report-of-"))
    for _ in range(2):
        client_.sync()
        work(client_)
    with client_.scope():
        mine, forged = UserReport.objects.order_by("trust").reverse()
        assert (mine.trust, mine.way, mine.state) == ("own", "microsoft", "placed")
        assert (mine.said, mine.found, mine.reporter) == ("phish", "message_id", ana)
        assert (forged.trust, forged.state, forged.evidence) == ("forged", "ignored", "")
        assert Incident.objects.exclude(kind="health").count() == 1
        assert mine.delivery is not None
        assert mine.delivery.recipient == ana
        in_mailbox = Delivery.objects.filter(recipient=cfo)
        assert set(in_mailbox.values_list("mailbox_verdict", flat=True)) == {""}
        assert [row.to_address for row in OutgoingMail.objects.all()] == [ana]
    seen = client_.observations(recipient=cfo, layer="mailbox")
    assert seen
    assert all(not each.mail["links"] and each.reasons for each in seen)


def test_the_sandboxs_report_button_is_read_as_outlooks_own(client_):
    company = client_.company
    ana, cfo = company.mail("ana"), company.mail("cfo")
    ana_has(client_, "<p2@parcel.example>")
    wish = {"internet_message_id": "<p2@parcel.example>", "to": cfo, "said": "phishing"}
    wish["text"] = "I ordered nothing."
    address = f"mailboxes/{ana}/report"
    company.cloud.admin("POST", address, wish, 201)
    company.cloud.admin("POST", address, {**wish, "said": "fraud"}, 400)
    company.cloud.admin("POST", address, {**wish, "to": "nobody@elsewhere.example"}, 404)
    company.cloud.admin("POST", address, {**wish, "internet_message_id": "<none@x>"}, 404)
    for _ in range(2):
        client_.sync()
        work(client_)
    with client_.scope():
        mine = UserReport.objects.get()
        assert (mine.trust, mine.way, mine.said) == ("own", "microsoft", "phish")
        assert (mine.found, mine.reporter, mine.words) == ("message_id", ana, "I ordered nothing.")
        assert mine.delivery is not None
        assert mine.delivery.recipient == ana
        assert [row.to_address for row in OutgoingMail.objects.all()] == [ana]
