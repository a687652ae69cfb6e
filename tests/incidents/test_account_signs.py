"""Signs add up to one incident of the account; what is known counts once."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from incidents.accounts import Sign, note_signs
from incidents.models import AccountSign, Incident
from incidents.opening import refresh_incident
from incidents.retitling import retitle, title_now
from incidents.services import resolve_incident
from incidents.signs import HIGH, LOW, NORMAL, THRESHOLDS, WINDOW
from tenants.scope import Role, Scope, tenant_scope
from tests.factories import Cast

CFO = "cfo@acme.example"


def acme_scope(cast: Cast, role: Role) -> AbstractContextManager[Scope]:
    return tenant_scope(role, [cast.acme.id], provider_id=cast.provider.id)


@pytest.fixture
def scope(cast: Cast):
    with acme_scope(cast, Role.WORKER):
        yield


def sign(code: str, *, at: datetime | None = None, is_again: bool = False) -> Sign:
    """``at``: None: now."""
    return Sign(
        code=code,
        key="k",
        words=f"{code}.",
        source="test",
        at=at or timezone.now(),
        is_again=is_again,
    )


@pytest.mark.parametrize(
    ("codes", "opens"),
    [
        (["mfa_added"], []),
        (["mail_grant"], [HIGH]),
        (["forward_outside"], [HIGH]),
        (["burst"], [HIGH, NORMAL]),
        (["new_country", "mail_grant"], [HIGH, NORMAL]),
        (["forward_outside", "hides_money"], [HIGH, NORMAL, LOW]),
    ],
)
@pytest.mark.parametrize("sensitivity", [LOW, NORMAL, HIGH])
@pytest.mark.usefixtures("scope")
def test_the_threshold_decides(cast: Cast, codes, opens, sensitivity):
    signs = [sign(code) for code in codes]
    found = note_signs(cast.acme, CFO, signs, threshold=THRESHOLDS[sensitivity])
    assert (found is not None) is (sensitivity in opens)


@pytest.mark.usefixtures("scope")
def test_signs_join_and_an_incident_without_mail_stays(cast: Cast):
    first = note_signs(cast.acme, CFO, [sign("burst")], threshold=60)
    later = note_signs(cast.acme, CFO, [sign("mfa_added"), sign("burst")], threshold=60)
    assert first == later
    assert first is not None
    refresh_incident(first)
    first.refresh_from_db()
    assert (first.state, first.severity, first.sender) == ("new", "high", CFO)
    title = "An account at risk: far more mail than it ever sends"
    assert (first.title, title_now(first), retitle(cast.acme.id)) == (title, title, 0)
    assert AccountSign.objects.filter(incident=first).count() == 2
    assert note_signs(cast.acme, "ceo@acme.example", [sign("mfa_added")], threshold=60) is None


@pytest.mark.usefixtures("scope")
def test_old_signs_are_not_added_up(cast: Cast):
    old = sign("forward_outside", at=timezone.now() - WINDOW - timedelta(hours=1))
    assert note_signs(cast.acme, CFO, [old, sign("mail_grant")], threshold=60) is None


@pytest.mark.parametrize(
    ("classification", "is_again", "opens"),
    [
        ("benign", False, False),
        ("benign", True, False),
        ("true_positive", False, False),
        ("true_positive", True, True),
    ],
)
def test_the_same_evidence_after_closing(cast: Cast, classification, is_again, opens):
    with acme_scope(cast, Role.WORKER):
        incident = note_signs(cast.acme, CFO, [sign("burst")], threshold=60)
    assert incident is not None
    with acme_scope(cast, Role.ANALYST):
        resolve_incident(
            incident=incident, actor=cast.ana, classification=classification, cause="Asked her"
        )
    with acme_scope(cast, Role.WORKER):
        note_signs(cast.acme, CFO, [sign("burst", is_again=is_again)], threshold=60)
        open_ones = Incident.objects.filter(kind="account").exclude(state="resolved")
        assert open_ones.exists() is opens
