"""One campaign over several clients: its numbers, and one order that reaches all who may be."""

import re
from datetime import UTC, datetime
from html import unescape
from urllib.parse import urlencode

import pytest
from django.urls import reverse

from api_bridge.models import Connection
from console.queries import campaign as campaign_queries
from incidents.campaigns.belonging import new_campaign
from incidents.everywhere import foresee_order, pull_everywhere
from incidents.models import Delivery, Incident, IncidentMessage, Intent, Job, PullProposal
from incidents.modes import Mode, set_mode
from incidents.remediation import start_job
from incidents.words import Place
from seg_bridge import rehearsal
from seg_bridge.models import GatewayRule, Rehearsal
from tenants.ids import new_id
from tenants.models import AuditEntry
from tenants.scope import Role, tenant_scope
from tests.console.test_pages import open_phish

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def both(cast):
    """The same phish at both clients."""
    return open_phish(cast.acme), open_phish(cast.globex)


@pytest.fixture
def as_ana(client, cast):
    client.force_login(cast.ana)
    return client


def everywhere(cast):
    return tenant_scope(Role.ANALYST, [cast.acme.id, cast.globex.id], provider_id=cast.provider.id)


def listed(answer):
    return answer.content.decode().count("<tr data-row")


def test_every_number_is_the_length_of_the_list_that_it_opens(as_ana, cast, both):
    with everywhere(cast):
        Delivery.objects.filter(tenant=cast.acme).update(is_read=True, clicked_at=SINCE)
    where = reverse("campaign", args=[both[0].id])
    page = as_ana.get(where).context["page"]

    assert page.copies == sum(number.n for number in page.outcomes) == 2
    assert page.copies == sum(share.copies for share in page.clients)
    assert sum(share.percent for share in page.clients) == 100
    for number in (*page.outcomes, *page.facts):
        assert listed(as_ana.get(where, {"show": number.key})) == number.n, number
    for share in page.clients:
        assert listed(as_ana.get(where, {"client": share.client.slug})) == share.copies
        for number in share.numbers:
            wish = {"client": share.client.slug, "show": number.key}
            assert listed(as_ana.get(where, wish)) == number.n
    facts = {number.key: number.n for number in page.facts}
    assert (facts["read"], facts["clicked"], facts["replied"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("copies", "percents"),
    [
        ([1, 1, 1], [34, 33, 33]),
        ([1] * 8, [13, 13, 13, 13, 12, 12, 12, 12]),
        ([995, 3, 2], [100, 0, 0]),
        ([2, 2, 3], [28, 29, 43]),
        ([5], [100]),
        ([0, 0], [0, 0]),
        ([], []),
    ],
)
def test_the_clients_shares_add_up_to_a_hundred(copies, percents):
    """Rounded each by itself three thirds were 99 % of the campaign."""
    found = campaign_queries.percents_of(copies)
    assert sorted(found) == sorted(percents)
    assert sum(found) in (0, 100)
    # More copies are never fewer percent.
    assert [n for _, n in sorted(zip(copies, found, strict=True))] == sorted(found)


def test_one_order_pulls_at_every_client_with_a_result_for_each(as_ana, cast, both):
    """Three clicks from an incident: all together, pull everywhere, pull."""
    page = as_ana.get(reverse("incident", args=[both[0].id])).content.decode()
    first = reverse("campaign", args=[both[0].id])
    assert f'href="{first}"' in page
    second = reverse("campaign_pull", args=[both[0].id])
    assert f'href="{second}"' in as_ana.get(first).content.decode()
    question = as_ana.get(second, headers={"HX-Request": "true"}).content.decode()
    chosen = re.findall(r'name="where" value="([0-9a-f-]+)"[^>]* checked', question)
    assert set(chosen) == {str(each.id) for each in both}

    answer = as_ana.post(second, {"where": chosen, "reason": "one campaign"})

    group = as_ana.get(answer["Location"]).content.decode()
    assert "at 2 clients" in group
    with everywhere(cast):
        jobs = Job.objects.filter(kind=Job.Kind.PULL)
        assert {job.tenant_id for job in jobs} == {cast.acme.id, cast.globex.id}
        assert len({job.group_id for job in jobs}) == 1
        assert Intent.objects.filter(job__in=jobs).count() == 2
        audit = AuditEntry.objects.filter(action="incidents.job.pull_asked")
        assert {entry.tenant_id for entry in audit} == {cast.acme.id, cast.globex.id}


def _foreseen(as_ana, incident, do="pull"):
    """Client → its part, and what the question says will happen there."""
    where = reverse(f"campaign_{do}", args=[incident.id])
    answer = as_ana.get(where, headers={"HX-Request": "true"})
    page = unescape(answer.content.decode())
    found = {}
    for _, part in answer.context["rows"]:
        assert all(line.text in page for line in part.lines)
        found[part.incident.tenant.slug] = (part, " ".join(line.text for line in part.lines))
    return found


SINCE = datetime(2026, 11, 22, 6, 12, tzinfo=UTC)
# What the mailbox layer of Acme is → what its part of the question says.
SIGHTS = [
    (None, "1 copy cannot be reached: no mailbox layer watches this client."),
    ({}, "1 copy will be pulled."),
    ({"blind_since": SINCE}, "1 copy cannot be reached now: The mail host does not answer us."),
    ({"by_registrations": True}, "Nothing is pulled. The client has not consented to “Remediate”"),
]


@pytest.mark.parametrize(("sight", "words"), SIGHTS)
def test_the_question_says_what_each_client_s_pull_would_do(as_ana, cast, both, sight, words):
    with everywhere(cast):
        Connection.objects.create(tenant=cast.globex, cloud_tenant_id="g")
        if sight is not None:
            Connection.objects.create(tenant=cast.acme, cloud_tenant_id="a", **sight)
    told = _foreseen(as_ana, both[0])
    assert words in told["acme"][1]
    assert told["globex"][1] == "1 copy will be pulled."
    with everywhere(cast):
        ordered = foresee_order(
            lambda: pull_everywhere(incidents=list(both), actor=cast.ana, reason="")
        )
        assert not Job.objects.exists()
    for part in ordered:
        read = told[part.incident.tenant.slug][0]
        assert (0 if read.refused else read.pulled, read.refused) == (part.copies, part.refused)


def test_copies_that_a_pull_leaves_are_counted_by_why(as_ana, cast, both):
    """One is in an inbox; others are removed, held, being pulled; each is said once."""
    with everywhere(cast):
        Connection.objects.create(tenant=cast.acme, cloud_tenant_id="a")
        [copy] = Delivery.objects.filter(tenant=cast.acme)
        states: list[dict[str, str]] = [
            {"place": Place.QUARANTINE},
            {"place": Place.GONE},
            {"place": Place.HOLD, "outcome": "held"},
            {"place": Place.INBOX},
        ]
        for n, facts in enumerate(states):
            copy.pk, copy._state.adding = None, True
            copy.id, copy.recipient = new_id(), f"n{n}@acme.example"
            for name, value in facts.items():
                setattr(copy, name, value)
            copy.save()
        start_job(Job.Kind.PULL, "pull", [copy], both[0], actor=cast.ana, reason="")
    part, words = _foreseen(as_ana, both[0])["acme"]
    assert (part.pulled, part.busy, part.gone, part.stopped) == (1, 1, 2, 1)
    assert "2 copies already removed or gone." in words
    assert "1 copy left to the job that pulls already." in words
    assert "1 copy stopped by the gateway: nothing to pull." in words


def test_the_modes_of_the_mailboxes_are_said(as_ana, cast, both):
    """What waits for a yes gets it by this order; where Bailey only tells, later copies stay."""
    with everywhere(cast):
        Connection.objects.create(tenant=cast.acme, cloud_tenant_id="a")
        Connection.objects.create(tenant=cast.globex, cloud_tenant_id="g")
        PullProposal.objects.update_or_create(
            tenant=cast.acme, incident=both[0], defaults={"state": "open", "waiting": 1}
        )
        set_mode(tenant=cast.globex, group=None, mode=Mode.MONITOR, actor=cast.mo, reason="A test")
    told = _foreseen(as_ana, both[0])
    assert (
        "1 of them waits for a yes by the mode of their mailboxes: this is it." in told["acme"][1]
    )
    assert "Later copies in 1 mailbox stay" not in told["acme"][1]
    assert "Later copies in 1 mailbox stay: the mode there is only to tell." in told["globex"][1]


def test_where_a_client_s_rehearsal_objects_is_read_before_the_block(
    as_ana, cast, both, monkeypatch
):
    objection = "Acme: it would stop 40 of 50 copies (80.0%)."
    stops = rehearsal._stops
    monkeypatch.setattr(
        rehearsal,
        "_stops",
        lambda name, *more: [objection] if name == "Acme" else stops(name, *more),
    )
    told = _foreseen(as_ana, both[0], "block")
    assert objection in told["acme"][1]
    assert told["globex"][1] == "Will be blocked. No mail is stored there to rehearse it over."
    monkeypatch.setattr("console.queries.foreseen.is_any", lambda *_: True)
    told = _foreseen(as_ana, both[0], "block")
    assert told["globex"][1] == "Will be blocked; its rehearsal has no objection."
    monkeypatch.setattr("console.queries.foreseen.MOST_REHEARSED", 1)
    assert "Not rehearsed beforehand" in _foreseen(as_ana, both[0], "block")["globex"][1]
    with everywhere(cast):
        assert not GatewayRule.objects.exists()
        assert not Job.objects.exists()


def test_where_no_gateway_looks_nothing_is_promised_to_be_blocked(as_ana, cast, both):
    with everywhere(cast):
        Incident.objects.filter(id=both[1].id).update(gateway_verdict="")
    told = _foreseen(as_ana, both[0], "block")
    assert set(told) == {"acme"}


def test_a_client_can_be_left_out(as_ana, cast, both):
    where = reverse("campaign_pull", args=[both[0].id])
    as_ana.post(where, {"where": [str(both[1].id)], "reason": ""})

    with everywhere(cast):
        assert [job.tenant_id for job in Job.objects.all()] == [cast.globex.id]


def test_what_was_closed_as_no_threat_is_not_pulled(as_ana, cast, both):
    with everywhere(cast):
        Incident.objects.filter(id=both[1].id).update(
            state=Incident.State.RESOLVED, classification=Incident.Classification.BENIGN
        )
        harmless = Incident.objects.get(id=both[1].id)
    where = reverse("campaign_pull", args=[both[0].id])
    question = as_ana.get(where, headers={"HX-Request": "true"}).content.decode()
    assert f'value="{both[0].id}"' in question
    assert f'value="{both[1].id}"' not in question

    with everywhere(cast):
        pull_everywhere(incidents=[both[0], harmless], actor=cast.ana, reason="")
        states = {job.tenant_id: (job.state, job.error) for job in Job.objects.all()}
        assert [each.tenant_id for each in Intent.objects.all()] == [cast.acme.id]
    assert states[cast.globex.id][0] == Job.State.FAILED
    assert "no threat" in states[cast.globex.id][1]


def test_what_was_closed_as_a_threat_and_lies_there_still_is_said_to_be_in_reach(
    as_ana, cast, both
):
    with everywhere(cast):
        Incident.objects.filter(id__in=[each.id for each in both]).update(
            state=Incident.State.RESOLVED, classification=Incident.Classification.TRUE_POSITIVE
        )
    answer = as_ana.get(reverse("campaign", args=[both[0].id]))
    assert answer.context["page"].in_reach == 2
    assert "No copy that we can see is within" not in answer.content.decode()


def test_no_client_chosen_is_asked_again(as_ana, cast, both):
    answer = as_ana.post(reverse("campaign_pull", args=[both[0].id]), {"reason": ""})

    assert "Choose at least one client" in answer.content.decode()
    with everywhere(cast):
        assert not Job.objects.exists()


def test_what_fails_at_one_client_stands_beside_what_worked_at_the_other(as_ana, cast, both):
    with everywhere(cast):
        both[0].sender = "not an address"
        both[0].save(update_fields=["sender"])
    chosen = [str(each.id) for each in both]
    answer = as_ana.post(
        reverse("campaign_block", args=[both[0].id]),
        {"where": chosen, "reason": "one campaign", "days": "30"},
    )

    page = as_ana.get(answer["Location"]).content.decode()
    assert "is not an address" in page
    with everywhere(cast):
        states = dict(Job.objects.values_list("tenant_id", "state"))
        assert states == {cast.acme.id: "failed", cast.globex.id: "done"}
        assert [rule.tenant_id for rule in GatewayRule.objects.all()] == [cast.globex.id]


def test_an_order_never_reaches_a_client_that_is_not_hers(client, cast, both):
    client.force_login(cast.bo)
    page = client.get(reverse("campaign", args=[both[0].id])).content.decode()
    assert "Globex" not in page

    chosen = [str(each.id) for each in both]
    answer = client.post(reverse("campaign_pull", args=[both[0].id]), {"where": chosen})
    assert answer.status_code == 200
    with everywhere(cast):
        assert not Job.objects.exists()


def test_an_order_of_others_looks_like_none(client, as_ana, cast, both):
    answer = as_ana.post(
        reverse("campaign_pull", args=[both[1].id]), {"where": [str(both[1].id)], "reason": ""}
    )
    as_ana.force_login(cast.bo)

    assert as_ana.get(answer["Location"]).status_code == 404


def test_looking_again_asks_every_mailbox_and_moves_nothing(as_ana, cast, both):
    answer = as_ana.post(reverse("incident_look", args=[both[0].id]))

    assert "Look again" in as_ana.get(answer["Location"]).content.decode()
    with everywhere(cast):
        [intent] = Intent.objects.all()
        assert (intent.action, intent.delivery.place) == ("look", Place.INBOX)


def test_blocking_is_rehearsed_and_refused_where_that_objects(as_ana, cast, both, monkeypatch):
    objection = "Acme: it would stop 40 of 50 copies (80.0%)."
    monkeypatch.setattr(rehearsal, "_stops", lambda *_: [objection])
    where = reverse("incident_block", args=[both[0].id])
    question = as_ana.get(where, headers={"HX-Request": "true"}).content.decode()
    assert "it would stop" in question
    assert 'name="despite"' in question

    wish = {"days": "30", "reason": ""}
    assert as_ana.post(where, wish).status_code == 409
    assert as_ana.post(where, {**wish, "despite": "on"}).status_code == 400
    with everywhere(cast):
        assert not GatewayRule.objects.exists()
    assert as_ana.post(where, {**wish, "despite": "on", "reason": "clear"}).status_code == 302
    with everywhere(cast):
        rule = GatewayRule.objects.get()
        assert Rehearsal.objects.get(rule=rule).saved_by == "Ana"
        assert rule.reason == "clear"


def test_a_block_without_objections_shows_no_box_to_overrule_them(as_ana, both):
    where = reverse("incident_block", args=[both[0].id])
    question = as_ana.get(where, headers={"HX-Request": "true"}).content.decode()
    assert 'name="despite"' not in question
    assert as_ana.post(where, {"days": "30", "reason": ""}).status_code == 302


def test_a_campaign_of_any_size_counts_all_and_lists_all(as_ana, cast, both, monkeypatch):
    """More incidents than one order reaches: the numbers are true, the lists have pages."""
    monkeypatch.setattr(campaign_queries, "MOST_IN_ONE_ORDER", 40)
    monkeypatch.setattr(campaign_queries, "PAGE", 30)
    with everywhere(cast):
        first = Incident.objects.get(id=both[0].id)
        campaign = new_campaign(cast.acme.id, [first])
        for number in range(2, 72):
            add_incident(first, campaign, number)
    where = reverse("campaign", args=[both[0].id])
    page = as_ana.get(where).context["page"]

    assert page.n_incidents == sum(share.n_incidents for share in page.clients) == 72
    assert page.copies == sum(share.copies for share in page.clients) == 72
    assert page.in_reach == 72
    assert page.is_more_than_one_order
    acme = next(share for share in page.clients if share.client.slug == "acme")
    assert (acme.n_incidents, len(acme.latest), acme.more) == (71, 3, 68)
    assert all_rows(as_ana, where, list="incidents") == 72
    assert all_rows(as_ana, where, list="incidents", client="acme") == 71
    assert all_rows(as_ana, where) == 72
    question = as_ana.get(reverse("campaign_pull", args=[both[0].id])).content.decode()
    assert question.count('name="where"') == 40, "as many as one order may have"
    assert f'value="{both[1].id}"' in question or f'value="{both[0].id}"' in question


def add_incident(like, campaign, number):
    """One more incident of the campaign, with one copy in an inbox."""
    copy = Delivery.objects.filter(message__memberships__incident=like)[0]
    message = copy.message
    message.id = copy.id = None
    message.id, copy.id = new_id(), new_id()
    message.trace_ulid = copy.mailbox_item_id = f"more{number}"
    message.save(force_insert=True)
    copy.message, copy.recipient = message, f"user{number}@acme.example"
    copy.save(force_insert=True)
    made = Incident.objects.get(id=like.id)
    made.id, made.number, made.campaign = new_id(), number, campaign
    made.save(force_insert=True)
    IncidentMessage.objects.create(tenant=like.tenant, incident=made, message=message, reason="")


def all_rows(browser, where, **wish):
    """How many rows all pages of a list have."""
    found, address = 0, f"{where}?{urlencode(wish)}"
    while address:
        answer = browser.get(address)
        found += listed(answer)
        older = answer.context["older"]
        address = where + older if older else ""
    return found
