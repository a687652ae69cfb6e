"""The ledger against the history: a second, slow reading of the same definitions agrees with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.db.models import Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incidents.assessment import worst
from incidents.campaigns.moving import message_ids_of, move_back, move_mail
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.ledger import (
    FIGURES,
    Period,
    figures_of,
    lags_of,
    list_of,
    note_messages,
    recompute,
)
from incidents.ledger.figures import ATOMS, sums
from incidents.ledger.nights import check_ledger
from incidents.models import (
    Backlog,
    Delivery,
    Incident,
    LedgerDay,
    LedgerEntry,
    Message,
    Observation,
    Sighting,
)
from incidents.observations import Observation as Seen
from incidents.observations import Reason
from incidents.services import reopen_incident, resolve_incident
from incidents.words import Layer, Outcome, Place, Verdict
from tenants.ids import new_id
from tenants.models import AuditEntry, Tenant, Work
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
ALL = Period(START - timedelta(days=400), START + timedelta(days=400))
INFO, IT = "info@acme.example", "it@acme.example"
THREATS = {verdict for verdict in Verdict if verdict.is_threat}


@pytest.fixture
def acme(cast: Cast):
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        yield cast.acme


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def ulid(number: int) -> str:
    return f"01J000000000000000000{number:05d}"


def facts(number: int) -> dict[str, Any]:
    return {
        "internet_message_id": f"<{number}@evil.example>",
        "fingerprint": f"{number:032d}",
        "mail": mail_json(subject=f"Invoice {number}"),
    }


def gateway(
    tenant: Tenant, number: int, minutes: float, verdict: Verdict | None, **more: Any
) -> Seen:
    values = {"ulid": ulid(number), "observed_at": at(minutes), "verdict": verdict, **facts(number)}
    return gateway_saw(tenant, more.pop("whom", INFO), **(values | more))


def mailbox(
    tenant: Tenant, number: int, minutes: float, verdict: Verdict | None, **more: Any
) -> Seen:
    whom = more.pop("whom", INFO)
    values = {
        "trace_ulid": ulid(number),
        "observed_at": at(minutes),
        "verdict": verdict,
        "item": f"item-{number}-{whom}",
        **facts(number),
    }
    return mailbox_saw(tenant, whom, **(values | more))


def take(tenant: Tenant, *seen: Seen) -> None:
    record(seen)
    while make_sense_of_backlog(tenant):
        pass


def spoken(tenant: Tenant, message: Message, layer: str, minutes: float, verdict: Verdict) -> None:
    """A word of a person or of the mail host, linked to the mail's first copy."""
    copy = Delivery.objects.filter(message=message).order_by("id")[0]
    seen = Seen(
        tenant_id=tenant.id,
        layer=Layer(layer),
        source=f"{layer}:{minutes}",
        source_key=str(new_id()),
        observed_at=at(minutes),
        recipient=copy.recipient,
        verdict=verdict,
        reasons=(Reason("said", "It was said."),),
    )
    before = set(Observation.objects.values_list("id", flat=True))
    record([seen])
    row = Observation.objects.exclude(id__in=before).get()
    Backlog.objects.filter(observation_id=row.id).delete()
    Sighting.objects.create(
        tenant=tenant, delivery=copy, observation_id=row.id, observed_at=row.observed_at
    )
    note_messages(tenant, [message.id])


def counted() -> dict[str, int]:
    """The names under which mails are counted now, from the entries; the days must agree."""
    entries = Counter(LedgerEntry.objects.values_list("counted_as", flat=True))
    days: Counter[str] = Counter()
    for name, mails in LedgerDay.objects.values_list("counted_as", "mails"):
        days[name] += mails
    assert {name: mails for name, mails in days.items() if mails} == entries
    return dict(entries)


# --- what each name means -------------------------------------------------------------------------


def test_held_at_the_gateway_is_the_gateways_alone(acme: Tenant):
    take(acme, gateway(acme, 1, 0, Verdict.PHISH, action=Outcome.HELD, place=Place.HOLD))
    assert counted() == {"gateway_only_unseen": 1}


def test_what_the_mailbox_layer_let_pass_counts_apart(acme: Tenant):
    take(acme, gateway(acme, 1, 0, Verdict.PHISH), mailbox(acme, 1, 1, Verdict.CLEAN))
    assert counted() == {"gateway_only_passed": 1}


def test_passed_by_the_gateway(acme: Tenant):
    take(acme, gateway(acme, 1, 0, Verdict.CLEAN), mailbox(acme, 1, 1, Verdict.PHISH))
    assert counted() == {"mailbox_only_passed": 1}
    entry = LedgerEntry.objects.get()
    assert (entry.seen_at, entry.gateway_at, entry.mailbox_at) == (at(0), None, at(1))


def test_around_the_gateway(acme: Tenant):
    inside = {"direction": "internal", "trace_ulid": "", "trace_state": ""}
    take(acme, mailbox(acme, 1, 0, Verdict.PHISH, **inside))
    assert counted() == {"mailbox_only_around": 1}


def test_who_was_first_and_by_how_much(acme: Tenant):
    take(acme, gateway(acme, 1, 0, Verdict.PHISH), mailbox(acme, 1, 7, Verdict.BEC))
    take(acme, gateway(acme, 2, 0, Verdict.CLEAN), mailbox(acme, 2, 1, Verdict.PHISH))
    take(acme, gateway(acme, 2, 91, Verdict.PHISH))
    take(acme, gateway(acme, 3, 5, Verdict.SPAM), mailbox(acme, 3, 5, Verdict.SPAM))
    assert counted() == {"both_gateway_first": 1, "both_mailbox_first": 1, "both_at_once": 1}
    lags = lags_of(ALL)
    assert lags["both_gateway_first"].median_s == 7 * 60
    assert lags["both_mailbox_first"].p95_s == 90 * 60
    assert LedgerEntry.objects.get(counted_as="both_gateway_first").verdict == Verdict.BEC


def test_found_by_people(acme: Tenant):
    take(acme, gateway(acme, 1, 0, Verdict.CLEAN), mailbox(acme, 1, 1, Verdict.CLEAN))
    message = Message.objects.get()
    assert counted() == {}
    spoken(acme, message, "vendor", 2, Verdict.SPAM)
    assert counted() == {"vendor_only": 1}
    spoken(acme, message, "person", 30, Verdict.PHISH)
    assert counted() == {"person_only": 1}
    assert lags_of(ALL)["person_only"].median_s == 30 * 60
    take(acme, mailbox(acme, 1, 60, Verdict.PHISH))
    assert counted() == {"person_first": 1}


def test_many_copies_are_one_mail(acme: Tenant):
    for whom in (INFO, IT):
        take(acme, gateway(acme, 1, 0, Verdict.PHISH, whom=whom))
    assert counted() == {"gateway_only_unseen": 1}


def test_harmless_mail_has_no_row(acme: Tenant):
    take(acme, gateway(acme, 1, 0, Verdict.CLEAN), mailbox(acme, 1, 1, Verdict.GRAYMAIL))
    assert counted() == {}


# --- false alarms ---------------------------------------------------------------------------------


def test_a_closed_incident_says_what_it_was(acme: Tenant, cast: Cast):
    take(acme, gateway(acme, 1, 0, Verdict.CLEAN), mailbox(acme, 1, 1, Verdict.PHISH))
    incident = Incident.objects.get()
    for classification, name in (
        ("false_positive", "false_mailbox_only_passed"),
        ("benign", "benign"),
        ("true_positive", "mailbox_only_passed"),
    ):
        resolve_incident(
            incident=incident, actor=cast.ana, classification=classification, cause="Seen."
        )
        assert counted() == {name: 1}
        reopen_incident(incident=incident, actor=cast.ana, reason="Again.")
        assert counted() == {"mailbox_only_passed": 1}


def test_taken_back_by_all_is_a_false_alarm_and_by_one_is_not(acme: Tenant):
    take(acme, gateway(acme, 1, 0, Verdict.PHISH), mailbox(acme, 1, 5, Verdict.PHISH))
    take(acme, gateway(acme, 1, 10, Verdict.CLEAN))
    assert counted() == {"mailbox_only_passed": 1}
    take(acme, mailbox(acme, 1, 15, Verdict.CLEAN))
    assert counted() == {"false_both_gateway_first": 1}


@pytest.mark.parametrize("layer", [gateway, mailbox])
def test_a_layer_stands_by_its_word_about_one_copy_whatever_it_says_of_another(
    acme: Tenant, layer: Callable[..., Seen]
):
    take(acme, layer(acme, 1, 0, Verdict.PHISH), layer(acme, 1, 5, Verdict.CLEAN, whom=IT))
    (name,) = counted()
    assert not name.startswith("false_")
    take(acme, layer(acme, 1, 10, Verdict.CLEAN))
    assert counted() == {f"false_{name}": 1}


def test_a_person_clears_a_mail(acme: Tenant):
    take(acme, gateway(acme, 1, 0, Verdict.PHISH, action=Outcome.HELD, place=Place.HOLD))
    spoken(acme, Message.objects.get(), "person", 3, Verdict.CLEAN)
    assert counted() == {"false_gateway_only_unseen": 1}


# --- figures --------------------------------------------------------------------------------------


def test_every_figure_adds_up_to_its_parts():
    counted_as = FIGURES["condemned"].counts
    numbers = {name: 3**n for n, name in enumerate(counted_as)}
    totals = sums(numbers)
    for figure in FIGURES.values():
        if figure.parts:
            assert totals[figure.name] == sum(totals[part] for part in figure.parts), figure.name
    assert totals["condemned"] == sum(numbers.values())
    assert len(counted_as) == len(set(counted_as)) == 2 * len(ATOMS) + 1


def test_a_period_of_whole_days_and_one_of_hours_count_the_same(acme: Tenant):
    for number in range(4):
        take(acme, gateway(acme, number, number * 700, Verdict.PHISH))
    day = datetime(2026, 11, 20, tzinfo=UTC)
    whole = Period(day, day + timedelta(days=1))
    nearly = Period(day, day + timedelta(days=1) - timedelta(microseconds=1))
    assert whole.is_whole_days
    assert not nearly.is_whole_days
    assert figures_of(whole) == figures_of(nearly)
    assert figures_of(whole)["gateway_only"] == 2
    assert list_of("gateway_only", whole).count() == 2
    assert figures_of(whole, client="globex")["condemned"] == 0
    assert figures_of(whole, client="acme")["condemned"] == 2


def test_many_differences_of_a_day_are_added_up(acme: Tenant, monkeypatch: pytest.MonkeyPatch):
    for number in range(6):
        take(acme, gateway(acme, number, number, Verdict.PHISH))
    assert LedgerDay.objects.count() == 6
    monkeypatch.setattr("incidents.ledger.upkeep.MOST_DIFFERENCES", 6)
    take(acme, gateway(acme, 7, 7, Verdict.PHISH))
    assert LedgerDay.objects.get().mails == 7
    assert counted() == {"gateway_only_unseen": 7}


# --- the same from the history alone --------------------------------------------------------------


def slow_reading() -> dict[str, int]:
    """The definitions of docs/ledger.md once more, mail by mail, in Python."""
    found: Counter[str] = Counter()
    for message in Message.objects.all():
        sighted = Sighting.objects.filter(delivery__message=message)
        copy_of = dict(sighted.values_list("observation_id", "delivery_id"))
        rows = sorted(
            Observation.objects.filter(id__in=copy_of), key=lambda row: (row.observed_at, row.id)
        )
        name = _slow_name(message, rows, copy_of)
        if name:
            found[name] += 1
    return dict(found)


def _slow_name(message: Message, rows: list[Observation], copy_of: dict[Any, Any]) -> str:
    first: dict[str, datetime] = {}
    standing: dict[tuple[str, object], str] = {}
    for row in rows:
        if row.verdict is None:
            continue
        whom = copy_of[row.id] if row.layer in ("gateway", "mailbox") else None
        standing[row.layer, whom] = row.verdict
        if row.verdict in THREATS:
            first.setdefault(row.layer, row.observed_at)
    if not first:
        return ""
    stands = {layer for (layer, _), verdict in standing.items() if verdict in THREATS}
    caught = {layer: when for layer, when in first.items() if layer in stands or not stands}
    incident = Incident.objects.filter(memberships__message=message, state="resolved").first()
    decided = incident.classification if incident else ""
    if decided == "benign":
        return "benign"
    cleared = standing.get(("person", None), "phish") not in THREATS
    is_false = decided == "false_positive" or (not decided and (cleared or not stands))
    atom = _slow_atom(caught, {row.layer for row in rows})
    return f"false_{atom}" if is_false else atom


def _slow_atom(caught: dict[str, datetime], saw: set[str]) -> str:
    layers = [caught[layer] for layer in ("gateway", "mailbox") if layer in caught]
    if "person" in caught and all(caught["person"] < when for when in layers):
        return "person_first" if layers else "person_only"
    if len(layers) == 2:
        gateway_at, mailbox_at = layers
        if gateway_at == mailbox_at:
            return "both_at_once"
        return "both_gateway_first" if gateway_at < mailbox_at else "both_mailbox_first"
    if "gateway" in caught:
        return "gateway_only_passed" if "mailbox" in saw else "gateway_only_unseen"
    if "mailbox" in caught:
        return "mailbox_only_passed" if "gateway" in saw else "mailbox_only_around"
    return "vendor_only"


VERDICTS = st.sampled_from([Verdict.CLEAN, Verdict.PHISH, Verdict.SPAM, Verdict.GRAYMAIL, None])
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["gateway", "mailbox", "person", "vendor", "close", "reopen"]),
        st.integers(0, 2),  # which mail
        st.sampled_from([INFO, IT]),
        st.integers(0, 5),  # minutes
        VERDICTS,
        st.sampled_from(["false_positive", "benign", "true_positive"]),
    ),
    max_size=14,
)


# The cast stays the same from one example to the next: what each made is rolled back.
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(events=EVENTS)
def test_the_kept_ledger_is_what_the_history_says(cast: Cast, events: list[tuple[Any, ...]]):
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        mark = transaction.savepoint()
        for event in events:
            _live(cast, *event)
        assert counted() == slow_reading()
        kept = _rows()
        assert recompute(cast.acme, since=ALL.since, until=ALL.until).differing == 0
        assert _rows() == kept
        LedgerEntry.objects.all().delete()
        LedgerDay.objects.all().delete()
        assert recompute(cast.acme, since=ALL.since, until=ALL.until).differing == len(kept)
        assert _rows() == kept
        figures = figures_of(ALL)
        assert lengths_of_lists(figures) == figures
        transaction.savepoint_rollback(mark)


def lengths_of_lists(names: Iterable[str]) -> dict[str, int]:
    """In one statement: asking thirty times was a quarter of the test."""
    first, *others = [list_of(name, ALL).order_by().values_list(Value(name)) for name in names]
    listed = Counter(name for (name,) in first.union(*others, all=True))
    return {name: listed[name] for name in names}


def _rows() -> list[Any]:
    return list(LedgerEntry.objects.order_by("message_id").values())


def _live(
    cast: Cast, what: str, mail: int, whom: str, minutes: int, verdict: Verdict | None, how: str
) -> None:
    acme = cast.acme
    if what == "gateway":
        take(acme, gateway(acme, mail, minutes, verdict, whom=whom))
    elif what == "mailbox":
        take(acme, mailbox(acme, mail, minutes, verdict, whom=whom))
    elif what in ("person", "vendor"):
        message = Message.objects.filter(trace_ulid=ulid(mail)).first()
        if message is not None and verdict is not None:
            spoken(acme, message, what, minutes, verdict)
    else:
        incident = Incident.objects.filter(memberships__message__trace_ulid=ulid(mail)).first()
        if incident is None:
            return
        if what == "close" and incident.is_open:
            resolve_incident(incident=incident, actor=cast.ana, classification=how, cause="Seen.")
        if what == "reopen" and not incident.is_open:
            reopen_incident(incident=incident, actor=cast.ana, reason="Again.")


def test_the_worst_word_names_the_verdict(acme: Tenant):
    take(acme, gateway(acme, 1, 0, Verdict.SPAM), mailbox(acme, 1, 1, Verdict.MALWARE))
    assert LedgerEntry.objects.get().verdict == worst(["spam", "malware"])


def test_the_command_mends_what_has_drifted(cast: Cast, capsys: pytest.CaptureFixture[str]):
    now = datetime.now(UTC)
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        take(cast.acme, gateway(cast.acme, 1, 0, Verdict.PHISH, observed_at=now))
        LedgerEntry.objects.update(counted_as="vendor_only")
        LedgerDay.objects.update(counted_as="vendor_only")
    call_command("recomputeledger", "acme")
    assert capsys.readouterr().out == "Acme: 1 mails, 1 in the ledger, 1 differed.\n"
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        assert counted() == {"gateway_only_unseen": 1}


def test_mail_that_moves_to_another_incident_counts_as_that_one(acme: Tenant, cast: Cast):
    for number in (1, 2):
        mail = {"mail": mail_json(subject=f"Something {number}", sender=someone(number))}
        take(acme, gateway(acme, number, 0, Verdict.CLEAN, **mail))
        take(acme, mailbox(acme, number, 1, Verdict.PHISH, **mail))
    closed, kept = Incident.objects.order_by("number")
    resolve_incident(
        incident=closed, actor=cast.ana, classification="false_positive", cause="Ours."
    )
    assert counted() == {"false_mailbox_only_passed": 1, "mailbox_only_passed": 1}
    moved = move_mail(closed, kept, message_ids_of(closed))
    assert counted() == {"mailbox_only_passed": 2}
    move_back(moved, closed, kept)
    assert counted() == {"false_mailbox_only_passed": 1, "mailbox_only_passed": 1}


def someone(number: int) -> dict[str, str]:
    return {"address": f"eve@evil-{number}.example", "name": f"Eve {number}", "raw": ""}


def test_the_night_mends_what_has_drifted_and_says_so(acme: Tenant):
    take(acme, gateway(acme, 1, 0, Verdict.PHISH, observed_at=datetime.now(UTC)))
    wanted = Work.objects.get(tenant=acme, queue="ledger").wanted_at
    assert wanted is not None
    assert wanted > datetime.now(UTC)
    assert check_ledger(acme).differing == 0
    assert not AuditEntry.objects.filter(action="incidents.ledger.corrected").exists()
    LedgerEntry.objects.update(counted_as="vendor_only")
    LedgerDay.objects.update(counted_as="vendor_only")
    assert check_ledger(acme).differing == 1
    assert AuditEntry.objects.get(action="incidents.ledger.corrected").detail["differing"] == 1
    assert counted() == {"gateway_only_unseen": 1}


def test_the_gateways_late_account_of_a_mail_changes_how_it_counts(acme: Tenant):
    lost = {"trace_ulid": "", "trace_state": "missing", "whom": IT}
    take(acme, mailbox(acme, 1, 1, Verdict.PHISH, **lost))
    assert counted() == slow_reading() == {"mailbox_only_around": 1}
    take(acme, gateway(acme, 1, 0, Verdict.CLEAN, whom=INFO))
    take(acme, gateway(acme, 1, 0, Verdict.CLEAN, whom=IT))
    assert Message.objects.filter(deliveries__isnull=False).distinct().count() == 1
    assert counted() == slow_reading() == {"mailbox_only_passed": 1}
