"""The blind-spot meter: every figure opens to its list, and each fate of a copy is told apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from api_bridge.blindspots import Fate, copies_of, last_hours, reconcile, total, watch_sight
from api_bridge.models import Connection, MailboxSync, TracedMail
from console.templatetags.bailey import percent
from incidents.models import Delivery, Finding, Incident
from tenants.doors import ClaimedWork
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope
from tests.incidents.test_disagreements import INFO, IT, happened, inside, passed
from tests.seg_bridge.conftest import make_gate

pytestmark = pytest.mark.usefixtures("no_broker")
# In the middle of an hour, well before the half hour that is left out.
AT = timezone.now().replace(minute=30, second=0, microsecond=0) - timedelta(hours=3)
HOUR = AT.replace(minute=0)


def worker(cast):
    return tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id)


@pytest.fixture
def read_at(cast):
    """Both layers; INFO's mailbox was read two hours after the mail, IT's never since."""
    make_gate(cast, cast.acme)
    with worker(cast):
        connection = Connection.objects.create(tenant=cast.acme, kind="graph")
        for address, synced_at in ((INFO, AT + timedelta(hours=2)), (IT, AT - timedelta(hours=1))):
            mailbox = Mailbox.objects.get(address=address)
            MailboxSync.objects.create(
                tenant=cast.acme,
                mailbox=mailbox,
                connection=connection,
                synced_at=synced_at,
                due_at=synced_at,
            )


@pytest.fixture
def mail(cast, read_at):
    """One seen, two lost, one not looked for, one to nobody's mailbox, one around the gateway."""
    with worker(cast):
        happened(
            cast,
            *(passed(cast, INFO, 1), inside(cast, INFO, 1)),
            *(passed(cast, INFO, 2), passed(cast, INFO, 3), passed(cast, IT, 4)),
            passed(cast, "nobody@acme.example", 5),
            inside(cast, INFO, 6, trace_ulid=""),
        )
        Delivery.objects.update(received_at=AT)
        Delivery.objects.filter(message__internet_message_id="<6@evil.example>").update(
            is_bypass=True
        )


WANTED = {"seen": 1, "lost": 2, "unlooked": 1, "unread": 1, "through": 1, "around": 1}


def test_every_fate_is_told_apart_by_domain_and_hour(cast, mail):
    with worker(cast):
        (sight,) = reconcile(cast.acme, last_hours())
    assert sight.domain == "acme.example"
    assert {name: getattr(sight.counts, name) for name in WANTED} == WANTED
    assert [hour.at for hour in sight.hours] == [HOUR]
    assert sight.counts.delivered == 5
    assert sight.counts.seen_share == pytest.approx(1 / 3)
    assert sight.counts.through_share == pytest.approx(1 / 2)


def test_a_figure_is_as_long_as_its_list(cast, mail):
    with worker(cast):
        counts = total(sight.counts for sight in reconcile(cast.acme, last_hours()))
        for fate in Fate:
            for domain in ("", "acme.example"):
                found = copies_of(cast.acme, last_hours(), fate, domain)
                assert found.count() == getattr(counts, fate), fate
            assert not copies_of(cast.acme, last_hours(), fate, "other.example").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"direction": "internal"},
        {"received_at": AT - timedelta(days=2)},
        {"received_at": datetime(2030, 1, 1, tzinfo=UTC)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_not_inbound_or_not_of_the_period_is_not_counted(cast, mail, change):
    with worker(cast):
        Delivery.objects.update(**change)
        assert reconcile(cast.acme, last_hours()) == []


def test_what_the_gateway_held_is_not_missed_in_a_mailbox(cast, mail):
    with worker(cast):
        Delivery.objects.filter(mailbox_at=None).update(outcome="held")
        assert total(each.counts for each in reconcile(cast.acme, last_hours())).lost == 0


def test_the_page_opens_every_number_to_its_copies(client, cast, mail):
    client.force_login(cast.ana)
    text = client.get(reverse("client_blindspots", args=["acme"])).content.decode()
    assert "1 of 5 seen" in text
    assert "2 never seen</a>" in text
    assert "1 around it</a>" in text
    assert "33.3 %" in text
    listed = reverse("client_blindspots_list", args=["acme", "lost"])
    assert listed in text
    rows = client.get(listed).content.decode()
    assert rows.count("data-row") == 2
    assert "Mail delivered and never seen" in rows
    assert client.get(reverse("client_blindspots_list", args=["acme", "x"])).status_code == 404
    assert client.get(f"{listed}?from=yesterday").status_code == 400


@pytest.mark.parametrize("missing", ["gateway", "mailbox layer"])
def test_without_one_of_the_layers_there_is_nothing_to_compare(client, cast, missing):
    if missing == "mailbox layer":
        make_gate(cast, cast.acme)
    client.force_login(cast.ana)
    text = client.get(reverse("client_blindspots", args=["acme"])).content.decode()
    assert "Nothing to compare" in text
    assert f"No {missing}" in text


def test_blind_is_said_and_nothing_since_counts_as_lost(client, cast, mail):
    with worker(cast):
        Connection.objects.update(state="needs_consent", blind_since=AT - timedelta(minutes=1))
        MailboxSync.objects.update(synced_at=AT - timedelta(minutes=1))
    client.force_login(cast.ana)
    text = client.get(reverse("client_blindspots", args=["acme"])).content.decode()
    assert "blind since" in text
    assert "never seen</a>" not in text
    assert "3 in mailboxes not read since" in text


def test_the_api_gives_the_same_figures_and_lists(client, cast, mail):
    client.force_login(cast.ana)
    answer = client.get("/api/v1/tenants/acme/blind-spots").json()
    assert {name: answer["counts"][name] for name in WANTED} == WANTED
    assert answer["domains"][0]["hours"][0]["counts"] == answer["counts"]
    ends = {"from": answer["since"], "to": answer["until"]}
    found = client.get("/api/v1/tenants/acme/blind-spots/lost", ends).json()
    assert len(found["results"]) == 2
    assert client.get("/api/v1/tenants/acme/blind-spots?tenant=x").status_code == 400


@pytest.fixture
def traced(cast, mail):
    """Of Exchange's record: one seen, one lost, one filtered."""
    with worker(cast):
        connection = Connection.objects.get()
        connection.traced_until = AT + timedelta(hours=1)
        connection.save()
        mailbox = Mailbox.objects.get(address=INFO)
        seen = Delivery.objects.filter(mailbox_at__isnull=False).first()
        assert seen is not None
        seen_id = seen.message.internet_message_id
        Delivery.objects.filter(id=seen.id).update(mailbox=mailbox)
        for number, (message_id, status) in enumerate(
            [(seen_id, "delivered"), ("<7@x.example>", "delivered"), (seen_id, "quarantined")]
        ):
            TracedMail.objects.create(
                tenant=cast.acme,
                mailbox=mailbox,
                connection=connection,
                trace_id=str(number),
                recipient=INFO,
                internet_message_id=message_id,
                subject="<b>Gone</b>",
                status=status,
                received_at=AT,
            )


def test_exchanges_own_record_stands_beside_the_gateways(client, cast, traced):
    client.force_login(cast.ana)
    text = client.get(reverse("client_blindspots", args=["acme"])).content.decode()
    assert "1 of 2 delivered mails seen" in text
    assert "1 filtered by Exchange" in text
    for fate, rows in (("seen", 1), ("lost", 1), ("unlooked", 0), ("filtered", 1)):
        listed = reverse("client_traced", args=["acme", fate])
        assert (f'href="{listed}?' in text) == bool(rows)
        found = client.get(listed).content.decode()
        assert found.count("data-row") == rows
        assert "<b>Gone" not in found
        api = client.get(f"/api/v1/tenants/acme/blind-spots/exchange/{fate}").json()
        assert len(api["results"]) == rows
    assert client.get(reverse("client_traced", args=["acme", "x"])).status_code == 404
    told = client.get("/api/v1/tenants/acme/blind-spots").json()["exchange"]
    wanted = {"delivered": 2, "seen": 1, "lost": 1, "filtered": 1, "seen_share": 0.5}
    assert told["counts"] == wanted | {"unlooked": 0, "unread": 0}


def test_a_record_that_is_not_read_says_why(client, cast, mail):
    with worker(cast):
        Connection.objects.update(trace_error="ExchangeMessageTrace.Read.All is not granted.")
    client.force_login(cast.ana)
    text = client.get(reverse("client_blindspots", args=["acme"])).content.decode()
    assert "ExchangeMessageTrace.Read.All is not granted." in text
    assert "delivered mails seen" not in text


def test_what_is_lost_opens_one_incident_which_settles_once_it_is_seen(cast, mail):
    claimed = ClaimedWork(cast.acme.id, cast.provider.id, 1)
    lost = Delivery.objects.filter(message__internet_message_id="<4@evil.example>")
    with worker(cast):
        found = Incident.objects.filter(finding="lost")
    watch_sight(claimed)  # two are no loss of sight: people delete mail
    with worker(cast):
        assert not found.exists()
        MailboxSync.objects.update(synced_at=AT + timedelta(hours=2))
    watch_sight(claimed)
    watch_sight(claimed)
    with worker(cast):
        incident = found.get()
        assert (incident.kind, incident.state) == ("health", "new")
        (row,) = Finding.objects.all()
        assert row.words.startswith("acme.example: 3 of 5 mails")
    with time_machine.travel(timezone.now() + timedelta(days=2), tick=False):
        watch_sight(claimed)
        with worker(cast):
            assert found.get().state == "new", "a day later nobody has seen them either"
    with time_machine.travel(timezone.now() + timedelta(days=9), tick=False):
        watch_sight(claimed)
        with worker(cast):
            assert found.get().state == "new", "what is no longer looked at, a person closes"
            lost.update(mailbox_at=AT)
    watch_sight(claimed)
    with worker(cast):
        assert found.get().state == "resolved"


def test_what_a_person_closed_is_lost_anew_where_more_of_it_is(cast, mail):
    claimed = ClaimedWork(cast.acme.id, cast.provider.id, 1)
    with worker(cast):
        MailboxSync.objects.update(synced_at=AT + timedelta(hours=2))
    watch_sight(claimed)
    with worker(cast):
        Incident.objects.filter(finding="lost").update(state="resolved")
    with time_machine.travel(timezone.now() + timedelta(days=2), tick=False):
        watch_sight(claimed)
    with worker(cast):
        assert not Finding.objects.filter(settled_at=None).exists()
    watch_sight(claimed)  # as if the same were lost again
    with worker(cast):
        states = Incident.objects.filter(finding="lost").order_by("number")
        assert [each.state for each in states] == ["resolved", "new"]


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100 %"), (0.9999, "99.9 %"), (0.5, "50 %"), (0.0, "0 %")]
)
def test_only_all_of_it_is_a_hundred_percent(share, text):
    assert percent(share) == text
