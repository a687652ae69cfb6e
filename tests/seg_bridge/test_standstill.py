"""A restored database orders nothing of its gates, and calls off what it had ordered."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail as sent
from django.utils import timezone

from incidents.models import ClientWord, Delivery, Intent
from seg_bridge.commands import last_seq, next_seq
from seg_bridge.held.digest import serve_digests
from seg_bridge.held.requests import serve_requests
from seg_bridge.models import Gate, GateCommand
from seg_bridge.onboarding.records import TrialMail
from seg_bridge.onboarding.work import serve_onboarding
from tenants.doors import ClaimedWork
from tenants.outbox import serve_outbox
from tenants.standstill import begin_again, forget_tick, may_act, standstill
from tests.factories import Cast, state_policy
from tests.seg_bridge import test_requests
from tests.seg_bridge.conftest import Wire
from tests.seg_bridge.policies import test_push
from tests.seg_bridge.test_commands import done, hold, release
from tests.tenants.test_standstill import installed, restored_from

__all__ = ["installed"]
pytestmark = pytest.mark.usefixtures("no_broker", "installed")


def begin(*, is_called_off: bool = True) -> dict[str, int]:
    """A person says that work goes on; answers what was called off."""
    may_act()
    counted = begin_again(timezone.now(), is_called_off=is_called_off)
    forget_tick()
    return {words: count for words, count in counted.items() if count}


def test_gates_get_no_orders_and_no_policy_and_tell_as_ever(cast: Cast, wire: Wire):
    copy = hold(cast, wire)
    release(cast, copy)
    restored_from(1)
    refused = wire.ask("GET", "/gate/commands?after=0")
    assert refused.status_code == 503
    assert b"stands still" in refused.content
    hold(cast, wire, n=2)
    begin(is_called_off=False)
    news = wire.news()
    assert news["snapshot"]
    assert [each["kind"] for each in news["commands"]] == ["release"]


def test_a_gate_that_did_what_was_never_ordered_shows_that_the_database_is_old(
    cast: Cast, wire: Wire
):
    with test_requests.scope(cast):
        known = last_seq()
    assert wire.news(after=known)["snapshot"]
    assert wire.ask("GET", f"/gate/commands?after={known + 9}").status_code == 503
    found = standstill()
    assert found is not None
    assert found.is_older
    begin()
    with test_requests.scope(cast):
        assert next_seq() > known + 9, "its next order is new to that gate"
    assert wire.news(after=known + 9)["snapshot"]


def test_a_gate_cannot_use_up_the_numbers(wire: Wire):
    assert wire.ask("GET", f"/gate/commands?after={2**62}").status_code == 400
    assert standstill() is None


def test_what_was_ordered_of_a_gate_is_called_off_and_its_own_word_counts(cast: Cast, wire: Wire):
    first, second = (hold(cast, wire, n=n) for n in (1, 2))
    for copy in (first, second):
        release(cast, copy)
    offered = wire.news()["commands"]
    restored_from(1)
    assert begin() == {"actions on copies": 2, "commands to gates": 2}
    assert wire.news()["commands"] == []
    # The gate had carried out the first one after the backup was made.
    assert wire.ship(done(offered[0])).json()["stored"] == 1
    with test_requests.scope(cast):
        assert {each.ok for each in GateCommand.objects.all()} == {False, True}
        assert {each.state for each in Intent.objects.all()} == {Intent.State.FAILED}


def test_wishes_for_held_mail_are_left_to_people(cast: Cast, wire: Wire):
    copy = test_requests.hold(cast)
    test_requests.wish(cast, copy)
    with test_requests.scope(cast):
        state_policy(cast.acme, **{"held.requests": "auto"})
    restored_from(1)
    assert begin() == {"wishes for held mail (left to people)": 1}
    serve_requests(test_requests.claimed(cast), scanner=test_requests.CLEAN)
    with test_requests.scope(cast):
        assert not Intent.objects.exists()
        assert ClientWord.objects.get().settled_at is None, "a person answers it"


def test_a_digest_of_the_backup_is_not_sent_and_the_next_one_is(cast: Cast, wire: Wire):
    test_requests.hold(cast)
    now = timezone.now()
    with test_requests.scope(cast):
        hour = (now - timedelta(hours=1)).hour
        state_policy(cast.acme, **{"digest.when": "daily", "digest.hour": hour})
        Delivery.objects.update(received_at=now - timedelta(hours=3))
    restored_from(1)
    assert begin() == {"digests": 1}
    serve_digests(test_requests.claimed(cast))
    serve_outbox(test_requests.claimed(cast))
    assert sent.outbox == []


def test_a_push_of_policies_that_waits_is_stopped(cast: Cast):
    push = test_push.asked(cast)
    test_push.approved(cast, push)
    restored_from(1)
    assert begin() == {"changes of policies for many": 2}
    test_push.work(cast.acme, cast.globex)
    assert test_push.stated(cast) == {}
    assert set(test_push.states_of(cast, push).values()) == {"stopped"}


def test_a_test_mail_that_waits_is_not_sent(cast: Cast, wire: Wire):
    with test_requests.scope(cast):
        TrialMail.objects.create(
            tenant=cast.acme,
            gate=Gate.objects.get(),
            recipient="info@acme.example",
            internet_message_id="<t@x.example>",
            asked_by="Ana",
        )
    restored_from(1)
    assert begin() == {"test mails": 1}
    serve_onboarding(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with test_requests.scope(cast):
        assert TrialMail.objects.get().state == TrialMail.State.FAILED
