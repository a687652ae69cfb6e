"""Steps of an account's response and looks at accounts, by workers that are killed at every commit
and call in turn.
"""

from __future__ import annotations

import pytest
from django.utils import timezone

from api_bridge.access.models import Purpose
from api_bridge.access.permissions import NEEDS
from api_bridge.accounts import look
from api_bridge.accounts.models import AccountLook, AccountStep, MailboxSnapshot, SignIn
from api_bridge.accounts.steps import order_step, undo_step
from incidents.models import AccountSign, Incident
from tenants.doors import ClaimedWork
from tenants.models import AuditEntry
from tests.api_bridge.accounts.conftest import Watched, add_mailbox
from tests.api_bridge.accounts.test_looking import HIDES, sign_in
from tests.api_bridge.accounts.test_responding import case
from tests.crash.worker import check_passed, crash_at_each, serve

__all__ = ["case"]
RISKY = "IdentityRiskyUser.Read.All"
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


def test_what_a_look_finds_is_told_once(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    """One mailbox at a time; what is not looked at is said whoever reads the last of them."""
    monkeypatch.setattr(look, "MAILBOXES_AT_ONCE", 1)
    yard = watched.yard
    second = add_mailbox(yard, "bo")
    roles = [need.name for need in NEEDS[Purpose.RESPOND] if need.name != RISKY]
    yard.application(Purpose.RESPOND, roles=roles)
    yard.consent(Purpose.RESPOND)
    watched.serve()
    with yard.worker():
        before = AuditEntry.objects.filter(action="incidents.incident.opened").count()
    begun: list[int] = []

    def begin() -> None:
        """The one before is closed; a rule is new in each mailbox, and somebody signed in."""
        begun.append(len(begun))
        to = {"emailAddress": {"address": f"thief@evil{begun[-1]}.example"}}
        forwards = {"displayName": f"{begun[-1]}", "actions": {"forwardTo": [to]}}
        hides = {**HIDES, "conditions": {"subjectContains": ["invoice", f"{begun[-1]}"]}}
        watched.rules(forwards, hides)
        yard.cloud.admin("PUT", f"mailboxes/{second.address}/rules", {"rules": [forwards]})
        watched.account(sign_ins=[sign_in("DE", "Berlin", 52.5, 13.4, minutes=9 - begun[-1] / 10)])
        with yard.worker():
            Incident.objects.update(state=Incident.State.RESOLVED, classification="benign")
            AccountLook.objects.update(due_at=timezone.now())

    def work() -> None:
        look.look_at_accounts(ClaimedWork(yard.tenant.id, yard.tenant.provider_id, 1))

    def check(died_at: str) -> None:
        opened = AuditEntry.objects.filter(action="incidents.incident.opened")
        with yard.worker():
            assert SignIn.objects.count() == len(begun), died_at
            assert MailboxSnapshot.objects.count() == 2 + 2 * len(begun), died_at
            signs = AccountSign.objects.filter(mailbox=watched.address)
            assert signs.exclude(incident=None).count() == 2 * len(begun), died_at
            loose = AccountSign.objects.filter(mailbox=second.address)
            assert loose.count() == len(begun), died_at
            rows = Incident.objects.filter(kind=Incident.Kind.ACCOUNT)
            assert rows.count() == opened.count() - before, died_at
            assert rows.filter(sender=watched.address).count() == len(begun), died_at
        assert RISKY in {each["what"] for each in watched.look().off}, died_at

    places = crash_at_each(begin, work, check)
    reads = {"_next_mailboxes", "look_at_accounts"}
    others = {
        "_due": "one row for each connection, made again by whoever finds none",
        "_wait_for_mailboxes": "only when to look again; before, it is due all the same",
    }
    check_passed(places, "api_bridge.accounts.look", reads=reads, others=others)
