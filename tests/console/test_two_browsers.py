"""Two browsers with the same page open: what a page had shown goes with what it sends."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import reverse

from incidents.models import Comment, Incident, SlaPlan, Task, TaskTemplate
from incidents.services import resolve_incident, share_incident
from incidents.services.tasks import add_task
from tests.console.test_work_pages import browser
from tests.incidents.work_on import open_incident, portal, staff

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def phish(cast) -> Incident:
    return open_incident(cast.acme)


def fields_of(page: str, action: str) -> dict[str, list[str]]:
    """What the form with this address would send, its buttons left out."""
    form = page.partition(f'action="{action}"')[2].partition("</form>")[0]
    sent: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]+>", form):
        name = re.search(r'name="(\w+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name:
            sent.setdefault(name[1], []).append(value[1] if value else "")
    return sent


def test_a_task_that_somebody_has_done_meanwhile_is_not_called_unneeded(cast, phish):
    with staff(cast):
        task = add_task(incident=phish, actor=cast.mo, title="Call the bank")
    ana, bo = browser(cast.ana), browser(cast.bo)
    page, where = reverse("incident", args=[phish.id]), reverse("task_settle", args=[task.id])
    forms = [fields_of(each.get(page).content.decode(), where) for each in (ana, bo)]
    assert ana.post(where, forms[0] | {"state": "done"}).status_code == 302
    answer = bo.post(where, forms[1] | {"state": "skipped"})
    assert answer.status_code == 409
    assert "Ana changed this task at" in answer.content.decode()
    with staff(cast):
        assert (Task.objects.get().state, Task.objects.get().done_by) == ("done", "Ana")
    assert bo.post(where, {"seen": "nonsense", "state": "open"}).status_code == 400


def test_the_api_takes_what_was_seen_of_a_task(cast, phish):
    with staff(cast):
        task = add_task(incident=phish, actor=cast.mo, title="Call the bank")
    ana, where = browser(cast.ana), f"/api/v1/tasks/{task.id}/settle"

    def settle(**asked: Any) -> int:
        return ana.post(where, asked, content_type="application/json").status_code

    assert settle(state="done", seen="open") == 200
    assert settle(state="skipped", seen="open") == 409
    assert settle(state="skipped") == 200, "who names nothing has what is there"


def test_a_comment_by_a_program_that_says_no_more_is_internal(cast, phish):
    where = f"/api/v1/incidents/{phish.id}/comments"
    said = browser(cast.ana).post(where, {"text": "Odd"}, content_type="application/json")
    assert said.json()["audience"] == "internal"
    with staff(cast):
        assert Comment.objects.get().is_internal
        share_incident(incident=phish, actor=cast.ana)
    with portal(cast.acme):
        assert not Comment.objects.exists()


def test_a_second_lead_does_not_agree_over_the_first_ones_head(cast):
    mo, other = browser(cast.mo), browser(cast.mo)
    for where, owner in (
        (reverse("client_sla", args=["acme"]), cast.acme),
        (reverse("sla_default"), None),
    ):
        first, second = (
            fields_of(each.get(where).content.decode(), where)
            | {f"{name}_hours": ["always"] for name in ("critical", "high", "medium", "low")}
            for each in (mo, other)
        )
        assert first["seen"] == [""]
        assert mo.post(where, first | {"name": "Mine"}).status_code == 302
        answer = other.post(where, second | {"name": "Yours"})
        assert answer.status_code == 409
        assert "Mo agreed “Mine” at" in answer.content.decode()
        with staff(cast):
            assert [plan.name for plan in SlaPlan.objects.filter(tenant=owner)] == ["Mine"]
        again = fields_of(other.get(where).content.decode(), where)
        assert other.post(where, second | {"seen": again["seen"]}).status_code == 302


def test_the_api_takes_the_agreement_that_was_seen(cast):
    mo = browser(cast.mo)
    targets = {
        severity: {"triage": 60, "hours": "always"}
        for severity in ("critical", "high", "medium", "low")
    }

    def agree(**more: Any) -> Any:
        asked = {"tenant": "acme", "name": "A", "time_zone": "UTC", "weekly": [[]] * 7}
        asked |= {"targets": targets} | more
        return mo.post("/api/v1/sla/plans", asked, content_type="application/json")

    first = agree(seen=None)
    assert first.status_code == 201
    assert agree(seen=None).status_code == 409
    assert agree(seen=first.json()["id"]).status_code == 201
    assert agree().status_code == 201, "who names nothing has what is there"


def test_a_version_of_tasks_that_was_not_seen_is_not_gone_over(cast):
    mo, other, where = browser(cast.mo), browser(cast.mo), reverse("task_templates")
    forms = [fields_of(each.get(where).content.decode(), where) for each in (mo, other)]
    assert mo.post(where, forms[0] | {"kind": "phish", "steps": "Look"}).status_code == 302
    answer = other.post(where, forms[1] | {"kind": "phish", "steps": "Call"})
    assert answer.status_code == 409
    assert "Mo saved version 1 of these tasks at" in answer.content.decode()
    # Of another kind nothing was saved meanwhile.
    assert other.post(where, forms[1] | {"kind": "", "steps": "Call"}).status_code == 302
    anew = fields_of(other.get(where).content.decode(), where)
    assert other.post(where, anew | {"kind": "phish", "steps": "Call"}).status_code == 302
    with staff(cast):
        rows = TaskTemplate.objects.order_by("kind", "version").values_list("kind", "version")
        assert list(rows) == [("", 1), ("phish", 1), ("phish", 2)]

    def save(seen: int) -> int:
        asked = {"kind": "phish", "steps": ["Write"], "seen": seen}
        return mo.post("/api/v1/task-templates", asked, content_type="application/json").status_code

    assert (save(1), save(2)) == (409, 201)


@pytest.mark.parametrize("act", ["merge", "split", "move"])
def test_mail_of_an_incident_that_was_closed_meanwhile_goes_nowhere(cast, phish, act):
    other = open_incident(cast.acme, 2)
    bo, page = browser(cast.bo), reverse("incident_together", args=[other.id])
    # Moving is a button of the form that splits.
    name = "merge" if act == "merge" else "split"
    where = reverse(f"incident_{name}", args=[other.id])
    form = fields_of(bo.get(page).content.decode(), where)
    with staff(cast):
        resolve_incident(incident=other, actor=cast.ana, classification="benign", cause="A drill")
    said = form | {"number": str(phish.number), "reason": "the same hand"}
    answer = bo.post(reverse(f"incident_{act}", args=[other.id]), said)
    assert answer.status_code == 409
    assert "Ana resolved it at" in answer.content.decode()
    with staff(cast):
        assert Incident.objects.filter(merged_into=None).count() == 2


@pytest.mark.parametrize("act", ["merge", "move"])
def test_open_mail_does_not_go_into_what_is_closed(cast, phish, act):
    other = open_incident(cast.acme, 2)
    with staff(cast):
        resolve_incident(incident=phish, actor=cast.ana, classification="benign", cause="A drill")
        mails = [str(each) for each in other.memberships.values_list("message_id", flat=True)]
    said = {"number": str(phish.number), "reason": "the same hand", "messages": mails}
    answer = browser(cast.bo).post(reverse(f"incident_{act}", args=[other.id]), said)
    assert answer.status_code in (400, 409)
    with staff(cast):
        assert Incident.objects.get(id=other.id).is_open


def test_who_looks_is_said_on_the_incident_and_in_the_queue_and_not_of_oneself(cast, phish):
    ana, bo, where = browser(cast.ana), browser(cast.bo), reverse("incident", args=[phish.id])
    assert "is looking" not in ana.get(where).content.decode()
    assert "Ana is looking" in bo.get(where).content.decode()
    again = ana.get(where).content.decode()
    assert "Bo is looking" in again
    assert "Ana is looking" not in again
    queue = ana.get(reverse("queue")).content.decode()
    assert "Bo is looking" in queue
    assert "Ana is looking" not in queue
