"""The pages between the layers in a real browser, and a repair by keyboard and mouse."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from api_bridge.models import Connection, MailboxSync, NightReading, TracedMail
from incidents.correlation import make_sense_of_backlog
from incidents.disagreements import rehearse_repair
from incidents.intake import record
from incidents.models import Delivery, Disagreement
from incidents.orders import give_order
from incidents.words import Place, Verdict
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope
from tests.browser.test_accessibility import findings
from tests.console.test_interference_page import disturb
from tests.factories import PASSWORD, Cast
from tests.incidents.test_disagreements import held, inside, passed
from tests.seg_bridge.conftest import make_gate

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


def contradiction(cast: Cast) -> Disagreement:
    make_gate(cast, cast.acme, cast.globex)
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record([passed(cast), inside(cast, verdict=Verdict.PHISH)])
        record([held(cast, number=2), held(cast, number=3)])
        make_sense_of_backlog(cast.acme)
        item: Disagreement = Disagreement.objects.get()
        return item


def on_exchanges_record(cast: Cast) -> None:
    """One mail that Exchange delivered and nobody saw; of a mailbox somebody was told nonsense."""
    at = timezone.now() - timedelta(hours=3)
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        mailbox = Mailbox.objects.get(address="info@acme.example")
        connection = Connection.objects.create(tenant=cast.acme, kind="graph", traced_until=at)
        MailboxSync.objects.create(
            tenant=cast.acme,
            mailbox=mailbox,
            connection=connection,
            due_at=timezone.now(),
            synced_at=timezone.now(),
            notices_refused=2,
            refused_why="It brings no proof.",
        )
        NightReading.objects.create(
            tenant=cast.acme,
            mailbox=mailbox,
            connection=connection,
            due_at=timezone.now(),
            read_at=at,
            imported=2,
            last_error="A folder could not be read: the provider answered 400.",
        )
        for number, status in enumerate(("delivered", "quarantined")):
            TracedMail.objects.create(
                tenant=cast.acme,
                mailbox=mailbox,
                connection=connection,
                trace_id=str(number),
                recipient=mailbox.address,
                sender="eve@evil.example",
                internet_message_id=f"<{number}.a.long.name.of.a.mail.that.nobody.saw@evil.example>",
                subject="Your invoice",
                status=status,
                received_at=at,
            )


def test_the_pages_between_the_layers_can_be_used_by_everybody(
    in_browser, live_server, transactional_cast
):
    cast = transactional_cast
    item = contradiction(cast)
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        kept = rehearse_repair(item=item, actor=cast.ana)
        order = give_order(incident=item.incident, kind="pull", actor=cast.ana)
        copy = Delivery.objects.filter(place=Place.HOLD)[0]
    paths = [reverse(name) for name in ("disagreements", "rules", "rule_new", "orders")]
    paths += [
        reverse(name, args=[item.id])
        for name in ("disagreement", "disagreement_accept", "disagreement_dismiss")
    ]
    paths += [reverse(name, args=[kept.id]) for name in ("rehearsal", "rehearsal_save")]
    paths += [reverse("rehearsal_list", args=[kept.id, name]) for name in ("newly_held", "caught")]
    paths += [reverse("order_withdraw", args=[order.id]), reverse("late_verdicts", args=["acme"])]
    paths += [reverse("held_release", args=[copy.id])]
    disturb(cast, 11, 12)
    paths += [reverse("client_interference", args=["acme"]), reverse("health")]
    on_exchanges_record(cast)
    paths += [reverse("client_blindspots", args=["acme"]), reverse("access", args=["acme"])]
    paths.append(reverse("client_traced", args=["acme", "lost"]))
    paths.append(reverse("client_gaps", args=["acme"]))

    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.ana.email, paths) == []


def _repair(browser, site: str, login: str, email: str, item: str) -> list[str]:
    page = browser.new_page()
    page.goto(site + login)
    page.fill("[name=email]", email)
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("#main:not(.login)")
    page.goto(site + item)
    page.get_by_role("button", name="Rehearse").click()
    page.wait_for_selector("[data-forecast]")
    said = [page.inner_text("[data-forecast] dl")]
    page.keyboard.press("e")
    page.wait_for_selector("#dialog[open]")
    page.fill("#dialog [name=reason]", "seen twice")
    page.click("#dialog button.primary")
    page.wait_for_selector("h2:has-text('Repaired')")
    said.append(page.inner_text("[aria-labelledby=repair]"))
    return said


def test_a_repair_is_rehearsed_and_accepted(in_browser, live_server, transactional_cast):
    cast = transactional_cast
    item = contradiction(cast)
    address = reverse("disagreement", args=[item.id])

    forecast, done = in_browser(_repair, live_server.url, reverse("login"), cast.ana.email, address)

    assert forecast.split() == [
        *("Newly", "held", "1", "Newly", "delivered", "0", "Incidents", "it", "would", "have"),
        *("stopped", "1", "Incidents", "it", "would", "have", "missed", "0", "Decided", "cases"),
        "0",
    ]
    assert "Block entry: eve@evil.example, set by Ana" in done
    assert "seen twice" in done
