"""The page that says why mails stand together, and its buttons."""

import pytest
from django.urls import reverse

from console.queries.work import work_of
from incidents.models import Incident, Message, Regrouping
from incidents.regroup import merge_incidents
from incidents.services.comments import add_comment, log_call
from incidents.services.tasks import add_task
from tenants.scope import Role, maintenance_scope, tenant_scope
from tenants.services import create_api_token
from tests.console.test_pages import open_phish

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def as_ana(client, cast):
    client.force_login(cast.ana)
    return client


@pytest.fixture
def two(cast):
    """Two incidents of Acme."""
    one = open_phish(cast.acme, 1, sender=_sender("eve@evil.example"))
    return one, open_phish(cast.acme, 2, sender=_sender("mallory@bad.example"))


def _sender(address):
    return {"address": address, "name": "", "raw": ""}


def numbers(cast):
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        rows = Incident.objects.filter(merged_into=None).order_by("number")
        return {row.number: row.counts["messages"] for row in rows}


def address(incident, act):
    return reverse(f"incident_{act}", args=[incident.id])


def test_merge_split_and_undo_by_the_page(as_ana, cast, two):
    one, other = two
    asked = {"number": one.number, "reason": "the same hand"}
    assert as_ana.post(address(other, "merge"), asked).status_code == 302
    assert numbers(cast) == {1: 2}

    page = as_ana.get(address(one, "together")).content.decode()
    assert "Ana put them together: the same hand." in page
    assert "#2 leads here" in page
    led = as_ana.get(reverse("incident", args=[other.id]))
    assert led["Location"] == reverse("incident", args=[one.id])

    with tenant_scope(Role.WORKER, [cast.acme.id]):
        message = Message.objects.latest("id")
        done = Regrouping.objects.get()
    chosen = {"messages": [str(message.id)], "reason": "not the same hand"}
    assert as_ana.post(address(one, "split"), chosen).status_code == 302
    assert numbers(cast) == {1: 1, 3: 1}

    early = as_ana.post(reverse("regrouping_undo", args=[done.id]))
    assert early.status_code == 409
    assert "first undo what Ana did" in early.content.decode()
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        split = Regrouping.objects.get(kind="split")
    as_ana.post(reverse("regrouping_undo", args=[split.id]))
    as_ana.post(reverse("regrouping_undo", args=[done.id]))
    assert numbers(cast) == {1: 1, 2: 1}


def test_a_number_of_another_client_is_no_number(as_ana, cast, two):
    theirs = open_phish(cast.globex, 3)
    with tenant_scope(Role.WORKER, [cast.globex.id]):
        Incident.objects.filter(id=theirs.id).update(number=77)
    answer = as_ana.post(address(two[0], "merge"), {"number": 77, "reason": "the same hand"})
    assert answer.status_code == 400
    assert "Acme has no incident #77" in answer.content.decode()


@pytest.mark.parametrize(
    "asked", [{"number": "2"}, {"number": "x", "reason": "the same"}, {"reason": "the same"}]
)
def test_what_is_missing_is_said_and_nothing_happens(as_ana, cast, two, asked):
    assert as_ana.post(address(two[0], "merge"), asked).status_code == 400
    assert numbers(cast) == {1: 1, 2: 1}


def test_a_mail_of_another_incident_cannot_be_split_off(as_ana, cast, two):
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        foreign = Message.objects.get(memberships__incident=two[1])
    chosen = {"messages": [str(foreign.id)], "reason": "not the same"}
    assert as_ana.post(address(two[0], "split"), chosen).status_code == 400
    assert as_ana.post(address(two[0], "split"), chosen | {"messages": ["x"]}).status_code == 400


def test_hostile_words_stay_words(as_ana, cast):
    open_phish(cast.acme, 1, sender=_sender("eve@evil.example"))
    asked = {"number": 1, "reason": "<img src=x onerror=alert(1)>"}
    second = open_phish(cast.acme, 2, sender=_sender("mallory@bad.example"))
    as_ana.post(address(second, "merge"), asked)
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        first = Incident.objects.get(number=1)
    page = as_ana.get(address(first, "together")).content.decode()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_nothing_is_done_to_a_merged_incident(as_ana, cast, two):
    one, other = two
    as_ana.post(address(other, "merge"), {"number": one.number, "reason": "the same hand"})
    assert as_ana.post(address(other, "take")).status_code == 409


def test_every_page_of_a_merged_incident_leads_to_the_one_that_stays(as_ana, cast, two):
    one, other = two
    as_ana.post(address(other, "merge"), {"number": one.number, "reason": "the same hand"})
    for page in ("campaign", "incident_together"):
        led = as_ana.get(reverse(page, args=[other.id]))
        assert led["Location"] == reverse(page, args=[one.id])


def test_tasks_of_both_stand_on_one_page_and_neither_is_like_itself(as_ana, cast, two):
    one, other = two
    for each in two:
        as_ana.post(address(each, "task"), {"title": f"Call about #{each.number}"})
    as_ana.post(address(other, "merge"), {"number": one.number, "reason": "the same hand"})
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        Incident.objects.update(sender="eve@evil.example")
        work = work_of(Incident.objects.get(number=1))
    assert [task.title for task in work.tasks] == ["Call about #1", "Call about #2"]
    assert work.similar == []


def test_the_api_lists_what_was_said_and_done_on_both(client, as_ana, cast, two):
    one, other = two
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        log_call(incident=other, actor=cast.ana, whom="Irma", said="paid nothing")
        add_comment(incident=other, actor=cast.ana, text="Seen before.", audience="internal")
        add_task(incident=other, actor=cast.ana, title="Ask the bank")
        merge_incidents(kept=one, gone=other, actor=cast.ana, reason="the same hand")
    with maintenance_scope():
        token = create_api_token(person=cast.ana, name="t", actor=cast.mo)
    for what in ("calls", "comments", "tasks"):
        answer = client.get(
            f"/api/v1/incidents/{one.id}/{what}/", headers={"Authorization": f"Bearer {token}"}
        )
        assert len(answer.json()["results"]) == 1, what
