"""Held mail in a real browser: what can be done about it, for everybody; a link of a digest."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from api_bridge.models import Connection, MailboxSync
from incidents.client_words import ask_for_release
from incidents.evidence import store_evidence
from incidents.looks_words import Found, words_of
from incidents.models import Intent, Job, Message, ReleaseLook
from incidents.words import Place, Verdict
from seg_bridge.held.asked import send_digest_now
from seg_bridge.held.legal import set_hold
from seg_bridge.held.links import token_of
from seg_bridge.held.models import HeldLink
from seg_bridge.held.requests import serve_requests
from tenants.models import Mailbox
from tenants.scope import Role, tenant_scope
from tests.browser.test_accessibility import _look_at, findings
from tests.factories import Cast, mail_json
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.test_requests import PHISH, claimed, hold, scope

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_broker"),
]


@pytest.fixture
def asked(transactional_cast: Cast):
    """Two held mails; a client asks for the first, which was scanned again."""
    cast = transactional_cast
    make_gate(cast, cast.acme)
    first, second = hold(cast, Verdict.PHISH), hold(cast, Verdict.MALWARE)
    with tenant_scope(Role.PORTAL, [cast.acme.id]):
        ask_for_release(delivery=first, person=cast.pia, reason="Our supplier.")
    serve_requests(claimed(cast), scanner=PHISH)
    with scope(cast):
        kept = set_hold(
            tenant=cast.acme,
            message=Message.objects.get(id=second.message_id),
            actor=cast.ana,
            reason="A lawsuit",
        )
        send_digest_now(mailbox=Mailbox.objects.get(address="info@acme.example"), actor=cast.ana)
        link = HeldLink.objects.get(delivery=second)
    return cast, first, second, kept, token_of(link)


def test_held_mail_can_be_decided_by_everybody(in_browser, live_server, asked):
    cast, first, second, kept, _ = asked
    paths = [reverse(name) for name in ("held", "held_digest")]
    paths += [reverse("message", args=[second.message_id])]
    paths += [reverse(name, args=[first.id]) for name in ("held_release", "held_delete")]
    paths += [reverse("held_release", args=[second.id])]
    paths += [reverse("message_keep", args=[first.message_id])]
    paths += [reverse(name, args=["acme"]) for name in ("client_keep", "client_sent")]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.ana.email, paths) == []
    ends = [reverse("legal_hold_end", args=[kept.id])]
    assert in_browser(findings, site, login, cast.mo.email, ends) == []


FRAUD = (
    b"From: Supplier <billing@supplier.example.net>\r\nReply-To: pay@other-host.example.org\r\n"
    b"To: info@acme.example\r\nSubject: Our bank details have changed\r\n"
    b"Message-ID: <inv-1@supplier.example.net>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nDear customer, our bank account has changed."
    b" Please pay all open invoices urgently today to the new account IBAN DE89370400440532013000."
    b" Do not use the old bank details any more.\r\n"
)


@pytest.fixture
def released(asked, settings, tmp_path):
    """One mail that both layers condemn and is still held; one whose releases went every way."""
    cast, first, *_ = asked
    settings.EVIDENCE_DIR = tmp_path / "evidence"
    with scope(cast):
        digest = store_evidence(tenant_id=cast.acme.id, raw=FRAUD, source="gate:mx1", method="smtp")
        whom = Mailbox.objects.get(address="info@acme.example")
        opened = Connection.objects.create(tenant=cast.acme, cloud_tenant_id="a", client_id="b")
        MailboxSync.objects.create(
            tenant=cast.acme, mailbox=whom, connection=opened, due_at=timezone.now()
        )
    condemned = hold(
        cast,
        Verdict.BEC,
        evidence=digest,
        rule="policy of Acme: bec is held",
        detail={
            "client_ip": "203.0.113.9",
            "mail_from": "billing@supplier.example.net",
            "missing": [],
        },
        mail=mail_json(
            subject="Our bank details have changed",
            sender={"address": "billing@supplier.example.net", "name": "Supplier", "raw": ""},
            auth=[{"method": "dkim", "result": "pass", "domain": "supplier.example.net"}],
        ),
    )
    with scope(cast):
        for outcome in ReleaseLook.Outcome:
            _a_look(cast, first, outcome)
    return cast, condemned, first


def _a_look(cast: Cast, copy, outcome: str) -> None:
    now = timezone.now()
    job = Job.objects.create(tenant=cast.acme, kind=Job.Kind.RELEASE, requested_by="Ana")
    intent = Intent.objects.create(
        tenant=cast.acme, job=job, delivery=copy, action="release", state="verified", due_at=now
    )
    look = ReleaseLook(
        tenant=cast.acme,
        delivery=copy,
        intent=intent,
        released_by="Ana",
        delivered_at=now - timedelta(minutes=5),
        put_in="inbox",
        due_at=now,
        outcome=outcome,
        proof="bytes" if outcome == "kept" else "",
        looked_at=now,
        done_at=None if outcome == "not_seen" else now,
    )
    place = {"moved": Place.OTHER, "junked": Place.JUNK, "deleted": Place.DELETED}.get(outcome)
    look.words = words_of(look, Found(ReleaseLook.Outcome(outcome), place), "Consent is missing.")
    look.save(force_insert=True)


def test_what_follows_a_release_can_be_read_by_everybody(in_browser, live_server, released):
    cast, condemned, looked_at = released
    paths = [reverse("held"), reverse("rules")]
    paths += [reverse("held_release", args=[condemned.id])]
    paths += [reverse("message", args=[looked_at.message_id])]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.ana.email, paths) == []


def _follow(browser, address: str) -> tuple[list[str], str]:
    page = browser.new_page()
    page.goto(address)
    wrong = _look_at(page)
    page.keyboard.press("Tab")
    page.click("button.primary")
    page.wait_for_selector("text=Asked for")
    wrong += _look_at(page)
    page.goto(address)
    said = page.inner_text("#main")
    page.close()
    return wrong, said


def test_a_link_is_confirmed_without_signing_in_and_is_then_used_up(
    in_browser, live_server, asked, settings
):
    settings.ROOT_URLCONF = "console.urls_portal"
    *_, token = asked
    wrong, said = in_browser(_follow, f"{live_server.url}/portal/mail/{token}")
    assert wrong == []
    assert "not good any more" in said


def test_the_portal_says_what_became_of_a_wish(in_browser, live_server, asked, settings):
    settings.ROOT_URLCONF = "console.urls_portal"
    cast = asked[0]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.pia.email, [reverse("portal_held")]) == []


@pytest.mark.parametrize("locale", ["de-CH", "fr-FR"])
def test_the_portal_in_the_readers_language_is_for_everybody(
    in_browser, live_server, asked, settings, locale: str
):
    settings.ROOT_URLCONF = "console.urls_portal"
    cast, *_ = asked
    names = ("portal", "portal_held", "portal_digest", "portal_access", "portal_access_right")
    paths = [reverse(name) for name in names]
    site, login = live_server.url, reverse("login")
    assert in_browser(findings, site, login, cast.pia.email, paths, locale) == []
