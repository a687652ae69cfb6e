"""Which clients and which period an address asks about: ``from`` and ``to`` as days or as times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from console.lib.http import check_known, said
from incidents.ledger import Period
from tenants.errors import WrongInput
from tenants.groups import PREFIX

USUAL = timedelta(days=30)
LONGEST = timedelta(days=800)
_LONGEST_TIME = 40


@dataclass(frozen=True)
class Asked:
    """``client`` as ``tenants.groups.of_clients`` takes it; the ends of the period as they came."""

    client: str
    since: str
    until: str

    @cached_property
    def period(self) -> Period:
        """Raises ``WrongInput``."""
        return read_period(self.since, self.until)

    @property
    def query(self) -> str:
        """The same question for another page's address; "" for all of the usual period."""
        return self.query_of(self.client)

    def query_of(self, client: str) -> str:
        """The same period for other clients; "" for all of the usual period."""
        wish = {"client": client, "from": self.since, "to": self.until}
        return urlencode({key: value for key, value in wish.items() if value})

    @property
    def one_client(self) -> str:
        """A client's short name; "" where all are asked about, or a group."""
        return "" if self.client.startswith(PREFIX) else self.client

    @property
    def first_day(self) -> str:
        return self.period.since.date().isoformat()

    @property
    def last_day(self) -> str:
        return (self.period.until - timedelta(microseconds=1)).date().isoformat()


def asked_on(request: HttpRequest) -> Asked:
    """What the address of a page asks."""
    ends = (said(request, name, _LONGEST_TIME) for name in ("from", "to"))
    return Asked(said(request, "client"), *ends)


def asked_by_program(parameters: Mapping[str, str], *more: str) -> Asked:
    """What the address of the API asks; ``more`` are other parameters that are known there.

    Raises ``WrongInput`` for one that is not, and for a group that is no id.
    """
    clients = clients_asked(parameters, "from", "to", *more)
    ends = (parameters.get(name, "")[:100].replace("\x00", "") for name in ("from", "to"))
    return Asked(clients, *ends)


def clients_asked(parameters: Mapping[str, str], *more: str) -> str:
    """Of ``tenant`` and ``group`` what ``tenants.groups.of_clients`` takes; "" for all in sight.

    Raises ``WrongInput`` as ``asked_by_program`` does.
    """
    check_known(parameters, "tenant", "group", *more)
    tenant, group = (parameters.get(name, "").replace("\x00", "") for name in ("tenant", "group"))
    if tenant and group:
        raise WrongInput("Name a client or a group, not both.")
    return tenant[:100] or (f"{PREFIX}{_group_id(group)}" if group else "")


def _group_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise WrongInput("A group is named by its id.") from error


def read_period(since: str, until: str) -> Period:
    """``since`` and ``until``: a day (2026-11-22, in UTC; the last one belongs to the period) or a
    time with its zone, which ends the period.  "" gives the 30 days up to the end of today.

    Raises ``WrongInput``.
    """
    today = timezone.now().astimezone(UTC).date()
    end = _read(until, is_end=True) if until else _midnight(today + timedelta(days=1))
    try:
        start = _read(since, is_end=False) if since else end - USUAL
    except OverflowError as error:
        raise WrongInput(_HINT) from error
    if not start < end:
        raise WrongInput("A period ends after it begins.")
    if end - start > LONGEST:
        raise WrongInput(f"A period has at most {LONGEST.days} days.")
    return Period(start, end)


def _read(text: str, *, is_end: bool) -> datetime:
    try:
        # In an address "+" is a blank, also that of a zone.
        at, day = parse_datetime(text.replace(" ", "+")), parse_date(text)
        if day is not None:
            return _midnight(day + timedelta(days=1) if is_end else day)
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise WrongInput(_HINT) from error
    raise WrongInput(_HINT)


_HINT = "A period is given as days (2026-11-22) or as times with their zone."


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
