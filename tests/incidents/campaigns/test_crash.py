"""The nightly pass, by workers that are killed at every commit in turn."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from incidents.campaigns.nightly import MADE_CANONICAL, make_canonical, serve_regroup
from incidents.campaigns.recomputing import ask_recomputation
from incidents.models import (
    Campaign,
    Incident,
    IncidentMessage,
    LinkedIncident,
    LinkedMail,
    Recomputation,
)
from tenants.doors import ClaimedWork
from tenants.models import AuditEntry
from tests.crash.worker import check_passed, crash_at_each
from tests.factories import Cast
from tests.incidents.campaigns.test_nightly import take, threat
from tests.incidents.test_remediation import _scope


def test_what_the_pass_sets_right_is_done_and_told_once(cast: Cast):
    """Mails that belong to nobody else's incident, and lost their links between clients."""
    begun: list[int] = []
    again_at: list[datetime | None] = []

    def begin() -> None:
        """Two incidents of one hand, whose mails stand in one of them and are linked with none."""
        with _scope(cast.acme):
            numbers = [2 * len(begun), 2 * len(begun) + 1]
            begun.append(numbers[0])
            host = f"evil{numbers[0]}.example"
            for number in numbers:
                take(cast.acme, *threat(cast.acme, number, host=host, sender=f"a@{host}"))
            one, other = Incident.objects.order_by("-number")[:2]
            IncidentMessage.objects.filter(incident=other).update(incident=one)
            LinkedIncident.objects.filter(incident__in=[one, other]).delete()
            mails = one.memberships.values("message_id")
            assert LinkedMail.objects.filter(message__in=mails).delete()[0]

    def check(died_at: str) -> None:
        with _scope(cast.acme):
            sizes = [each.memberships.count() for each in Incident.objects.all()]
            assert sorted(sizes) == [0] * len(begun) + [1] * 2 * len(begun), died_at
            assert Campaign.objects.filter(merged_into=None).count() == len(begun), died_at
            assert LinkedMail.objects.count() == 2 * len(begun), died_at
            entries = AuditEntry.objects.filter(action=MADE_CANONICAL)
            assert sum(each.detail["split"] for each in entries) == len(begun), died_at
            assert entries.count() == len(begun), died_at

    def work() -> None:
        again_at.append(serve_regroup(ClaimedWork(cast.acme.id, cast.provider.id, 1)))

    places = crash_at_each(begin, work, check)
    assert again_at[-1] is None
    assert not make_canonical(cast.acme).has_any
    places |= crash_at_each(lambda: ask(cast), work, lambda died_at: shown(cast, died_at))
    assert again_at[-1] is not None
    assert again_at[-1] > timezone.now()
    check_passed(places, "incidents.campaigns.nightly")


def ask(cast: Cast) -> None:
    """What the pass would change; the campaigns are as they should be by now, but for one."""
    with _scope(cast.acme):
        Incident.objects.filter(campaign__number=1).update(campaign=None)
        ask_recomputation(tenant=cast.acme, actor=cast.ana)


def shown(cast: Cast, died_at: str) -> None:
    """It is shown, not done; the pass itself waits for the next night."""
    with _scope(cast.acme):
        asked = Recomputation.objects.get()
        assert asked.shown_at is not None, died_at
        assert asked.counts == {"campaign": 1}, died_at
        assert not Incident.objects.filter(campaign__number=1).exists(), died_at
