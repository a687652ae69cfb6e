"""The ledger against words that this test has written down itself: API, pages and portal alike.

Nothing is read from the history that the ledger is made of.  Each thing that happens is noted here,
in its own words, and counted once more by the definitions of docs/ledger.md; what the incidents of
the mails were closed as is asked of the incidents.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html import unescape
from statistics import median_low
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.queries.portal import month
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.ledger import FIGURES, Period, figures_of, recompute
from incidents.models import Backlog, Delivery, Incident, LedgerEntry
from incidents.observations import Observation
from incidents.services import reopen_incident, resolve_incident
from incidents.words import Layer, Outcome, Place, Verdict
from tenants.ids import new_id
from tenants.models import ApiToken, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.console.api.caller import Caller
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw

pytestmark = pytest.mark.usefixtures("no_broker")

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
# Around two midnights, so that borders of days are met: minutes from the first.
MIDNIGHT = TODAY - timedelta(days=3)
CONDEMNED = {"spam", "phish", "bec", "malware", "suspicious", "unscannable"}
NAMES = ("info", "it")
MAILS = 4


@dataclass(frozen=True)
class Word:
    """``copy`` "" where somebody speaks of the whole mail; ``verdict`` "" where none was given."""

    who: str
    copy: str
    at: datetime
    verdict: str


@dataclass
class Mail:
    """What was said of one mail, in the order in which it was told."""

    tenant: Tenant
    number: int
    first_at: datetime
    words: list[Word] = field(default_factory=list)
    told: set[tuple[str, str, datetime]] = field(default_factory=set)

    @property
    def message_id(self) -> str:
        return f"<{self.number}.{self.tenant.slug}@evil-{self.number}.example>"

    @property
    def ulid(self) -> str:
        return f"01J00000000000000{self.tenant.id % 1000:04d}{self.number:05d}"

    def hear(self, word: Word) -> bool:
        """False: the same source has spoken of this copy at this very time; nothing is new."""
        key = (word.who, word.copy, word.at)
        if word.copy and key in self.told:
            return False
        self.told.add(key)
        self.words.append(word)
        return True

    # --- how it counts

    def row(self) -> tuple[str, datetime, float | None] | None:
        """Name, first sight, lag in seconds."""
        first: dict[str, datetime] = {}
        latest: dict[tuple[str, str], tuple[datetime, int, str]] = {}
        for order, word in enumerate(self.words):
            if not word.verdict:
                continue
            if word.verdict in CONDEMNED:
                first[word.who] = min(first.get(word.who, word.at), word.at)
            key, said = (word.who, word.copy), (word.at, order, word.verdict)
            latest[key] = max(latest.get(key, said), said)
        if not first:
            return None
        stand_by_it = {who for (who, _), said in latest.items() if said[2] in CONDEMNED}
        caught = {who: at for who, at in first.items() if not stand_by_it or who in stand_by_it}
        seen_at = min(word.at for word in self.words)
        atom, lag = self._atom(caught, seen_at)
        person = latest.get(("person", ""))
        is_cleared = person is not None and person[2] not in CONDEMNED
        closed_as = self._closed_as()
        if closed_as == "benign":
            return "benign", seen_at, lag
        is_false = closed_as == "false_positive" or (
            not closed_as and (is_cleared or not stand_by_it)
        )
        return ("false_" if is_false else "") + atom, seen_at, lag

    def _atom(self, caught: dict[str, datetime], seen_at: datetime) -> tuple[str, float | None]:
        layers = {who: at for who, at in caught.items() if who in ("gateway", "mailbox")}
        if "person" in caught and all(caught["person"] < at for at in layers.values()):
            lag = (caught["person"] - seen_at).total_seconds()
            return ("person_first" if layers else "person_only"), lag
        if len(layers) == 2:
            later = (layers["mailbox"] - layers["gateway"]).total_seconds()
            name = "at_once" if not later else "gateway_first" if later > 0 else "mailbox_first"
            return f"both_{name}", abs(later)
        saw = {word.who for word in self.words}
        if "gateway" in layers:
            return f"gateway_only_{'passed' if 'mailbox' in saw else 'unseen'}", None
        if "mailbox" in layers:
            return f"mailbox_only_{'passed' if 'gateway' in saw else 'around'}", None
        return "vendor_only", None

    def _closed_as(self) -> str:
        found = Incident.objects.filter(
            memberships__message__internet_message_id=self.message_id, state="resolved"
        ).first()
        return found.classification if found else ""


class Told:
    """Everything that happened, and what was written down of it."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.mails: dict[tuple[str, int], Mail] = {}

    @contextmanager
    def scope(self, tenant: Tenant) -> Iterator[None]:
        with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
            yield

    def mail(self, tenant: Tenant, number: int, first_at: datetime) -> Mail:
        return self.mails.setdefault((tenant.slug, number), Mail(tenant, number, first_at))

    def tell(self, mail: Mail, what: str, name: str, minutes: int, verdict: str) -> None:
        whom, at = f"{name}@{mail.tenant.slug}.example", mail.first_at + timedelta(minutes=minutes)
        with self.scope(mail.tenant):
            seen = self._seen(mail, what, whom, at, verdict)
            if seen is None:
                return
            record([seen])
            while make_sense_of_backlog(mail.tenant):
                pass

    def _seen(
        self, mail: Mail, what: str, whom: str, at: datetime, verdict: str
    ) -> Observation | None:
        said = Verdict(verdict) if verdict else None
        facts: dict[str, Any] = {
            "internet_message_id": mail.message_id,
            "fingerprint": f"{mail.tenant.id}{mail.number}".rjust(32, "0"),
            "observed_at": at,
            "verdict": said,
            "mail": mail_json(
                subject=f"Letter {mail.number}",
                sender={"address": f"eve@evil-{mail.number}.example", "name": "", "raw": ""},
                from_all=[],
            ),
        }
        if what in ("gateway", "held", "released"):
            if what == "held":
                facts |= {"action": Outcome.HELD, "place": Place.HOLD}
            if what == "released":
                facts |= {"verdict": None, "mail": {}, "rule": "released by Ana"}
            word = Word("gateway", whom, at, str(facts["verdict"] or ""))
            if not mail.hear(word):
                return None
            return gateway_saw(mail.tenant, whom, ulid=mail.ulid, **facts)
        if what in ("mailbox", "without a trace"):
            if not mail.hear(Word("mailbox", whom, at, verdict)):
                return None
            item = f"{mail.tenant.slug}-{mail.number}-{whom}"
            trace = {"trace_ulid": mail.ulid, "trace_state": "valid"}
            if what == "without a trace":
                trace = {"trace_ulid": "", "trace_state": "missing"}
            return mailbox_saw(mail.tenant, whom, item=item, **facts, **trace)
        copy = Delivery.objects.filter(
            message__internet_message_id=mail.message_id, recipient=whom
        ).first()
        if copy is None or said is None:
            return None
        mail.hear(Word(what, "", at, verdict))
        return Observation(
            tenant_id=mail.tenant.id,
            layer=Layer(what),
            source=f"{what}:{new_id()}",
            source_key=str(copy.id),
            observed_at=at,
            recipient=whom,
            verdict=said,
            detail={"delivery_id": str(copy.id)},
        )

    def close(self, mail: Mail, how: str) -> None:
        """Or open it again, where it is closed."""
        with self.scope(mail.tenant):
            incident = Incident.objects.filter(
                memberships__message__internet_message_id=mail.message_id
            ).first()
            if incident is None or incident.kind == "health":
                return
            if incident.is_open:
                resolve_incident(
                    incident=incident, actor=self.cast.ana, classification=how, cause="Seen."
                )
            else:
                reopen_incident(incident=incident, actor=self.cast.ana, reason="Again.")

    def rows(self) -> list[tuple[str, str, datetime, float | None]]:
        """Client, name, first sight, lag; of mails that anybody condemned."""
        found = []
        for mail in self.mails.values():
            with self.scope(mail.tenant):
                assert not Backlog.objects.filter(wait_until=None).exists()
                row = mail.row()
            if row is not None:
                found.append((mail.tenant.slug, *row))
        return found


def naive(
    rows: list[tuple[str, str, datetime, float | None]], client: str, period: Period
) -> tuple[dict[str, int], dict[str, list[float]]]:
    """Figures, and lags by name."""
    inside = [
        (name, lag)
        for slug, name, at, lag in rows
        if client in ("", slug) and period.since <= at < period.until
    ]
    counted = Counter(name for name, _ in inside)
    lags: dict[str, list[float]] = {}
    for name, lag in inside:
        late = ("both_gateway_first", "both_mailbox_first", "person_only", "person_first")
        if name in late and lag is not None:
            lags.setdefault(name, []).append(lag)
    figures = dict.fromkeys(FIGURES, 0)
    for name, number in counted.items():
        for total in _totals(name):
            figures[total] += number
    return figures, lags


def _totals(name: str) -> set[str]:
    """A name, and every figure of docs/ledger.md that contains it."""
    if name == "benign":
        return {"benign", "condemned"}
    prefix = "false_" if name.startswith("false_") else ""
    atom = name.removeprefix("false_")
    group = {"person_only", "person_first", "vendor_only"}
    within = "missed_by_both" if atom in group else "_".join(atom.split("_")[:-1])
    within = "both" if atom.startswith("both") else within
    return {name, prefix + within, "false_positives" if prefix else "threats", "condemned"}


EVENT = st.tuples(
    st.sampled_from(
        [
            # Without a trace it may be another mail: tests/incidents/test_identity_laws.py.
            *("gateway", "held", "released", "mailbox", "person", "vendor"),
            *("gateway", "mailbox", "close"),
        ]
    ),
    st.sampled_from(["acme", "globex"]),
    st.integers(0, MAILS - 1),
    st.sampled_from(NAMES),
    st.integers(0, 90),
    st.sampled_from(["clean", "graymail", "phish", "spam", "malware", ""]),
    st.sampled_from(["false_positive", "benign", "true_positive"]),
)
BEGINS = st.lists(
    st.sampled_from([-90, -30, -1, 0, 1, 700, 1410, 1439, 1440, 1441]),
    min_size=MAILS,
    max_size=MAILS,
)
DAY = [str((MIDNIGHT + timedelta(days=day)).date()) for day in (-1, 0, 1)]
ENDS = st.sampled_from(
    [
        ("", ""),
        (DAY[1], DAY[1]),
        (DAY[0], DAY[1]),
        (DAY[0], DAY[0]),
        (DAY[2], ""),
        (f"{DAY[1]}T00:00:00Z", f"{DAY[2]}T00:00:00Z"),
        (f"{DAY[1]}T00:00:00+02:00", f"{DAY[2]}T00:00:00+02:00"),
        (f"{DAY[1]}T00:00:00-05:30", f"{DAY[2]}T12:00:00+14:00"),
        (f"{DAY[0]}T23:59:59.999999Z", f"{DAY[2]}T00:00:01Z"),
        (f"{DAY[0]}T22:30:00Z", DAY[1]),
    ]
)


def period_of(since: str, until: str) -> Period:
    """As docs/ledger.md says; written down here once more."""

    def read(text: str, *, is_end: bool) -> datetime:
        if "T" in text:
            return datetime.fromisoformat(text)
        day = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return day + timedelta(days=1) if is_end else day

    end = read(until, is_end=True) if until else TODAY + timedelta(days=1)
    return Period(read(since, is_end=False) if since else end - timedelta(days=30), end)


# The cast stays the same from one example to the next: what each made is rolled back.
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    events=st.lists(EVENT, min_size=4, max_size=16),
    begins=BEGINS,
    ends=ENDS,
    client=st.sampled_from(["", "acme", "globex"]),
    opened=st.sampled_from(list(FIGURES)),
)
def test_every_figure_everywhere_is_what_was_said(
    cast: Cast,
    mo: Caller,
    desk: Client,
    events: list[tuple[Any, ...]],
    begins: list[int],
    ends: tuple[str, str],
    client: str,
    opened: str,
):
    with transaction.atomic():
        told = Told(cast)
        for what, slug, number, name, minutes, verdict, how in events:
            first_at = MIDNIGHT + timedelta(minutes=begins[number])
            mail = told.mail(getattr(cast, slug), number, first_at)
            if what == "close":
                told.close(mail, how)
            else:
                told.tell(mail, what, name, minutes, verdict)
        rows = told.rows()
        everywhere(told, rows, mo, desk, ends, client, opened)
        for tenant in (cast.acme, cast.globex):
            whole = period_of("", "")
            assert recompute(tenant, since=whole.since, until=whole.until).differing == 0
        transaction.set_rollback(True)


def everywhere(
    told: Told,
    rows: list[tuple[str, str, datetime, float | None]],
    mo: Caller,
    desk: Client,
    ends: tuple[str, str],
    client: str,
    opened: str,
) -> None:
    wanted, lags = naive(rows, client, period_of(*ends))
    ends_asked = {key: value for key, value in zip(("from", "to"), ends, strict=True) if value}
    of_api = ends_asked | ({"tenant": client} if client else {})
    answer = mo.get(f"ledger/?{urlencode(of_api)}").json()
    assert answer["figures"] == wanted
    assert {name: (lag["mails"], lag["median_s"]) for name, lag in answer["lags"].items()} == {
        name: (len(each), median_low(each)) for name, each in lags.items()
    }
    for name in {opened, "condemned"}:
        assert len(set(all_ids(mo, name, of_api))) == wanted[name], name
    of_page = ends_asked | ({"client": client} if client else {})
    check_pages(desk, of_page, wanted, opened)
    for tenant in (told.cast.acme, told.cast.globex):
        with tenant_scope(Role.PORTAL, [tenant.id]):
            usual, _ = naive(rows, tenant.slug, period_of("", ""))
            shown = month()
            assert shown.threats == usual["threats"]
            names = ("gateway_only", "mailbox_only", "both", "missed_by_both")
            assert [n for _, n in shown.by_layer] == [usual[name] for name in names]


def all_ids(mo: Caller, figure: str, query: dict[str, str]) -> list[str]:
    answer = mo.get(f"ledger/{figure}/?{urlencode({**query, 'page_size': '2'})}").json()
    found = [row["id"] for row in answer["results"]]
    while answer["next"]:
        answer = mo.get(answer["next"].partition("/api/v1/")[2]).json()
        found += [row["id"] for row in answer["results"]]
    assert len(found) == len(set(found)), "a mail stands twice in a list"
    return found


LINK = re.compile(r'<a href="(/console/ledger/([a-z_]+)[^"]*)">(\d+)')


def check_pages(desk: Client, query: dict[str, str], wanted: dict[str, int], opened: str) -> None:
    shown = desk.get(reverse("ledger"), query).content.decode()
    links = {name: (unescape(href), int(number)) for href, name, number in LINK.findall(shown)}
    assert {name: number for name, (_, number) in links.items() if number} == {
        name: number for name, number in wanted.items() if number and name != "condemned"
    }
    href = links[opened][0] if opened in links else ""
    href = href or f"{reverse('ledger_figure', args=[opened])}?{urlencode(query)}"
    listed = desk.get(href).content.decode()
    assert listed.count("<tr data-row") == wanted[opened]
    assert f'<span class="count">{wanted[opened]}</span>' in listed


@pytest.fixture
def mo(cast: Cast) -> Caller:
    with maintenance_scope():
        ApiToken.objects.create(
            provider=cast.provider,
            person=cast.mo,
            name="ledger",
            digest=sha256(b"token-of-mo").hexdigest(),
            expires_at=datetime.now(UTC) + timedelta(days=1),
        )
    return Caller("token-of-mo")


@pytest.fixture
def desk(cast: Cast) -> Client:
    client = Client()
    client.force_login(cast.mo)
    return client


def test_two_copies_of_which_one_lost_its_trace_are_one_mail(cast: Cast, mo: Caller):
    """The mailbox layer meets it first, as if it had come around; then the gateway tells of it."""
    told = Told(cast)
    mail = told.mail(cast.acme, 1, MIDNIGHT)
    told.tell(mail, "without a trace", "it", 1, "phish")
    assert mo.get("ledger/").json()["figures"]["mailbox_only_around"] == 1
    told.tell(mail, "gateway", "it", 0, "clean")
    told.tell(mail, "gateway", "info", 0, "clean")
    told.tell(mail, "mailbox", "info", 2, "phish")
    figures = mo.get("ledger/").json()["figures"]
    assert (figures["condemned"], figures["mailbox_only_passed"]) == (1, 1)
    with told.scope(cast.acme):
        assert LedgerEntry.objects.count() == 1
        assert figures_of(period_of("", ""))["condemned"] == 1
