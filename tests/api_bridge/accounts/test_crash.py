"""A step of an account's response, by workers that are killed at every commit and call in turn."""

from __future__ import annotations

import pytest
from django.utils import timezone

from api_bridge.accounts.models import AccountStep
from api_bridge.accounts.steps import order_step, undo_step
from incidents.models import Incident
from tenants.models import AuditEntry
from tests.api_bridge.accounts.conftest import Watched
from tests.api_bridge.accounts.test_responding import case
from tests.crash.worker import check_passed, crash_at_each, serve

__all__ = ["case"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_step_is_carried_out_once(watched: Watched, case: Incident):
    yard = watched.yard
    ordered: list[AccountStep] = []

    def begin() -> None:
        """Sign-in is blocked, and given back the next time."""
        with yard.staff():
            if len(ordered) % 2:
                step = AccountStep.objects.get(id=ordered[-1].id)
                ordered.append(undo_step(step=step, actor=yard.cast.mo))
            else:
                order_step(incident=case, kind="disable", target="", actor=yard.cast.mo)
                ordered.append(AccountStep.objects.latest("id"))

    def work() -> None:
        with yard.worker():
            AccountStep.objects.filter(state__in=AccountStep.OPEN).update(due_at=timezone.now())
        serve("accounts")

    def check(died_at: str) -> None:
        step = watched.step()
        assert step.state == AccountStep.State.VERIFIED, died_at
        assert watched.shown()["is_enabled"] is (len(ordered) % 2 == 0), died_at
        with yard.worker():
            done = AuditEntry.objects.filter(object_id=str(step.id), action__endswith="finished")
            assert done.count() == 1, died_at

    places = crash_at_each(begin, work, check)
    answer = "only the host's answer is noted, and it is read again: test_responding.py"
    failing = dict.fromkeys(("_after_error", "_note_not_called", "_wait"), answer)
    reads = {"_spent", "carry_out_steps"}
    check_passed(places, "api_bridge.accounts.respond", reads=reads, others=failing)
