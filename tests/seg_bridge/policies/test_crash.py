"""The queue of policies, by workers that are killed at every commit in turn."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from django.utils import timezone

from seg_bridge.models import GatewayRule, PolicyChange, PolicyLayer, PolicyPushItem
from seg_bridge.policies.push import approve_push, ask_push, serve_policies
from seg_bridge.services import add_rule
from tenants.doors import ClaimedWork
from tenants.models import AuditEntry
from tests.crash.worker import check_passed, crash_at_each
from tests.factories import Cast
from tests.seg_bridge.policies.test_push import sees


def test_a_push_is_made_once_and_an_entry_ends_once(cast: Cast):
    begun: list[int] = []

    def begin() -> None:
        """A change that is agreed, one that Ana may not make, and an entry past its end."""
        number = len(begun)
        begun.append(number)
        with sees(cast, cast.acme):
            push = ask_push(states={"act_from": 4 + number % 2}, tenants=[cast.acme], actor=cast.mo)
            approve_push(push=push, actor=cast.mo, reason="agreed")
            leads = {"release.malware": "analyst"}
            ask_push(states=leads, tenants=[cast.acme], actor=cast.ana)
            add_rule(
                tenant_id=cast.acme.id,
                kind="block",
                match="sender",
                value=f"eve{number}@evil.example",
                reason="spam",
                actor=cast.ana,
            )
            GatewayRule.objects.filter(removed_at=None).update(
                expires_at=timezone.now() - timedelta(minutes=1)
            )

    def work() -> None:
        claimed = ClaimedWork(cast.acme.id, cast.provider.id, 1)
        assert any(serve_policies(claimed) is None for _ in range(5)), "it comes to its end"

    def check(died_at: str) -> None:
        with sees(cast, cast.acme):
            states = Counter(PolicyPushItem.objects.values_list("state", flat=True))
            assert states == {"made": len(begun), "failed": len(begun)}, died_at
            row = PolicyLayer.objects.get(tenant=cast.acme)
            assert (row.version, row.stated["act_from"]["value"]) == (
                len(begun),
                4 + begun[-1] % 2,
            ), died_at
            assert PolicyChange.objects.exclude(made_at=None).count() == len(begun), died_at
            assert not GatewayRule.objects.filter(removed_at=None).exists(), died_at
            for action in ("seg_bridge.policy.changed", "seg_bridge.rule.expired"):
                entries = AuditEntry.objects.filter(action=action)
                assert entries.count() == len(begun), (action, died_at)

    places = crash_at_each(begin, work, check)
    check_passed(places, "seg_bridge.policies.push", reads={"serve_push"})
    check_passed(places, "seg_bridge.services")
