"""How long what is known of accounts and reports is kept, by the policy, and what stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from api_bridge.accounts.models import MailboxSnapshot, SignIn
from incidents import forgetting
from incidents.evidence import store_evidence
from incidents.models import AccountSign, Evidence, Incident, UserReport
from seg_bridge.held.legal import set_hold
from seg_bridge.held.retention import FORGOTTEN, serve_retention
from seg_bridge.models import PolicyLayer
from tenants.ids import new_id
from tenants.models import AuditEntry, Mailbox, Tenant
from tests.factories import Cast, state_policy
from tests.seg_bridge.test_requests import claimed, scope

CEO, INFO = "ceo@acme.example", "info@acme.example"


def box(tenant: Tenant, address: str) -> Mailbox:
    return Mailbox.objects.get(tenant=tenant, address=address)


def sign_in(tenant: Tenant, address: str, days: int) -> None:
    SignIn.objects.create(
        tenant=tenant,
        mailbox=box(tenant, address),
        external_id=str(new_id()),
        at=timezone.now() - timedelta(days=days),
    )


def snapshot(tenant: Tenant, address: str, days: int) -> None:
    at = timezone.now() - timedelta(days=days)
    MailboxSnapshot.objects.create(
        tenant=tenant, mailbox=box(tenant, address), digest="d", content={}, taken_at=at
    )


def sign(tenant: Tenant, address: str, days: int, incident: Incident | None = None) -> None:
    AccountSign.objects.create(
        tenant=tenant,
        mailbox=address,
        code="rule",
        key=str(new_id()),
        words="A rule forwards mail",
        weight=10,
        source="Graph",
        at=timezone.now() - timedelta(days=days),
        incident=incident,
    )


def report(tenant: Tenant, address: str, days: int, **changes: Any) -> None:
    given = {"state": UserReport.State.PLACED, "said": "phish", "trust": "own", "way": "microsoft"}
    UserReport.objects.create(
        tenant=tenant,
        source_key=str(new_id()),
        reporter=address,
        mailbox=box(tenant, address),
        reported_at=timezone.now() - timedelta(days=days),
        **given | changes,
    )


# Makes one of a mailbox, so many days old; the table; its default in days; what reads its age.
KINDS: dict[str, tuple[Any, Any, int]] = {
    "sign_ins": (sign_in, SignIn, 90),
    "signs": (sign, AccountSign, 365),
    "reports": (report, UserReport, 365),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_goes_at_its_default_and_at_the_clients_own_term(cast: Cast, kind: str):
    make, table, default = KINDS[kind]
    with scope(cast):
        for days in (default + 1, default - 1, 40, 1):
            make(cast.acme, INFO, days)
    serve_retention(claimed(cast))
    with scope(cast):
        assert table.objects.count() == 3
        entry = AuditEntry.objects.get(action=FORGOTTEN)
        assert (entry.object_kind, entry.detail["rows"]) == (kind, 1)
        assert entry.reason == f"1 older than {default} days (policy of Bailey)"
        state_policy(cast.acme, **{f"records_{kind}": 30})
    serve_retention(claimed(cast))
    serve_retention(claimed(cast))
    with scope(cast):
        assert table.objects.count() == 1
        assert AuditEntry.objects.filter(action=FORGOTTEN).count() == 2


def test_a_mailbox_with_a_term_of_its_own_goes_by_it(cast: Cast):
    with scope(cast):
        for address in (CEO, INFO):
            sign_in(cast.acme, address, 40)
        PolicyLayer.objects.create(
            provider=cast.provider,
            tenant=cast.acme,
            level=PolicyLayer.Level.MAILBOX,
            mailbox=box(cast.acme, CEO),
            stated={"records.sign_ins": {"value": 30}},
            changed_by="Mo",
        )
    serve_retention(claimed(cast))
    with scope(cast):
        assert [row.mailbox.address for row in SignIn.objects.all()] == [INFO]


def test_the_newest_settings_of_a_mailbox_stay_however_old(cast: Cast):
    with scope(cast):
        for days in (900, 500):
            snapshot(cast.acme, INFO, days)
        snapshot(cast.acme, CEO, 800)
    serve_retention(claimed(cast))
    with scope(cast):
        kept = MailboxSnapshot.objects.order_by("taken_at")
        ages = {row.mailbox.address: (timezone.now() - row.taken_at).days for row in kept}
        assert ages == {CEO: 800, INFO: 500}


def test_what_an_open_incident_is_about_and_what_is_owed_stays(cast: Cast):
    with scope(cast):
        at = timezone.now()
        given = {"tenant": cast.acme, "kind": "account", "first_seen_at": at, "last_seen_at": at}
        for number, state in ((1, "triage"), (2, "resolved")):
            incident = Incident.objects.create(number=number, title="A", state=state, **given)
            sign(cast.acme, INFO, 900, incident)
        report(cast.acme, INFO, 900, owes_outcome=True)
        report(cast.acme, INFO, 900, state=UserReport.State.NEW)
    serve_retention(claimed(cast))
    with scope(cast):
        assert [row.incident.number for row in AccountSign.objects.all()] == [1]
        assert UserReport.objects.count() == 2


def test_a_legal_hold_on_the_client_keeps_everything_and_another_client_is_not_touched(
    cast: Cast,
):
    with scope(cast):
        sign_in(cast.acme, INFO, 900)
        set_hold(tenant=cast.acme, message=None, actor=cast.mo, reason="A court asks")
    serve_retention(claimed(cast))
    with scope(cast):
        assert SignIn.objects.exists()


def test_the_mail_that_was_attached_goes_with_the_last_report_that_has_it(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(forgetting, "MOST_AT_ONCE", 1)
    with scope(cast):
        digest = store_evidence(
            tenant_id=cast.acme.id, raw=b"mail", source="report", method=forgetting.REPORTED
        )
        for days in (900, 800):
            report(cast.acme, INFO, days, evidence=digest)
    counts = []
    for _ in range(2):
        serve_retention(claimed(cast))
        with scope(cast):
            counts.append((UserReport.objects.count(), Evidence.objects.count()))
    assert counts == [(1, 1), (0, 0)]
