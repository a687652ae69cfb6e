"""The pages of the daily work for everybody: axe, both themes, wide and narrow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from incidents.services import take_incident
from incidents.services.attachments import NewFile
from incidents.services.comments import add_comment
from incidents.services.quiet import add_suppression, quiet_incident
from incidents.services.skills import set_needs, set_skills
from incidents.services.tasks import add_task, save_template
from incidents.services.waiting import wait_for
from incidents.sla.plan import BUILT_IN_TARGETS, WORKING_WEEK, agree
from tenants.groups import save_group
from tests.browser.test_accessibility import findings
from tests.factories import PASSWORD
from tests.incidents.work_on import open_incident, staff

pytestmark = pytest.mark.browser
PAGES = (
    *("incidents_bulk", "mentions", "suppressions", "task_templates", "kpis", "sla", "queue"),
    *("view_save", "groups", "skills"),
)
QUESTIONS = ("", "_assign", "_comment", "_call", "_wait", "_quiet", "_resolve")


def worked_on(cast):
    """An incident with something in every box."""
    incident, soon = open_incident(cast.acme), timezone.now() + timedelta(days=2)
    with staff(cast):
        save_template(provider_id=cast.provider.id, kind="phish", steps=["Look"], actor=cast.mo)
        take_incident(incident=incident, actor=cast.ana)
        add_task(incident=incident, actor=cast.ana, title="Call the bank")
        files = [NewFile("headers.txt", b"Received: by"), NewFile("bill.pdf", b"MZ" + bytes(99))]
        add_comment(incident=incident, actor=cast.bo, text="@Ana look", files=files)
        add_comment(
            incident=incident, actor=cast.ana, text="Hello", audience="client", files=files[:1]
        )
        save_group(name="Gold", clients=[cast.acme, cast.globex], actor=cast.mo)
        set_skills(person=cast.ana, skills=["fraud", "german"], actor=cast.mo)
        set_needs(kind="bec", skills=["fraud", "tax"], actor=cast.mo)
        wait_for(incident=incident, actor=cast.ana, cause="client_answer", asked="Paid?")
        quiet_incident(
            incident=incident, actor=cast.ana, kind="snoozed", until=soon, reason="Tomorrow"
        )
        add_suppression(
            tenant=cast.acme,
            actor=cast.ana,
            match="kind",
            value="spam",
            reason="Known",
            ends_at=soon,
        )
        agree(
            provider_id=cast.provider.id,
            tenant=cast.acme,
            name="Office",
            time_zone="Europe/Berlin",
            weekly=WORKING_WEEK,
            holidays=[],
            targets=BUILT_IN_TARGETS,
            actor=cast.mo,
        )
    return incident


def test_the_daily_work_can_be_done_by_everybody(in_browser, live_server, transactional_cast):
    incident = worked_on(transactional_cast)
    paths = [reverse(name) for name in PAGES]
    paths += [reverse(f"incident{name}", args=[incident.id]) for name in QUESTIONS]
    paths += [reverse("client_sla", args=["acme"]), reverse("sla_targets", args=["open"])]
    paths += [reverse("kpi_incidents", args=["detect"]), reverse("suppression_add")]
    paths.append(reverse("queue") + "?tab=quiet")
    email = transactional_cast.ana.email
    wrong = in_browser(findings, live_server.url, reverse("login"), email, paths)
    paths = [reverse("groups"), reverse("group_new"), reverse("kind_skills", args=["bec"])]
    email = transactional_cast.mo.email
    wrong += in_browser(findings, live_server.url, reverse("login"), email, paths)
    assert not wrong, "\n".join(wrong)


def choose(browser, site: str, email: str) -> dict[str, object]:
    """What the keyboard does in the queue, and what a file does on its way to the client."""
    seen: dict[str, object] = {}
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(site + reverse("login"))
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.goto(site + reverse("queue") + "?tab=team")
    button = page.locator("[data-chosen]")
    seen["at first"] = (button.is_disabled(), button.inner_text())
    page.keyboard.press("j")
    page.keyboard.press("x")
    seen["one"] = button.inner_text()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    seen["a range"] = button.inner_text()
    page.evaluate("htmx.trigger('[data-live=incident]', 'live')")
    page.wait_for_load_state("networkidle")
    seen["after a refresh"] = page.locator("[data-chosen]").inner_text()
    page.keyboard.press("x")
    seen["one less"] = page.locator("[data-chosen]").inner_text()
    page.keyboard.press("*")
    seen["all"] = page.locator("[data-chosen]").inner_text()
    page.keyboard.press("*")
    page.locator("[data-choose]").first.check()
    page.locator("[data-chosen]").click()
    page.wait_for_selector("h1:has-text('Act in bulk')")
    seen["in the form"] = page.locator("[name=incident]").count()
    return seen


def test_rows_are_chosen_by_the_keyboard_and_stay_chosen(
    in_browser, live_server, transactional_cast
):
    for number in (1, 2, 3, 4):
        open_incident(transactional_cast.acme, number)
    seen = in_browser(choose, live_server.url, transactional_cast.ana.email)
    assert seen == {
        "at first": (True, "Act on chosen"),
        "one": "Act on 1 chosen",
        "a range": "Act on 3 chosen",
        "after a refresh": "Act on 3 chosen",
        "one less": "Act on 2 chosen",
        "all": "Act on 4 chosen",
        "in the form": 1,
    }


def write(browser, site: str, email: str, address: str, meanwhile) -> dict[str, object]:
    """Words are being written while the page fetches itself again, by the clock and by a change."""
    seen: dict[str, object] = {}
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.clock.install()
    page.goto(site + reverse("login"))
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.goto(site + address)
    page.locator("#new-task").press_sequentially("Call the ba")
    meanwhile()
    with page.expect_response(lambda answer: answer.url.endswith(address)):
        page.clock.run_for(46_000)
    page.wait_for_load_state("networkidle")
    seen["by the clock"] = page.locator("#new-task").input_value()
    with page.expect_response(lambda answer: answer.url.endswith(address)):
        page.evaluate("htmx.trigger('[data-live^=incident]', 'live')")
    page.wait_for_load_state("networkidle")
    page.locator("#new-task").press_sequentially("nk")
    seen["by a change"] = page.locator("#new-task").input_value()
    seen["not yet"] = page.get_by_text("Ask the client").count()
    page.locator("h1").click()
    page.clock.run_for(3_000)
    page.get_by_text("Ask the client").wait_for()
    return seen


def test_nothing_is_swapped_under_the_hands_of_who_writes(
    in_browser, live_server, transactional_cast
):
    cast = transactional_cast
    incident = open_incident(cast.acme)

    def meanwhile() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(add).result()

    def add() -> None:
        with staff(cast):
            add_task(incident=incident, actor=cast.bo, title="Ask the client")
        connection.close()

    where = reverse("incident", args=[incident.id])
    seen = in_browser(write, live_server.url, cast.ana.email, where, meanwhile)
    assert seen == {"by the clock": "Call the ba", "by a change": "Call the bank", "not yet": 0}
