"""The night's look at the ledger, by workers that are killed at every commit in turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from incidents import warnings
from incidents.ledger import upkeep
from incidents.ledger.nights import CORRECTED
from incidents.models import LedgerDay, LedgerEntry, Message, WarningMark
from incidents.words import Verdict
from tenants.models import AuditEntry
from tenants.work import want_work
from tests.crash.worker import check_passed, crash_at_each, serve
from tests.factories import Cast
from tests.incidents.test_ledger import counted, gateway, take
from tests.incidents.test_remediation import _scope


def test_what_had_drifted_is_mended_and_told_once(cast: Cast, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upkeep, "CHUNK", 1)
    now = datetime.now(UTC)
    with _scope(cast.acme):
        mails = [gateway(cast.acme, n, 0, Verdict.PHISH, observed_at=now) for n in (1, 2)]
        take(cast.acme, *mails)
        right = counted()
    begun: list[int] = []

    def begin() -> None:
        """Both mails count wrongly, each in a chunk of its own, and an old mark warns nobody."""
        begun.append(len(begun))
        with _scope(cast.acme):
            LedgerEntry.objects.update(counted_as="vendor_only")
            LedgerDay.objects.update(counted_as="vendor_only")
            old = now - warnings.KEPT - timedelta(days=1)
            mail = Message.objects.earliest("id")
            WarningMark.objects.create(tenant=cast.acme, message=mail, mark="x", last_seen_at=old)
            want_work(cast.acme.id, "ledger")

    def check(died_at: str) -> None:
        with _scope(cast.acme):
            assert counted() == right == {"gateway_only_unseen": 2}, died_at
            assert not WarningMark.objects.filter(mark="x").exists(), died_at
            told = AuditEntry.objects.filter(action=CORRECTED).values_list("detail", flat=True)
            assert sum(each["differing"] for each in told) == 2 * len(begun), died_at

    places = crash_at_each(begin, lambda: serve("ledger"), check)
    check_passed(places, "incidents.ledger.nights", reads={"serve_ledger"})
    check_passed(places, "incidents.ledger.upkeep")
