"""How many incidents a day brings, and how much settles itself.

A made-up working day of one client with 1,000 mailboxes goes through intake, grouping and campaigns
as in life: ordinary mail, spam and threats that the gateway holds, junk, waves of threats that only
the mailbox layer notices, and mail around the gateway.  *Closed without an action* is the share of
incidents in which nothing is left to pull when a person opens them.  The shares are assumptions,
written below; with other mail the figures are other figures.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.bench import Measurement
from tests.bench._campaign_truth import Made, made_mail
from tests.bench.intake import a_database

if TYPE_CHECKING:
    from incidents.observations import Observation
    from tenants.models import Tenant

MAILBOXES = 1_000
MAILS_A_MAILBOX = 20
DAY = datetime(2026, 11, 20, 0, tzinfo=UTC)
# Of all mail that passes the connection checks.
HELD_SPAM, HELD_THREAT, JUNKED = 0.05, 0.01, 0.01
# Waves that the gateway lets through: how many, and to how many mailboxes each at most.
WAVES, SINGLES, WIDEST = 6, 6, 25
BATCH = 500


def the_day(tenant: Tenant) -> Iterator[list[Observation]]:
    """Batches in order of time, as gates and connectors ship them."""
    draw = random.Random(20)
    rows = [*_ordinary(draw, tenant), *_waves(draw, tenant)]
    rows.sort(key=lambda row: row.observed_at)
    for first in range(0, len(rows), BATCH):
        yield rows[first : first + BATCH]


def _ordinary(draw: random.Random, tenant: Tenant) -> Iterator[Observation]:
    from incidents.words import Outcome, Place, Verdict
    from tests.bench.correlation import letters
    from tests.factories import gateway_saw, mailbox_saw

    known = letters()
    for number in range(MAILBOXES * MAILS_A_MAILBOX):
        fate = draw.random()
        at = DAY + timedelta(seconds=draw.triangular(0, 86_400, 36_000))
        whom = f"box{draw.randrange(MAILBOXES)}@{tenant.slug}.example"
        ulid = f"01JDAY{number:020d}"
        common: dict[str, Any] = {
            "mail": draw.choice(known),
            "internet_message_id": f"<{number}@sender.example>",
            "fingerprint": f"{number:032x}",
            "observed_at": at,
        }
        held = {"action": Outcome.HELD, "place": Place.HOLD, "score": 12.0}
        if fate < HELD_SPAM:
            yield gateway_saw(tenant, whom, ulid=ulid, verdict=Verdict.SPAM, **common, **held)
        elif fate < HELD_SPAM + HELD_THREAT:
            yield gateway_saw(tenant, whom, ulid=ulid, verdict=Verdict.PHISH, **common, **held)
        else:
            yield gateway_saw(tenant, whom, ulid=ulid, **common)
            common["observed_at"] = at + timedelta(seconds=20)
            junk = {"place": Place.JUNK, "verdict": Verdict.SPAM}
            is_junk = fate < HELD_SPAM + HELD_THREAT + JUNKED
            yield mailbox_saw(tenant, whom, trace_ulid=ulid, **common, **(junk if is_junk else {}))


def _waves(draw: random.Random, tenant: Tenant) -> Iterator[Observation]:
    """Threats that the gateway passed: some copies of each wave are held after all."""
    made = made_mail(7, hands=WAVES, singles=SINGLES, benign=0)
    shown: dict[str, int] = {}
    begins: dict[str, datetime] = {}
    for number, each in enumerate(made):
        shown[each.truth] = shown.get(each.truth, 0) + 1
        if shown[each.truth] > WIDEST:
            continue
        begin = begins.setdefault(
            each.truth, DAY + timedelta(seconds=draw.triangular(0, 72_000, 36_000))
        )
        at = begin + timedelta(minutes=draw.uniform(0, 180))
        yield from _one_of_wave(draw, tenant, each, number, at)


def _one_of_wave(
    draw: random.Random, tenant: Tenant, made: Made, number: int, at: datetime
) -> Iterator[Observation]:
    from incidents.mail.read import read_mail
    from incidents.words import Verdict
    from tests.factories import gateway_saw, mailbox_saw

    facts = read_mail(made.raw)
    whom = f"box{draw.randrange(MAILBOXES)}@{tenant.slug}.example"
    ulid = f"01JWAV{number:020d}"
    common: dict[str, Any] = {
        "mail": facts.as_json(),
        "internet_message_id": facts.internet_message_id,
        "fingerprint": facts.fingerprint,
        "observed_at": at,
    }
    verdict = Verdict.MALWARE if made.is_malware else Verdict.PHISH
    if draw.random() < 0.05:  # around the gateway
        lost = {"trace_ulid": "", "trace_state": "missing"}
        yield mailbox_saw(tenant, whom, **common, **lost, verdict=verdict)
        return
    yield gateway_saw(tenant, whom, ulid=ulid, **common)
    common["observed_at"] = at + timedelta(seconds=20)
    yield mailbox_saw(tenant, whom, trace_ulid=ulid, verdict=verdict, **common)


def measure() -> list[Measurement]:
    with a_database():
        from incidents.campaigns.nightly import make_canonical
        from incidents.correlation import make_sense_of_backlog
        from incidents.intake import record
        from tenants.scope import Role, tenant_scope
        from tests.factories import make_cast

        acme = make_cast().acme
        began, seen = time.perf_counter(), 0
        for batch in the_day(acme):
            with tenant_scope(Role.WORKER, [acme.id], provider_id=acme.provider_id):
                seen += record(batch).stored
                while make_sense_of_backlog(acme):
                    pass
        took = time.perf_counter() - began
        with tenant_scope(Role.WORKER, [acme.id], provider_id=acme.provider_id):
            before = _figures()
            make_canonical(acme, DAY + timedelta(days=1))
            return _rows(before, _figures(), seen, took)


def _figures() -> dict[str, float]:
    from django.db.models import Q

    from incidents.assessment import within_reach
    from incidents.models import Campaign, Delivery, Incident, IncidentMessage

    threats = Incident.objects.filter(merged_into=None).exclude(kind=Incident.Kind.HEALTH)
    bad = Q(gateway_verdict__in=_BAD) | Q(mailbox_verdict__in=_BAD)
    mails = set(Delivery.objects.filter(bad).values_list("message_id", flat=True))
    inside = set(
        IncidentMessage.objects.filter(incident__in=threats).values_list("message_id", flat=True)
    )
    return {
        "incidents": threats.count(),
        "idle": sum(not within_reach(each.counts) for each in threats.only("tenant", "counts")),
        "campaigns": Campaign.objects.filter(merged_into=None).count(),
        "alone": threats.filter(campaign=None).count(),
        "mails": len(mails),
        "settled": len(mails - inside),
        "inside": len(inside),
    }


_BAD = ("spam", "phish", "bec", "malware", "suspicious", "unscannable")


def _rows(
    by_day: dict[str, float], by_night: dict[str, float], seen: int, took: float
) -> list[Measurement]:
    day = (
        f"a made-up day: {MAILBOXES * MAILS_A_MAILBOX} mails to {MAILBOXES} mailboxes and"
        f" {by_day['inside']:.0f} threats of {WAVES} waves and {SINGLES} single mails let through"
    )
    units = by_night["campaigns"] + by_night["alone"]
    per = MAILBOXES / 1_000
    return [
        Measurement(
            name="incidents_per_1000",
            value=by_day["incidents"] / per,
            unit="incidents per 1,000 mailboxes and day",
            against=day,
        ),
        Measurement(
            name="incidents_per_1000 after the night",
            value=by_night["incidents"] / per,
            unit="incidents per 1,000 mailboxes and day",
            against="the same, after the canonical pass",
        ),
        Measurement(
            name="incidents_per_1000 decisions",
            value=units / per,
            unit="campaigns and incidents alone",
            against=f"{WAVES + SINGLES} in truth",
        ),
        Measurement(
            name="incidents_per_1000 closed without an action",
            value=by_night["idle"] / by_night["incidents"],
            unit="share of incidents",
            against="closed as they stand: a copy within reach is pulled, the rest is resolved",
        ),
        Measurement(
            name="incidents_per_1000 settled alone",
            value=by_night["settled"] / by_night["mails"],
            unit="share of condemned mails",
            against=f"{by_night['mails']:.0f} condemned mails; the others stand in incidents",
        ),
        Measurement(
            name="incidents_per_1000 compression",
            value=by_night["inside"] / units,
            unit="mails for each decision",
            against="the threats that were let through",
        ),
        Measurement(
            name="incidents_per_1000 intake",
            value=seen / took,
            unit="observations/s",
            against=f"{seen} observations with all that follows from them",
        ),
    ]


MEASURES = {"incidents_per_1000": measure}
