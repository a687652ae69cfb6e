"""The queue's order and its filters, and what a row may say while a layer is blind."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from api_bridge.models import Connection
from console.queries.queue import Filters, queue_page, tab_counts
from console.queries.rows import Part, job_words
from console.templatetags.bailey import exposed
from incidents.assessment import queue_rank
from incidents.codes import COUNTS
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import Delivery, Disagreement, Incident, Job, Message, MessageTrait
from incidents.observations import Observation
from incidents.words import Layer, Outcome, Verdict
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.console.test_pages import open_phish
from tests.factories import gateway_saw, mailbox_saw

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def as_ana(client, cast):
    client.force_login(cast.ana)
    return client


def counts(**some):
    return dict.fromkeys(COUNTS, 0) | some


def make(tenant, number, **changes):
    """An incident as the queue reads it, without mail behind it."""
    now = timezone.now()
    values = {
        "title": f"Number {number}",
        "kind": "phish",
        "severity": "medium",
        "counts": counts(),
        "first_seen_at": now,
        "last_seen_at": now,
    }
    opened = changes.pop("opened_at", now)
    made = Incident.objects.create(tenant=tenant, number=number, **(values | changes))
    Incident.objects.filter(id=made.id).update(opened_at=opened)
    return made


def scope(cast):
    return tenant_scope(Role.ANALYST, [cast.acme.id, cast.globex.id], provider_id=cast.provider.id)


def numbers(cast, **wish):
    page = queue_page("team", cast.ana, Filters(**wish), "")
    return [int(row.number[1:]) for row in page.rows]


@pytest.mark.parametrize(
    ("kind", "codes", "some", "rank"),
    [
        ("bec", [], {"in_inbox": 1}, 3),
        ("bec", [], {"removed": 1}, 0),
        ("bec", [], {"removed": 1, "read": 1}, 2),
        ("phish", ["internal_only"], {"in_inbox": 1}, 3),
        ("phish", [], {"replied": 1, "removed": 1}, 2),
        ("phish", [], {"in_junk": 1}, 1),
        ("phish", [], {"unseen": 1}, 1),
        ("phish", [], {"read": 1, "removed": 1}, 0),
        ("malware", [], {"held": 4}, 0),
    ],
)
def test_money_and_accounts_come_before_what_is_in_reach(kind, codes, some, rank):
    assert queue_rank(kind, counts(**some), codes) == rank


def test_the_queue_is_ordered_by_risk_and_then_by_what_waits_longest(cast):
    now = timezone.now()
    with scope(cast):
        make(cast.acme, 1, queue_rank=0, opened_at=now - timedelta(days=3))
        make(cast.acme, 2, queue_rank=1, opened_at=now)
        make(cast.globex, 3, queue_rank=3, opened_at=now)
        make(cast.globex, 4, queue_rank=3, opened_at=now - timedelta(hours=1))
        make(cast.acme, 5, queue_rank=1, opened_at=now - timedelta(hours=2))
        make(cast.acme, 6, queue_rank=1, opened_at=now, due_at=now + timedelta(hours=2))
        make(cast.acme, 7, queue_rank=1, opened_at=now, due_at=now - timedelta(minutes=1))

        assert numbers(cast) == [4, 3, 7, 6, 5, 2, 1]


@pytest.mark.parametrize(
    ("tab", "changes", "stands"),
    [
        ("mine", {"state": "new"}, True),
        ("mine", {"state": "triaged"}, False),
        ("mine", {"state": "contained"}, True),
        ("mine", {"state": "triaged", "owner": "ana"}, True),
        ("mine", {"state": "contained", "owner": "bo"}, False),
        ("mine", {"state": "new", "waiting_for": "vendor"}, False),
        ("waiting", {"state": "new", "waiting_for": "vendor"}, False),
        ("waiting", {"state": "new", "waiting_for": "client_answer"}, True),
        ("team", {"state": "new", "waiting_for": "vendor"}, True),
    ],
)
def test_who_is_needed_is_asked(cast, tab, changes, stands):
    values = dict(changes)
    if "owner" in values:
        values["owner_id"] = getattr(cast, values.pop("owner")).id
    if "waiting_for" in values:
        values["waiting_since"] = timezone.now()
    with scope(cast):
        make(cast.acme, 1, **values)
        assert bool(queue_page(tab, cast.ana, Filters(), "").rows) == stands
        assert tab_counts(cast.ana)[tab] == stands


def test_older_mail_that_a_layer_settled_is_of_the_same_client(as_ana, cast, monkeypatch):
    monkeypatch.setattr("console.lib.cursor.PAGE", 1)
    spam = {"verdict": Verdict.SPAM, "action": Outcome.REJECTED}
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record([gateway_saw(cast.acme, f"{each}@acme.example", **spam) for each in ("info", "ceo")])
        make_sense_of_backlog(cast.acme)
    page = as_ana.get(reverse("handled"), {"client": "acme"}).content.decode()
    assert "client=acme&amp;cursor=" in page


def test_pages_of_the_queue_hold_every_incident_once(cast, monkeypatch):
    monkeypatch.setattr("console.queries.queue.PAGE", 3)
    now = timezone.now()
    with scope(cast):
        for number in range(1, 11):
            due_at = now if number % 4 else None
            make(cast.acme, number, queue_rank=number % 3, opened_at=now, due_at=due_at)
        seen, cursor = [], ""
        while True:
            page = queue_page("team", cast.ana, Filters(), cursor)
            seen += [row.number for row in page.rows]
            cursor = page.older
            if not cursor:
                break
    assert sorted(seen) == sorted(f"#{number}" for number in range(1, 11))


def test_filters_by_layer_and_disagreement(cast):
    with scope(cast):
        make(cast.acme, 1, gateway_verdict="clean", mailbox_verdict="bec")
        make(cast.acme, 2, gateway_verdict="phish", mailbox_verdict="clean")
        make(cast.acme, 3, gateway_verdict="phish", mailbox_verdict="bec")
        make(cast.acme, 4, mailbox_verdict="phish", cross_layer=["gateway_bypassed"])
        make(cast.acme, 5, gateway_verdict="clean", cross_layer=["person_against_layer"])

        assert sorted(numbers(cast, layer="gateway")) == [2]
        assert sorted(numbers(cast, layer="mailbox")) == [1, 4]
        assert sorted(numbers(cast, layer="both")) == [3]
        assert sorted(numbers(cast, differ="any")) == [1, 2, 5]
        assert sorted(numbers(cast, differ="person_against_layer")) == [5]


def test_the_filter_offers_every_kind_of_disagreement_and_nothing_else(as_ana, cast):
    choices = as_ana.get(reverse("queue")).context["differences"]
    assert [value for value, _ in choices] == ["any", *Disagreement.Kind.values]


def test_the_entity_filter_finds_senders_domains_and_recipients(as_ana, cast):
    open_phish(cast.acme, subject="About eve")

    def found(entity):
        page = as_ana.get(reverse("queue"), {"tab": "team", "entity": entity})
        return "About eve" in page.content.decode()

    assert found("eve@evil.example")
    assert found("evil.example")
    assert found("cfo@acme.example")
    assert not found("info@acme.example")
    assert not found("other.example")


def test_a_blind_layer_never_reads_as_nothing_exposed(as_ana, cast):
    with scope(cast):
        quiet = make(cast.acme, 1)
        Connection.objects.create(
            tenant=cast.acme, kind="graph", blind_since=timezone.now() - timedelta(hours=1)
        )

    queue = as_ana.get(reverse("queue"), {"tab": "team"}).content.decode()
    page = as_ana.get(reverse("incident", args=[quiet.id])).content.decode()
    for text in (queue, page):
        assert "Nothing exposed" not in text
        assert "blind since" in text
        assert "Not known now" in text
    assert "Where copies are now is not known" in page


def test_a_copy_that_nobody_has_found_yet_is_within_reach_on_every_page(as_ana, cast):
    with scope(cast):
        made = make(cast.acme, 1, state="triaged", counts=counts(copies=2, delivered=2, unseen=2))
        Connection.objects.create(tenant=cast.acme, kind="graph")

    queue = as_ana.get(reverse("queue"), {"tab": "team"}).content.decode()
    page = as_ana.get(reverse("incident", args=[made.id])).content.decode()
    campaign = as_ana.get(reverse("campaign", args=[made.id])).context["page"]
    assert "Pull 2 copies" in queue
    assert "Pull 2 copies" in page
    assert "2 copies must be found first" in page
    assert "within anybody" not in page
    assert campaign.in_reach == 2
    question = as_ana.get(reverse("campaign_pull", args=[made.id]))
    assert len(question.context["rows"]) == 1


def test_a_search_says_how_far_it_looks_back_and_can_look_further(as_ana, cast):
    open_phish(cast.acme, subject="About eve")
    with scope(cast):
        incident = Incident.objects.get()
        long_ago = timezone.now() - timedelta(days=60)
        Incident.objects.update(last_seen_at=long_ago)
        Message.objects.update(first_seen_at=long_ago, last_seen_at=long_ago)
        Delivery.objects.update(received_at=long_ago)
        MessageTrait.objects.update(seen_at=long_ago)

    def page(**wish):
        answer = as_ana.get(reverse("queue"), {"tab": "team", **wish})
        return answer.content.decode()

    for wish in (
        {"q": f"#{incident.number}"},
        {"q": "About"},
        {"q": "eve@evil.example"},
        {"entity": "evil.example"},
        {"entity": "cfo@acme.example"},
    ):
        shown = page(**wish)
        rows, _, named = shown.partition("Named so")
        assert incident.title not in rows, wish
        assert (incident.title in named) == wish.get("q", "").startswith("#")
        assert "of the last 30 days" in shown
        assert "days=90" in shown
        assert incident.title in page(**wish, days="90"), wish
    assert "days=365" not in page(entity="evil.example", days="90")
    assert "Searched:" not in page()


@pytest.mark.parametrize(
    ("layer", "source", "detail", "verdict", "words"),
    [
        ("person", "person:1", {"person": "Kim Roth"}, "phish", "Kim Roth says phish"),
        ("person", "report:kim@acme.example", {}, "phish", "kim@acme.example reported it"),
        ("vendor", "vendor:graph", {}, "malware", "The mail host says malware"),
    ],
)
def test_who_contradicts_layers_that_agree_is_said_in_words(
    as_ana, cast, layer, source, detail, verdict, words
):
    whom, common = "info@acme.example", {"internet_message_id": "<7@evil.example>"}
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record([gateway_saw(cast.acme, whom, **common), mailbox_saw(cast.acme, whom, **common)])
        make_sense_of_backlog(cast.acme)
        copy = Delivery.objects.get()
        word = Observation(
            tenant_id=cast.acme.id,
            layer=Layer(layer),
            source=source,
            source_key="1",
            observed_at=timezone.now(),
            recipient=whom,
            internet_message_id="<7@evil.example>",
            verdict=Verdict(verdict),
            detail={"delivery_id": str(copy.id), **detail},
        )
        record([word])
        make_sense_of_backlog(cast.acme)
        shown = Incident.objects.first() or make(
            cast.acme, 1, gateway_verdict="clean", mailbox_verdict="clean"
        )
        if layer == "vendor":  # opens none by itself: it joins one that stands
            Disagreement.objects.update(incident=shown)
            Incident.objects.update(cross_layer=["vendor_against_layer"])
    queue = as_ana.get(reverse("queue"), {"tab": "team"}).content.decode()
    page = as_ana.get(reverse("incident", args=[shown.id])).content.decode()
    for text in (queue, page):
        assert words in text
        assert "≠" not in text


def test_mail_that_no_gate_has_seen_is_not_called_unscanned(as_ana, cast):
    """A client whose MX records do not lead to the gateway, or not yet."""
    with maintenance_scope():
        cast.acme.protected_since = None
        cast.acme.save()
    with scope(cast):
        alone = {"trace_ulid": "", "trace_state": "missing"}
        record([mailbox_saw(cast.acme, "info@acme.example", verdict=Verdict.PHISH, **alone)])
        make_sense_of_backlog(cast.acme)
        incident = Incident.objects.get()
        assert incident.cross_layer == []
    page = as_ana.get(reverse("incident", args=[incident.id])).text
    for text in (as_ana.get(reverse("queue")).text, page):
        assert "Not scanned" not in text
        assert "Not seen" in text
    assert "The mail never passed it." in page
    assert "no gate has seen it" in page
    assert "kept all of them" not in page


def test_a_row_about_access_speaks_of_no_mail(as_ana, cast):
    with scope(cast):
        make(cast.acme, 1, kind="health", finding="gdap", title="A relationship ends")
    row = as_ana.get(reverse("queue"), {"tab": "team"}).text.partition("<tbody")[2]
    assert "A relationship ends" in row
    assert "Nothing exposed" not in row
    assert "Not seen" not in row


@pytest.mark.parametrize(
    ("kind", "detail", "words"),
    [
        ("pull", {"left_to_other_jobs": 2}, "Pull left to the job before"),
        ("pull", {"left_to_other_jobs": 0}, "Pull: no copy to act on"),
        ("block", {}, "Sender blocked"),
    ],
)
def test_a_job_without_copies_does_not_say_that_it_did_something(kind, detail, words):
    assert job_words(Job(kind=kind, state="done", counts={"copies": 0}, detail=detail)) == words


@pytest.mark.parametrize(
    ("kind", "counts", "words"),
    [
        ("pull", {"verified": 2}, "Pulled 2, read back"),
        ("pull", {"verified": 1, "already": 1}, "Pulled 2, read back"),
        ("pull", {"verified": 1, "gone": 1}, "Pulled 1, 1 gone"),
        ("pull", {"gone": 2}, "Pull: 2 gone already"),
        ("pull", {"verified": 1, "failed": 1}, "Pulled 1, 1 failed"),
        ("restore", {"verified": 2}, "Restored 2, read back"),
        ("release", {"verified": 2}, "Released 2"),
    ],
)
def test_a_job_says_no_more_than_was_done(kind, counts, words):
    numbers = {"copies": sum(counts.values())} | counts
    assert job_words(Job(kind=kind, state="done", counts=numbers)) == words


def test_a_pull_before_more_copies_came_is_not_told_as_the_end(as_ana, cast):
    with scope(cast):
        incident = make(cast.acme, 1, counts=counts(copies=5, delivered=5, in_inbox=3, removed=2))
        done = {"copies": 2, "verified": 2}
        Job.objects.create(
            tenant=cast.acme, incident=incident, kind="pull", state="done", counts=done
        )
    row = as_ana.get(reverse("queue"), {"tab": "team"}).text.partition("<tbody")[2]
    assert "Pulled 2 before" in row
    assert "read back" not in row


def test_what_is_exposed_reads_aloud_as_a_list():
    """Dots are for the eye alone; without a pause "2 in inbox1 read" is read as one word."""
    said = exposed([Part("2 in inbox", "crit"), Part("1 read", "high")])
    seen = re.sub(r'<span class="faint" aria-hidden="true">.*?</span>', "", said)
    assert re.sub(r"<[^>]*>", "", seen) == "2 in inbox, 1 read"
