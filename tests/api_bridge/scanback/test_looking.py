"""Mail from before the client was connected is judged once, whatever happens on the way."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext

from api_bridge.models import ScanBack
from incidents.models import Incident
from incidents.words import Verdict
from tests.api_bridge.sync.test_removing import PHISH


def phish(looker, name: str) -> None:
    raw = PHISH.format(to=looker.client.company.mail(name)).encode()
    looker.client.company.receive(name, raw=raw)


def test_what_came_before_is_judged_once_and_the_incident_says_so(looker):
    company = looker.client.company
    ids = [company.receive(name) for name in ("ana", "ana", "bo")]
    phish(looker, "cfo")
    looker.connected_later()
    assert looker.judged() == []
    looker.start(days=30)
    looker.look()
    run = looker.run()
    assert (run.state, run.ended_by, run.mails) == (ScanBack.State.DONE, "all", 4)
    assert sorted(looker.judged()) == sorted([*ids, "<phish-1@secure-login.example.net>"])
    (found,) = looker.findings()
    assert found.verdict in (Verdict.PHISH, Verdict.BEC)
    looker.client.make_sense()
    with looker.client.scope():
        incident = Incident.objects.exclude(kind="health").get()
    assert "found_by_looking_back" in incident.cross_layer
    assert {name: row.mails for name, row in looker.rows().items()} == {"ana": 2, "bo": 1, "cfo": 1}


def test_planning_asks_for_rows_of_its_client_alone(looker):
    """Ids alone make the database read the rows of all clients (the keys begin with the client)."""
    looker.connected_later()
    with CaptureQueriesContext(connection) as asked:
        looker.start(days=30)
    texts = [each["sql"] for each in asked if each["sql"].startswith("SELECT")]
    for table in ("api_bridge_seenitem", "api_bridge_scanbackmailbox"):
        about = [text for text in texts if f'FROM "{table}"' in text]
        assert about
        assert all(f'"{table}"."tenant_id"' in text.partition(" WHERE ")[2] for text in about)
