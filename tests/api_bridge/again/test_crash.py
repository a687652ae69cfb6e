"""Mail that is judged again, by workers that are killed at every commit in turn."""

from __future__ import annotations

from collections import Counter

from django.utils import timezone

from api_bridge.again.due import STEPS
from api_bridge.again.work import LEASE
from api_bridge.models import SeenItem
from incidents.words import Verdict
from tests.api_bridge.again.test_again import MAIL, condemn, judged
from tests.api_bridge.sync.conftest import Inside, inside
from tests.api_bridge.sync.test_crash import due
from tests.crash.worker import check_passed, crash_at_each, serve

__all__ = ["inside"]


def test_a_verdict_that_changes_is_told_once(inside: Inside):
    """What was claimed and not looked at comes round; intake makes sense of it all later."""
    client = inside.connect("delta", ("ana", "bo"))
    client.sync()
    begun: list[str] = []

    def begin() -> None:
        number = len(begun)
        link = f"https://host{number}.example/s/aX7"
        begun.append(link)
        raw = MAIL.format(to=client.company.mail("ana"), number=number, link=link)
        raw = raw.replace("partner-firm", f"partner{number}")
        client.company.receive("ana", raw=raw.encode())
        due(client)
        client.sync()
        client.make_sense()
        condemn(client, link=link, ulid=f"01J{number:023d}", message_id=f"<{number}@else.example>")

    def work() -> None:
        with client.scope():
            claimed = SeenItem.objects.filter(again_at__lte=timezone.now() + LEASE)
            claimed.update(again_at=timezone.now())
        serve("again")

    def check(died_at: str) -> None:
        told = Counter((each.internet_message_id, each.verdict) for each in judged(client))
        assert set(told.values()) == {1}, died_at
        verdicts = Counter(verdict for _, verdict in told)
        assert verdicts == {Verdict.CLEAN: len(begun), Verdict.PHISH: len(begun)}, died_at
        with client.scope():
            rows = list(SeenItem.objects.filter(received_at__gte=timezone.now() - STEPS[0]))
        assert {row.again_at for row in rows} == {row.received_at + STEPS[0] for row in rows}, (
            died_at
        )

    places = crash_at_each(begin, work, check, only="api_bridge.again")
    check_passed(places, "api_bridge.again.work", reads={"_read_again"})
