"""A client that was connected after its mail had come, and the worker that looks back."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import TypedDict, Unpack

import pytest
from django.utils import timezone

from api_bridge.models import Connection, MailboxSync, ScanBack, ScanBackFinding, ScanBackMailbox
from api_bridge.scanback.services import start_scan_back
from api_bridge.scanback.work import serve_lookback
from tenants.doors import ClaimedWork
from tests.api_bridge.sync.conftest import Client, cloud, connect, outgoing

__all__ = ["cloud", "connect", "outgoing"]


class Wishes(TypedDict, total=False):
    """What a test asks for, as in ``start_scan_back``."""

    days: int
    most_mails: int
    addresses: Collection[str]


class Looker:
    """``mails`` came before the client was connected; they were learnt from, and judged by none."""

    def __init__(self, client: Client, lead) -> None:
        self.client, self.lead = client, lead

    def connected_later(self, days: float = 1.0) -> None:
        """As if the client were connected only now: what lies there came before.  Half a minute is
        left for clocks that differ.
        """
        with self.client.scope():
            Connection.objects.update(created_at=timezone.now() + timedelta(minutes=2, seconds=2))
            MailboxSync.objects.update(cursor="", synced_at=None)
        self.client.sync()
        self.settle()

    def settle(self) -> None:
        """The live sync has nothing to do."""
        later = timezone.now() + timedelta(hours=1)
        with self.client.scope():
            MailboxSync.objects.update(due_at=later)

    def start(self, **wishes: Unpack[Wishes]) -> ScanBack:
        with self.client.scope():
            return start_scan_back(tenant=self.client.tenant, actor=self.lead, **wishes)

    def look(self, times: int = 1):
        """The worker, as if all pauses had passed.  Answers when it wants to come again."""
        again = None
        for _ in range(times):
            with self.client.scope():
                now = timezone.now()
                ScanBack.objects.update(due_at=now)
                ScanBackMailbox.objects.update(due_at=now)
            again = serve_lookback(self.claimed)
        return again

    @property
    def claimed(self) -> ClaimedWork:
        return ClaimedWork(self.client.tenant.id, self.client.tenant.provider_id, 1)

    def run(self) -> ScanBack:
        with self.client.scope():
            return ScanBack.objects.latest("asked_at")

    def rows(self) -> dict[str, ScanBackMailbox]:
        with self.client.scope():
            found = ScanBackMailbox.objects.filter(run=self.run()).select_related("mailbox")
            return {row.mailbox.address.partition("@")[0]: row for row in found}

    def findings(self) -> list[ScanBackFinding]:
        with self.client.scope():
            return list(ScanBackFinding.objects.order_by("received_at"))

    def judged(self) -> list[str]:
        """Message-IDs of what was judged, each as often as it was told."""
        seen = self.client.observations()
        return [each.internet_message_id for each in seen if each.verdict is not None]


@pytest.fixture
def looker(connect: Callable[[str], Client], cast) -> Looker:
    client = connect("delta")
    client.sync()
    return Looker(client, cast.mo)
