"""Exchange's own record, read through the whole worker and compared with what was seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from api_bridge import traces
from api_bridge.access.proof import fetch_token
from api_bridge.blindspots import watch_sight
from api_bridge.connectors.graph import GraphConnector
from api_bridge.connectors.traces import Traced, TracePage, TraceStatus
from api_bridge.errors import Temporary
from api_bridge.models import Connection, MailboxSync, TracedMail
from api_bridge.runtime import close_connectors
from api_bridge.trace_sight import TraceFate, trace_sight, traced_of
from incidents.ledger import Period
from incidents.models import Incident, Observation
from incidents.words import Layer
from tenants.doors import ClaimedWork
from tests.api_bridge.sandbox.running import simple_mail

AN_HOUR = timedelta(hours=1)


def whole() -> Period:
    now = timezone.now()
    return Period(now - timedelta(days=2), now + AN_HOUR)


def read(client, monkeypatch) -> None:
    """As if an hour had gone by, and as if nothing were late on record."""
    monkeypatch.setattr(traces, "LAG", timedelta(0))
    with client.scope():
        Connection.objects.update(trace_due_at=timezone.now())
    client.sync()


def age(client, by: timedelta = AN_HOUR) -> None:
    """All mail on record came earlier, and the mailboxes were read since."""
    with client.scope():
        at = timezone.now() - by
        TracedMail.objects.update(received_at=at)
        MailboxSync.objects.update(synced_at=timezone.now())


def figures(client) -> dict[str, int]:
    client.make_sense()
    with client.scope():
        sight = trace_sight(client.tenant, whole())
        assert sight is not None
        for fate in TraceFate:
            found = traced_of(client.tenant, whole(), fate).count()
            assert found == getattr(sight.counts, fate), fate
    counts = {fate.value: getattr(sight.counts, fate) for fate in TraceFate}
    return {name: n for name, n in counts.items() if n}


def on_record(client, name: str, **row: object) -> None:
    client.company.cloud.admin(
        "POST",
        f"tenants/{client.company.tenant_id}/traces",
        {"recipient": client.company.mail(name), **row},
        201,
    )


def test_what_was_delivered_and_never_seen_is_found(client_, monkeypatch):
    seen = client_.company.receive("ana")
    inside = simple_mail(client_.company.mail("bo"), subject="x", message_id="<in@x.example>")
    client_.company.send_inside("ana", ["bo"], inside)
    on_record(client_, "bo", internet_message_id="<gone@x.example>", subject="Gone\x00")
    on_record(client_, "nobody", internet_message_id="<none@x.example>")
    outside = {"recipient": "else@where.example", "internet_message_id": "<out@x.example>"}
    on_record(client_, "bo", **outside)
    on_record(client_, "bo", internet_message_id="<wait@x.example>", status="pending")
    read(client_, monkeypatch)
    assert figures(client_) == {"seen": 2, "unlooked": 1, "unread": 1}
    age(client_)
    assert figures(client_) == {"seen": 2, "lost": 1, "unread": 1}
    with client_.scope():
        (lost,) = traced_of(client_.tenant, whole(), TraceFate.LOST)
        assert (lost.internet_message_id, lost.subject) == ("<gone@x.example>", "Gone")
        assert seen in {
            row.internet_message_id for row in traced_of(client_.tenant, whole(), TraceFate.SEEN)
        }


def test_reading_the_same_hours_again_counts_once_and_an_hour_is_waited(client_, monkeypatch):
    client_.company.receive("ana")
    read(client_, monkeypatch)
    read(client_, monkeypatch)
    assert figures(client_) == {"seen": 1}
    with client_.scope():
        row = Connection.objects.get()
        assert row.trace_due_at > timezone.now() + timedelta(minutes=59)
        assert row.traced_until is not None
        assert timezone.now() - row.traced_until < timedelta(minutes=1)
        assert row.trace_error == ""


@pytest.mark.parametrize(
    ("status", "verdict"), [("quarantined", "suspicious"), ("filteredAsSpam", "spam")]
)
def test_what_exchange_filtered_is_its_verdict_where_the_mail_is_known(
    client_, monkeypatch, status, verdict
):
    known = client_.company.receive("ana")
    client_.sync()
    client_.make_sense()
    for message_id in (known, "<unknown@x.example>"):
        on_record(client_, "ana", internet_message_id=message_id, status=status)
    read(client_, monkeypatch)
    read(client_, monkeypatch)
    (said,) = client_.observations(layer=Layer.VENDOR)
    assert (said.internet_message_id, said.verdict, said.engine) == (
        known, verdict, "exchange-trace",
    )  # fmt: skip
    (copy,) = client_.deliveries()
    assert copy.vendor_verdict == verdict
    assert figures(client_) == {"seen": 1, "filtered": 2}


def test_without_the_permission_it_is_off_and_says_so_and_mail_is_read_all_the_same(
    client_, monkeypatch
):
    company = client_.company
    weak = {"client_id": company.client_id, "secret": company.secret,
            "roles": ["Mail.Read", "User.Read.All"]}  # fmt: skip
    company.cloud.admin("PUT", f"tenants/{company.tenant_id}", {
        "domain": company.domain, "apps": [weak],
    })  # fmt: skip
    # The token that was given before still has the permission.
    fetch_token(client_.wired())
    close_connectors()
    company.receive("ana")
    read(client_, monkeypatch)
    with client_.scope():
        sight = trace_sight(client_.tenant, whole())
        assert sight is not None
        assert sight.off.startswith("ExchangeMessageTrace.Read.All is not granted.")
        assert Connection.objects.get().blind_since is None
    assert len(client_.observations()) == 1


def test_lost_ones_open_one_incident_which_names_exchange(client_, monkeypatch):
    for number in range(3):
        on_record(client_, "ana", internet_message_id=f"<{number}@x.example>")
    read(client_, monkeypatch)
    age(client_)
    claimed = ClaimedWork(client_.tenant.id, client_.tenant.provider_id, 1)
    watch_sight(claimed)
    watch_sight(claimed)
    with client_.scope():
        found = Incident.objects.get(finding="lost")
        assert found.state == "new"
        TracedMail.objects.all().delete()
    watch_sight(claimed)
    with client_.scope():
        assert Incident.objects.get(finding="lost").state == "resolved"


class Record:
    """A host's record: asked for what, and answers of the test."""

    trace_window, trace_reach = timedelta(days=10), timedelta(days=89)

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def traced(self, since, until, *, link=""):
        self.asked.append((since, until, link))
        answer = self.answers.pop(0) if self.answers else TracePage(traced=(), link="")
        if isinstance(answer, Exception):
            raise answer
        return answer


def once(client, record, **row) -> Connection:
    claimed = ClaimedWork(client.tenant.id, client.tenant.provider_id, 1)
    with client.scope():
        Connection.objects.update(trace_due_at=timezone.now(), **row)
    traces.read_traces(claimed, client.connection.id, record)
    with client.scope():
        return Connection.objects.get()


def a_trace(client, number: int) -> Traced:
    return Traced(
        id=str(number), received_at=timezone.now() - AN_HOUR, status=TraceStatus.DELIVERED,
        recipient=client.company.mail("ana"), internet_message_id=f"<{number}@x.example>",
    )  # fmt: skip


def test_the_watermark_overlaps_goes_in_days_and_stays_where_a_page_fails(client_):
    now = timezone.now()
    old = {"created_at": now - timedelta(days=40), "traced_until": now - timedelta(days=2)}
    record = Record()
    row = once(client_, record, **old)
    first, *_, last = record.asked
    assert first[0] == old["traced_until"] - traces.OVERLAP
    assert all(until - since <= timedelta(days=1) for since, until, _ in record.asked)
    assert [a[1] for a in record.asked[:-1]] == [b[0] for b in record.asked[1:]]
    assert last[1] == row.traced_until
    assert row.traced_until > now - traces.LAG - timedelta(seconds=5)
    pages = TracePage(traced=(a_trace(client_, 1),), link="more"), Temporary("away")
    failed = once(client_, Record(*pages), traced_until=now - AN_HOUR)
    assert failed.traced_until == now - AN_HOUR
    assert "away" in failed.trace_error
    assert failed.trace_due_at < timezone.now() + traces.AGAIN
    again = Record(*pages[:1], TracePage(traced=(a_trace(client_, 2),), link=""))
    assert once(client_, again).trace_error == ""
    assert [link for *_, link in again.asked] == ["", "more"]
    with client_.scope():
        assert TracedMail.objects.count() == 2


def test_after_a_long_silence_it_begins_where_the_record_is_kept_from(client_):
    record = Record()
    old = datetime(2026, 1, 1, tzinfo=UTC)
    once(client_, record, created_at=old, traced_until=old)
    assert record.asked[0][0] > timezone.now() - traces.KEPT - AN_HOUR


def test_links_in_a_circle_end(client_):
    page = TracePage(traced=(), link="same")
    created = {"created_at": timezone.now() - AN_HOUR}
    row = once(client_, Record(page, page, page, page), **created)
    assert "circle" in row.trace_error


def test_one_clients_record_is_not_anothers(client_, connect, monkeypatch):
    other = connect("globule")
    on_record(client_, "ana", internet_message_id="<mine@x.example>")
    read(client_, monkeypatch)
    read(other, monkeypatch)
    with other.scope():
        assert TracedMail.objects.count() == 0
    with client_.scope():
        assert TracedMail.objects.count() == 1
        assert Observation.objects.filter(tenant=other.tenant).count() == 0


def test_a_mailbox_is_read_whole_where_the_record_has_what_was_not_seen(client_, monkeypatch):
    """Its hint was lost; the others, of which all is seen, are left alone."""
    with client_.scope():
        # The record has whole seconds: what came in the same one would lie before it.
        Connection.objects.update(created_at=timezone.now() - timedelta(seconds=1))
    client_.company.receive("ana")
    read(client_, monkeypatch)
    unseen = client_.company.receive("bo")
    later = timezone.now() + 6 * AN_HOUR
    with client_.scope():
        MailboxSync.objects.update(due_at=later, whole_due_at=later)
        Connection.objects.update(trace_due_at=timezone.now())
    client_.sync(everything=False)
    assert client_.mailbox_sync("bo").whole_due_at <= timezone.now()
    assert client_.mailbox_sync("ana").whole_due_at == later
    client_.sync(everything=False)
    assert unseen in {row.internet_message_id for row in client_.observations()}


def test_what_came_long_before_the_end_of_a_step_is_held_against_what_was_seen(
    client_, monkeypatch
):
    """The record was not read for most of a day, or has a mail hours after it came."""
    later = timezone.now() + 6 * AN_HOUR
    with client_.scope():
        Connection.objects.update(created_at=timezone.now() - 20 * AN_HOUR)
        MailboxSync.objects.update(due_at=later, whole_due_at=later)
    received_at = (timezone.now() - 10 * AN_HOUR).isoformat()
    on_record(client_, "bo", internet_message_id="<early@x.example>", received_at=received_at)
    monkeypatch.setattr(traces, "LAG", timedelta(0))
    with client_.scope():
        Connection.objects.update(trace_due_at=timezone.now())
    client_.sync(everything=False)
    assert client_.mailbox_sync("bo").whole_due_at <= timezone.now()
    assert client_.mailbox_sync("ana").whole_due_at == later


def test_whole_readings_are_rarest_while_the_record_is_read(client_, monkeypatch):
    def push_stands() -> None:
        with client_.scope():
            MailboxSync.objects.update(push_expires_at=timezone.now() + 48 * AN_HOUR)

    read(client_, monkeypatch)
    for _ in range(7):
        push_stands()
        client_.sync()
    assert client_.mailbox_sync("ana").whole_every_s == 43_200

    def away(*_: object, **__: object) -> None:
        raise Temporary("The record does not answer.")

    monkeypatch.setattr(GraphConnector, "traced", away)
    read(client_, monkeypatch)
    row = client_.mailbox_sync("ana")
    assert row.whole_every_s == 7_200
    assert row.whole_due_at <= timezone.now() + 2 * AN_HOUR
