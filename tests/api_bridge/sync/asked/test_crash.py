"""What is asked of a mail host beside its mail, killed at every commit in turn: the word of its own
protection, and the groups of its directory.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from api_bridge.groups import follow_groups
from api_bridge.models import Connection, MailboxSync
from api_bridge.runtime import connector_of
from incidents.models import Incident, PullProposal, UserReport
from incidents.modes import set_mode
from incidents.words import Layer
from tenants.audit import BAILEY
from tenants.doors import ClaimedWork
from tenants.models import MailboxGroup, Work
from tests.api_bridge.sync.conftest import Client, Inside
from tests.api_bridge.sync.test_groups import group, members, put
from tests.crash.worker import check_passed, crash_at_each, serve


def quiet(client: Client, **due: object) -> None:
    """Nothing is due but what is named."""
    later = timezone.now() + timedelta(hours=1)
    with client.scope():
        MailboxSync.objects.update(
            due_at=later, whole_due_at=later, check_due_at=later, push_due_at=later
        )
        rest = {"list_due_at": later, "watch_due_at": later, "sweep_due_at": later}
        Connection.objects.update(**(rest | due))


def wanted_of(client: Client) -> set[str]:
    with client.scope():
        return set(Work.objects.exclude(wanted_at=None).values_list("queue", flat=True))


def test_what_the_host_said_is_on_record_once(inside: Inside):
    """And what people reported with its button."""
    google = inside.connect_google("gamma")
    google.sync()
    ana, alerts = google.company.mail("ana"), f"google/{google.company.tenant_id}/alerts"
    told: list[str] = []

    def begin() -> None:
        told.append(f"<{len(told)}@x.example>")
        mails = [{"messageId": told[-1], "recipient": ana}]
        for kind in ("Phishing message detected post-delivery", "User reported phishing"):
            alert = {"type": kind, "data": {"messages": mails}}
            google.company.cloud.admin("POST", alerts, alert, 201)
        with google.scope():
            Work.objects.filter(queue__in=["intake", "reported"]).update(wanted_at=None)

    def work() -> None:
        """Once all pauses are over."""
        now = timezone.now()
        quiet(google, watch_due_at=now, verdicts_due_at=now)
        serve("sync")

    def check(died_at: str) -> None:
        said = google.observations(layer=Layer.VENDOR)
        assert sorted(each.internet_message_id for each in said) == sorted(told), died_at
        with google.scope():
            reported = UserReport.objects.values_list("original_id", flat=True)
            assert sorted(reported) == sorted(told), died_at
        assert wanted_of(google) >= {"intake", "reported"}, died_at

    places = crash_at_each(begin, work, check)
    check_passed(places, "api_bridge.verdicts")


def test_a_group_is_what_the_directory_says_and_what_waits_is_looked_at_anew(inside: Inside):
    client = inside.connect("delta", ("ana", "bo"))
    people, others = group(client, "Board", "ana", "bo"), group(client, "Sales", "bo")
    put(client, people, others)
    client.sync()
    with client.scope():
        board = MailboxGroup.objects.get(name="Board")
        set_mode(tenant=client.tenant, mode="monitor", actor=BAILEY, group=board)
        seen = dict.fromkeys(("first_seen_at", "last_seen_at"), timezone.now())
        incident = Incident.objects.create(tenant=client.tenant, number=1, title="Waits", **seen)
        PullProposal.objects.create(tenant=client.tenant, incident=incident)
    turns = ((others,), (people, others), (group(client, "Board", "ana"), others))
    begun: list[tuple[dict[str, Any], ...]] = []

    def begin() -> None:
        """The group that says how far Bailey goes is gone, or back, or somebody has left it."""
        begun.append(turns[len(begun) % len(turns)])
        put(client, *begun[-1])
        with client.scope():
            PullProposal.objects.update(looked_at=timezone.now())
            Work.objects.filter(queue="respond").update(wanted_at=None)

    def work() -> None:
        """The part of the hourly list that asks for groups.  Whoever died left none empty."""
        assert members(client)["Sales"] == {"bo"}
        claimed = ClaimedWork(client.tenant.id, client.tenant.provider_id, 1)
        follow_groups(claimed, client.connection.id, connector_of(client.wired()))

    def check(died_at: str) -> None:
        assert members(client) == {
            each["name"]: {name.partition("@")[0] for name in each["members"]} for each in begun[-1]
        }, died_at
        assert "respond" in wanted_of(client), died_at
        with client.scope():
            assert PullProposal.objects.get().looked_at is None, died_at

    places: set[str] = set()
    for first in range(len(turns)):
        while len(begun) % len(turns) != first:  # so that each turn meets each crash
            begin()
            work()
        places |= crash_at_each(begin, work, check)
    check_passed(places, "api_bridge.groups")
