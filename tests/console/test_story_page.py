"""Each line of the story opens the record that it tells of, and the story is saved as a file."""

from __future__ import annotations

import csv
import io
import re
from functools import partial
from urllib.parse import urldefrag, urljoin

import pytest
from django.urls import reverse

from incidents.content import open_original
from incidents.models import Incident, Message
from incidents.regroup import merge_incidents
from incidents.remediation import pull_incident
from incidents.services import assign_incident
from incidents.services.attachments import NewFile
from incidents.services.comments import add_comment, log_call
from incidents.story import tell_story
from seg_bridge.services import add_rule
from tenants.scope import Role, tenant_scope
from tests.console.test_pages import open_phish
from tests.incidents.work_on import open_incident

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def as_ana(client, cast):
    client.force_login(cast.ana)
    return client


def scope(cast):
    return tenant_scope(Role.ANALYST, [cast.acme.id, cast.globex.id], provider_id=cast.provider.id)


@pytest.fixture
def worked_on(cast, settings, tmp_path):
    """An incident with a line of every kind."""
    settings.EVIDENCE_DIR = tmp_path
    found = open_phish(cast.acme)
    with scope(cast):
        incident = Incident.objects.select_related("tenant").get(id=found.id)
        message = Message.objects.select_related("tenant").get(memberships__incident=incident)
        assign_incident(incident=incident, actor=cast.ana, owner=cast.ana)
        pull_incident(incident=incident, actor=cast.ana, reason="phish")
        log_call(incident=incident, actor=cast.ana, whom="Rosa", said="=1+1 was not paid")
        for audience in ("internal", "client"):
            file = NewFile(f"{audience}.txt", b"words")
            add_comment(
                incident=incident, actor=cast.ana, text="See", audience=audience, files=[file]
            )
        open_original(message=message, person=cast.ana, what="text", reason="to read it")
        add_rule(
            tenant_id=cast.acme.id,
            kind="block",
            match="sender",
            value="eve@evil.example",
            reason="it goes on",
            actor=cast.ana,
            incident_id=incident.id,
        )
        return incident


def lines_of(cast, incident):
    with scope(cast):
        return tell_story(incident).lines


def test_every_line_opens_its_record_which_stands_where_the_link_leads(as_ana, cast, worked_on):
    here = reverse("incident", args=[worked_on.id])
    page = as_ana.get(here).content.decode()
    told = dict(re.findall(r'<li id="event-([^"]+)">.*?class="who">(.*?)</span>', page))
    kinds = set()
    for line in lines_of(cast, worked_on):
        kinds.add(line.source.partition(":")[0])
        href = re.search(r'href="([^"]+)"', told[line.source.replace(":", "-")])
        assert href, line
        address, anchor = urldefrag(urljoin(here, href[1].replace("&amp;", "&")))
        target = as_ana.get(address)
        assert target.status_code == 200
        assert not anchor or f'id="{anchor}"' in target.content.decode(), line
    assert kinds == {
        *("message", "observation", "job", "rule", "audit", "call", "access"),
        *("attachment", "internal-attachment"),
    }


def test_what_was_said_is_counted_with_the_calls(as_ana, worked_on):
    page = as_ana.get(reverse("incident", args=[worked_on.id])).content.decode()
    assert 'Comments</h2><span class="count">3</span>' in page, "two comments and a call"


def test_a_rule_is_found_among_many_even_after_its_end(as_ana, cast, worked_on):
    with scope(cast):
        rule = worked_on.gateway_rules.get()
        for n in range(55):
            add_rule(
                tenant_id=cast.acme.id,
                kind="block",
                match="sender",
                value=f"{n}@other.example",
                reason="many",
                actor=cast.ana,
            )
        worked_on.gateway_rules.update(removed_at=rule.created_at)
    page = as_ana.get(reverse("incident", args=[worked_on.id])).content.decode()
    (address,) = set(re.findall(rf'href="([^"]+)#row-{rule.id}"', page))
    assert f'id="row-{rule.id}"' in as_ana.get(address.replace("&amp;", "&")).content.decode()


def test_an_entry_of_the_log_is_shown_as_it_is_on_record(as_ana, cast, worked_on):
    (line,) = [one for one in lines_of(cast, worked_on) if one.lead == "Ana took it."]
    address = reverse("log_entry", args=[line.source.partition(":")[2]])
    page = as_ana.get(address).content.decode()
    for words in ("incidents.incident.assigned", "Ana", line.source, f"#{worked_on.number} "):
        assert words in page


def test_the_story_is_saved_with_times_lanes_sentences_and_sources(as_ana, cast, worked_on):
    page = as_ana.get(reverse("incident", args=[worked_on.id])).content.decode()
    address = reverse("incident_story_csv", args=[worked_on.id])
    assert address in page
    answer = as_ana.get(address)
    assert (
        answer["Content-Disposition"] == f'attachment; filename="acme-{worked_on.number}-story.csv"'
    )
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    lines = lines_of(cast, worked_on)
    told = [row for row in rows if row["lane"] != "not_checked"]
    assert [(row["time_utc"], row["lane"], row["source"]) for row in told] == [
        (line.at.isoformat(), line.lane, line.source) for line in lines
    ]
    assert all(row["time_utc"].endswith("+00:00") for row in told)
    assert "Ana phoned Rosa: =1+1 was not paid (stated by phone, not verified)" in [
        row["sentence"] for row in told
    ]
    with scope(cast):
        gaps = tell_story(worked_on).not_checked
    assert [row["sentence"] for row in rows if row["lane"] == "not_checked"] == gaps
    # A cell that a sender or colleague wrote is no formula, whatever it begins with.
    assert not re.search(rb'(^|,)"[=+@-]', answer.content, re.M)


def test_a_long_story_is_saved_whole(as_ana, cast, worked_on, monkeypatch):
    short = partial(tell_story, most=4)
    monkeypatch.setattr("console.queries.story.tell_story", short)
    page = as_ana.get(reverse("incident", args=[worked_on.id])).content.decode()
    assert "more lines stand here" in page
    saved = as_ana.get(reverse("incident_story_csv", args=[worked_on.id])).content.decode()
    assert "more lines stand here" not in saved
    assert saved.count("\r\n") > len(lines_of(cast, worked_on))


def test_the_story_of_a_merged_incident_is_that_of_the_one_that_has_its_mail(
    as_ana, cast, worked_on
):
    other = open_incident(cast.acme, 2)
    with scope(cast):
        merge_incidents(kept=worked_on, gone=other, actor=cast.ana, reason="The same hand")
    answer = as_ana.get(reverse("incident_story_csv", args=[other.id]))
    assert answer["Location"] == reverse("incident_story_csv", args=[worked_on.id])
