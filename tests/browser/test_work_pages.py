"""The pages of the daily work for everybody: axe, both themes, wide and narrow."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from incidents.services import take_incident
from incidents.services.comments import add_comment
from incidents.services.quiet import add_suppression, quiet_incident
from incidents.services.tasks import add_task, save_template
from incidents.services.waiting import wait_for
from incidents.sla.plan import BUILT_IN_TARGETS, WORKING_WEEK, agree
from tests.browser.test_accessibility import findings
from tests.incidents.work_on import open_incident, staff

pytestmark = pytest.mark.browser
PAGES = ("queue_many", "mentions", "silence", "templates", "kpis", "sla", "queue", "view_save")
QUESTIONS = ("", "_assign", "_comment", "_call", "_wait", "_quiet", "_resolve")


def worked_on(cast):
    """An incident with something in every box."""
    incident, soon = open_incident(cast.acme), timezone.now() + timedelta(days=2)
    with staff(cast):
        save_template(provider_id=cast.provider.id, kind="phish", steps=["Look"], actor=cast.mo)
        take_incident(incident=incident, actor=cast.ana)
        add_task(incident=incident, actor=cast.ana, title="Call the bank")
        add_comment(incident=incident, actor=cast.bo, text="@Ana look")
        add_comment(incident=incident, actor=cast.ana, text="Hello", audience="client")
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
    paths += [reverse("kpi_incidents", args=["detect"]), reverse("silence_add")]
    paths.append(reverse("queue") + "?tab=quiet")
    email = transactional_cast.ana.email
    wrong = in_browser(findings, live_server.url, reverse("login"), email, paths)
    assert not wrong, "\n".join(wrong)
