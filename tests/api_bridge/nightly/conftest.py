"""A client in the sandbox inside this process, and the worker that reads its folders at night."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from api_bridge.models import MailboxSync, NightFolder, NightReading, SeenItem
from api_bridge.nightly.work import serve_nightly
from incidents.models import Observation
from tenants.doors import ClaimedWork
from tests.api_bridge.sandbox.running import simple_mail
from tests.api_bridge.sync.conftest import Client, Inside, cloud, inside, outgoing

__all__ = ["cloud", "inside", "outgoing"]

NAMES = ("ana", "bo")


class Sleeper:
    """The client, and its nights."""

    def __init__(self, inside: Inside, client: Client) -> None:
        self.inside, self.client = inside, client

    @property
    def claimed(self) -> ClaimedWork:
        return ClaimedWork(self.client.tenant.id, self.client.tenant.provider_id, 1)

    def night(self, *, times: int = 1) -> datetime | None:
        """All mailboxes' nights, from their beginning to their end."""
        again = None
        for _ in range(times):
            self.fall()
            again = serve_nightly(self.claimed)
        return again

    def fall(self) -> None:
        """It is night, and the live sync has nothing to do."""
        now = timezone.now()
        with self.client.scope():
            MailboxSync.objects.update(due_at=now + timedelta(hours=1))
            if not NightReading.objects.exists():
                serve_nightly(self.claimed)
            NightReading.objects.update(due_at=now - timedelta(seconds=1))

    def put(self, name: str, at: datetime, *, folder: str = "inbox", subject: str = "Old") -> str:
        """Somebody puts a mail with that date into a mailbox; its Message-ID."""
        message_id = f"<{uuid.uuid4()}@old.example>"
        to = self.client.company.mail(name)
        raw = simple_mail(to, subject=subject, message_id=message_id)
        self.inside.cloud.admin("POST", f"mailboxes/{to}/import", {
            "raw_base64": base64.b64encode(raw).decode(), "folder": folder,
            "received_at": at.isoformat(),
        }, 204)  # fmt: skip
        return message_id

    def judged(self, message_id: str) -> list[Observation]:
        found = self.client.observations(internet_message_id=message_id)
        return [each for each in found if each.verdict is not None]

    def reading(self, name: str = "ana") -> NightReading:
        with self.client.scope():
            return NightReading.objects.get(mailbox__address=self.client.company.mail(name))

    def folders(self, name: str = "ana") -> list[NightFolder]:
        with self.client.scope():
            rows = NightFolder.objects.filter(mailbox__address=self.client.company.mail(name))
            return list(rows.order_by("place", "id"))

    def gaps(self) -> dict[str, int]:
        with self.client.scope():
            found = list(SeenItem.objects.exclude(gap="").values_list("gap", flat=True))
        return {gap: found.count(gap) for gap in set(found)}


@contextmanager
def asleep(inside: Inside, names: tuple[str, ...] = NAMES) -> Iterator[Sleeper]:
    """A client whose mailboxes the live sync has read, and one night."""
    client = inside.connect("delta", names)
    for name in names:
        client.company.receive(name)
    client.sync()
    with inside.behind_the_sync():
        made = Sleeper(inside, client)
        made.night()
        yield made


@pytest.fixture
def sleeper(inside: Inside) -> Iterator[Sleeper]:
    """Mailboxes ana and bo."""
    with asleep(inside) as made:
        yield made
