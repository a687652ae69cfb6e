"""An old backup never acts: whatever shows that the database is older, and whatever waits in it."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from incidents.models import Incident, Intent, Job
from incidents.remediation import pull_incident
from incidents.words import Place
from tenants.models import AuditEntry, OutgoingMail, Tenant
from tenants.outbox import post
from tenants.scope import Role, maintenance_scope, tenant_scope
from tenants.standstill import TICK_S, _ticker, begin_again, forget_tick, may_act, standstill
from tenants.tasks import serve
from tenants.work import want_work
from tests.factories import Cast
from tests.incidents.test_remediation import Mailboxes, incident, mailboxes, pull

__all__ = ["incident", "mailboxes"]
# The database's clock stands at the beginning of the test.
LONG_AGO = timezone.now() - timedelta(days=1)
pytestmark = pytest.mark.usefixtures("no_broker", "installed")


@pytest.fixture
def installed(settings, tmp_path: Path, db: None):
    """A database that has acted: it has ticked, and a file and the broker know it."""
    settings.VAR_DIR = tmp_path
    for _ in range(3):
        forget_tick()
        assert may_act()
    yield
    forget_tick()


def restored_from(ticks_before: int) -> None:
    """The database as it was so many ticks ago."""
    with maintenance_scope(), connection.cursor() as cursor:
        cursor.execute("UPDATE tenants_installation SET tick = tick - %s", [ticks_before])
    forget_tick()


def scope(tenant: Tenant):
    return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)


def lose_file(settings) -> None:
    (settings.VAR_DIR / "witness.json").unlink()


def spoil_file(settings) -> None:
    (settings.VAR_DIR / "witness.json").write_text('{"installation": 7')


@pytest.mark.parametrize(
    ("lost", "acts"),
    [
        ((), True),
        ((lose_file,), True),
        ((spoil_file,), True),
        ((lambda _: cache.clear(),), True),
        ((lose_file, lambda _: cache.clear()), False),
        ((spoil_file, lambda _: cache.clear()), False),
    ],
)
def test_one_witness_is_enough_and_none_is_too_few(settings, lost, acts):
    for lose in lost:
        lose(settings)
    forget_tick()
    assert may_act() is acts
    found = standstill()
    assert (found is None) is acts
    assert found is None or not found.is_older


@pytest.mark.parametrize("lost", [None, lose_file, lambda _: cache.clear()])
def test_an_older_database_hands_out_no_work(settings, cast: Cast, lost):
    with scope(cast.acme):
        want_work(cast.acme.id, "notify", at=LONG_AGO)
    if lost:
        lost(settings)
    restored_from(1)
    assert serve("notify") == 0
    found = standstill()
    assert found is not None
    assert found.is_older
    forget_tick()
    assert serve("notify") == 0, "it stands until a person says otherwise"
    begin_again(timezone.now(), is_called_off=False)
    forget_tick()
    assert serve("notify") == 1
    assert standstill() is None


def test_the_database_itself_hands_out_none_to_who_does_not_ask(cast: Cast):
    from tenants.work import serve_one

    with scope(cast.acme):
        want_work(cast.acme.id, "notify", at=LONG_AGO)
    restored_from(1)
    may_act()
    assert not serve_one("notify")


def test_another_database_in_its_place_is_not_known(settings):
    with maintenance_scope(), connection.cursor() as cursor:
        cursor.execute("UPDATE tenants_installation SET id = gen_random_uuid()")
    forget_tick()
    assert not may_act()
    with maintenance_scope(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM tenants_installation")
    forget_tick()
    assert may_act(), "one that is new begins"


def test_it_is_asked_once_in_a_while(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    monkeypatch.setattr("tenants.standstill._tick", lambda: asked.append(1))
    forget_tick()
    for _ in range(5):
        assert may_act()
    assert len(asked) == 1
    _ticker.fresh_until -= TICK_S
    assert may_act()
    assert len(asked) == 2


def test_what_waits_in_mailboxes_is_called_off(
    cast: Cast, incident: Incident, mailboxes: Mailboxes
):
    with scope(cast.acme):
        job = pull_incident(incident=incident, actor=cast.ana, reason="phish")
    restored_from(1)
    may_act()
    begin_again(timezone.now(), is_called_off=True)
    forget_tick()
    with scope(cast.acme):
        want_work(cast.acme.id, "remediate", at=LONG_AGO)
    assert serve("remediate") == 1
    assert mailboxes.moves == 0
    with scope(cast.acme):
        job = Job.objects.get(id=job.id)
        assert (job.state, job.counts["failed"]) == ("failed", 2)
        assert all("restored from a backup" in each.error for each in Intent.objects.all())
        assert AuditEntry.objects.filter(action="incidents.job.called_off").count() == 1
        again = pull_incident(incident=incident, actor=cast.ana, reason="still wanted")
        assert again.counts["copies"] == 2, "a person may ask anew"


def test_what_a_person_put_back_since_is_not_removed_again(
    cast: Cast, incident: Incident, mailboxes: Mailboxes
):
    pull(cast, incident)
    mailboxes.places["i1"] = Place.INBOX  # restored after the backup, which still means to look
    moves = mailboxes.moves
    restored_from(1)
    may_act()
    begin_again(timezone.now(), is_called_off=True)
    with scope(cast.acme):
        Intent.objects.update(due_at=timezone.now())
        want_work(cast.acme.id, "remediate", at=LONG_AGO)
    forget_tick()
    assert serve("remediate") == 1
    assert mailboxes.moves == moves


def test_no_mail_of_the_backup_is_sent(cast: Cast, mailoutbox):
    with scope(cast.acme):
        post(
            tenant_id=cast.acme.id,
            event="request/1",
            kind="receipt",
            to="pia@acme.example",
            subject="Thank you",
            text="It was phishing.",
        )
    restored_from(1)
    may_act()
    begin_again(timezone.now(), is_called_off=True)
    forget_tick()
    with scope(cast.acme):
        want_work(cast.acme.id, "notify", at=LONG_AGO)
    assert serve("notify") == 1
    assert mailoutbox == []
    with scope(cast.acme):
        assert OutgoingMail.objects.get().state == OutgoingMail.State.FAILED


@pytest.mark.parametrize("call_off", [True, False])
def test_the_command_says_how_it_is_and_what_it_did(cast: Cast, call_off):
    def said(*arguments: str) -> str:
        out = StringIO()
        call_command("restored", *arguments, stdout=out)
        return out.getvalue()

    assert "Bailey acts" in said()
    with scope(cast.acme):
        post(tenant_id=cast.acme.id, event="a", kind="x", to="a@b.example", subject="S", text="T")
    restored_from(2)
    may_act()
    assert "older than what was done from it" in said()
    answer = said("--call-off" if call_off else "--go-on")
    assert ("1 mails to people called off" in answer) is call_off
    assert "Bailey acts" in said()
    forget_tick()
    assert may_act()


def test_every_page_of_the_console_says_so_and_no_portal(cast: Cast, settings):
    def page(person, name: str) -> str:
        client = Client()
        client.force_login(person)
        return client.get(reverse(name)).content.decode()

    assert "stands still" not in page(cast.ana, "queue")
    restored_from(1)
    may_act()
    assert "Bailey stands still" in page(cast.ana, "queue")
    settings.ROOT_URLCONF = "console.urls_portal"
    assert "stands still" not in page(cast.pia, "portal")
    settings.ROOT_URLCONF = "console.urls"
    begin_again(timezone.now(), is_called_off=False)
    assert "stands still" not in page(cast.ana, "queue")
