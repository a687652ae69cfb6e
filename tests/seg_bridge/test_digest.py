"""The digest of a mailbox: when, what, once; and its links, which never act on a GET."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from django.core import mail as sent
from django.core.cache import cache
from django.core.mail import EmailMultiAlternatives
from django.db.models import CharField, Value
from django.db.models.functions import Concat
from django.test import Client
from django.utils import timezone

from incidents.client_words import settle_released
from incidents.correlation import make_sense_of_backlog
from incidents.held import give_back
from incidents.intake import record
from incidents.models import ClientWord, Delivery, Intent
from incidents.notices import inert
from incidents.words import Place, Verdict
from seg_bridge.held.asked import MOST_ASKED, MOST_BY_PORTAL, ask_for_digest, send_digest_now
from seg_bridge.held.digest import serve_digests
from seg_bridge.held.links import token_of
from seg_bridge.held.models import Digest, HeldLink
from seg_bridge.held.requests import serve_requests
from seg_bridge.held.retention import forget_sent
from seg_bridge.held.schedule import Schedule
from seg_bridge.models import PolicyLayer
from tenants.doors import ask
from tenants.errors import Conflict, NotAllowed, TooManyRequests
from tenants.models import AuditEntry, Mailbox, OutgoingMail
from tenants.outbox import serve_outbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, mail_json, mailbox_saw, state_policy
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.test_requests import claimed, hold, nobody_could_look, scope

BERLIN = ZoneInfo("Europe/Berlin")
# when, hour, zone, now (UTC) → the slot (UTC)
SLOTS = [
    ("never", 8, "UTC", "2026-11-29T12:00", None),
    ("daily", 8, "UTC", "2026-11-29T12:00", "2026-11-29T08:00"),
    ("daily", 8, "UTC", "2026-11-29T07:59", "2026-11-28T08:00"),
    ("daily", 0, "UTC", "2026-11-29T00:00", "2026-11-29T00:00"),
    ("daily", 8, "Europe/Berlin", "2026-11-29T07:00", "2026-11-29T07:00"),
    ("daily", 8, "Europe/Berlin", "2026-07-01T06:30", "2026-07-01T06:00"),
    ("daily", 8, "Pacific/Auckland", "2026-11-29T20:00", "2026-11-29T19:00"),
    # The hour that does not exist as summer time begins is the one after.
    ("daily", 2, "Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00"),
    # 29 November 2026 is a Sunday.
    ("weekdays", 8, "UTC", "2026-11-29T12:00", "2026-11-27T08:00"),
    ("weekly", 8, "UTC", "2026-11-29T12:00", "2026-11-23T08:00"),
    ("weekly", 8, "UTC", "2026-11-30T08:00", "2026-11-30T08:00"),
]


@pytest.mark.parametrize(("when", "hour", "zone", "now", "slot"), SLOTS)
def test_the_slot(when, hour, zone, now, slot):
    found = Schedule(when, hour, ZoneInfo(zone)).last_slot(
        datetime.fromisoformat(now).replace(tzinfo=UTC)
    )
    assert (found and found.strftime("%Y-%m-%dT%H:%M")) == slot


@pytest.fixture(autouse=True)
def _portal(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.ROOT_URLCONF = "console.urls_portal"


@pytest.fixture
def gated(cast: Cast) -> Cast:
    make_gate(cast, cast.acme)
    hour = (timezone.now() - timedelta(hours=1)).hour
    with scope(cast):
        state_policy(cast.acme, **{"digest.when": "daily", "digest.hour": hour})
    return cast


def hours_ago(cast: Cast, hours: float = 3) -> None:
    """What is held came so long ago."""
    with scope(cast):
        Delivery.objects.update(received_at=timezone.now() - timedelta(hours=hours))


def sent_digests(cast: Cast) -> list[EmailMultiAlternatives]:
    serve_digests(claimed(cast))
    serve_outbox(claimed(cast))
    told = [each for each in sent.outbox if "held back" in each.subject]
    return [each for each in told if isinstance(each, EmailMultiAlternatives)]


def links_in(mail) -> list[str]:
    return re.findall(r"http://127\.0\.0\.1:8001(/portal/mail/\S+)", mail.body)


def test_a_digest_goes_out_once_for_its_slot_and_only_with_what_is_new(gated: Cast):
    first = hold(gated, Verdict.SPAM)
    hours_ago(gated)
    (mail,) = sent_digests(gated)
    assert (mail.to, mail.subject) == (["info@acme.example"], "1 mail is held back for you")
    assert len(sent_digests(gated)) == 1  # the same slot again
    with scope(gated):
        Digest.objects.update(slot="yesterday")  # the next slot has come
    assert len(sent_digests(gated)) == 1  # nothing is new
    hold(gated, Verdict.PHISH)
    with scope(gated):
        old = timezone.now() - timedelta(hours=3)
        Delivery.objects.exclude(id=first.id).update(received_at=old)
    second = sent_digests(gated)[1]
    assert "phish" in second.body.lower()
    assert len(links_in(second)) == 1


def test_what_came_after_the_slot_waits_for_the_next_one(gated: Cast):
    hold(gated, Verdict.SPAM)
    assert sent_digests(gated) == []
    with scope(gated):
        assert not HeldLink.objects.exists()


def test_a_mailbox_can_have_a_schedule_of_its_own(gated: Cast):
    hold(gated, Verdict.SPAM)
    hours_ago(gated)
    with scope(gated):
        PolicyLayer.objects.create(
            provider=gated.provider,
            tenant=gated.acme,
            level=PolicyLayer.Level.MAILBOX,
            mailbox=Mailbox.objects.get(address="info@acme.example"),
            stated={"digest.when": {"value": "never"}},
            changed_by="Mo",
        )
    assert sent_digests(gated) == []


def test_what_both_layers_keep_stands_once_in_it(gated: Cast):
    held = hold(gated, Verdict.PHISH)
    with scope(gated):
        moved = mailbox_saw(
            gated.acme,
            "boss@acme.example",
            internet_message_id=held.message.internet_message_id,
            trace_ulid="",
            trace_state="",
            fingerprint="b" * 32,
            verdict=Verdict.PHISH,
        )
        Mailbox.objects.filter(address="info@acme.example").update(aliases=["boss@acme.example"])
        only_moved = mailbox_saw(
            gated.acme,
            "info@acme.example",
            internet_message_id="<other@evil.example>",
            trace_ulid="",
            trace_state="",
            fingerprint="c" * 32,
            verdict=Verdict.BEC,
            mail=mail_json(subject="Pay this today"),
        )
        record([moved, only_moved])
        make_sense_of_backlog(gated.acme)
        assert Delivery.objects.count() == 3
        Delivery.objects.filter(place=Place.INBOX).update(place=Place.QUARANTINE)
    hours_ago(gated)
    (mail,) = sent_digests(gated)
    assert mail.subject == "2 mails are held back for you"
    assert mail.body.count("Invoice 4711") == 1
    assert "held by the gateway" in mail.body
    assert "taken out of your mailbox" in mail.body
    with scope(gated):
        assert HeldLink.objects.count() == 3  # none of them is told again


def test_on_demand_it_lists_everything_that_waits(gated: Cast):
    with scope(gated):
        box = Mailbox.objects.get(address="info@acme.example")
        with pytest.raises(Conflict, match="Nothing is held back"):
            send_digest_now(mailbox=box, actor=gated.ana)
    hold(gated, Verdict.SPAM)
    with scope(gated):
        for _ in range(2):
            send_digest_now(mailbox=box, actor=gated.ana)
        assert AuditEntry.objects.filter(action="seg_bridge.digest.asked").count() == 2
    serve_outbox(claimed(gated))
    assert len(sent.outbox) == 2


def test_nobody_can_fill_a_mailbox_with_digests(gated: Cast):
    hold(gated, Verdict.SPAM)
    with scope(gated):
        box = Mailbox.objects.get(address="info@acme.example")
        for _ in range(MOST_ASKED):
            send_digest_now(mailbox=box, actor=gated.ana)
        with pytest.raises(TooManyRequests, match="Please wait"):
            send_digest_now(mailbox=box, actor=gated.mo)
        # One that is due by the policy is no asking.
        Digest.objects.update(slot=Concat(Value("x"), "id", output_field=CharField()))
        send_digest_now(mailbox=box, actor=gated.ana)


def portal_asks(cast: Cast, address: str = "info@acme.example") -> None:
    with tenant_scope(Role.PORTAL, [cast.acme.id]):
        ask_for_digest(mailbox=Mailbox.objects.get(address=address), person=cast.pia)


def test_the_clients_own_people_have_one_sent(gated: Cast, client):
    client.force_login(gated.pia)
    page = client.get("/portal/held").content.decode()
    assert "/portal/held/digest" in page
    assert "no mailbox no@acme.example" in (
        client.post("/portal/held/digest", {"address": "no@acme.example"}).content.decode()
    )
    foreign = client.post("/portal/held/digest", {"address": "info@globex.example"})
    assert foreign.status_code == 400
    empty = client.post("/portal/held/digest", {"address": "info@acme.example"})
    assert (empty.status_code, "Nothing is held back" in empty.content.decode()) == (409, True)
    hold(gated, Verdict.SPAM)
    assert client.post("/portal/held/digest", {"address": "Info@Acme.example"}).status_code == 302
    (mail,) = sent_digests(gated)
    assert (mail.to, len(links_in(mail))) == (["info@acme.example"], 1)
    with scope(gated):
        word = ClientWord.objects.get()
        assert (word.kind, word.outcome, word.person_name) == ("digest", "Sent: 1.", "Pia")
        assert Digest.objects.get().asked_by == "Pia"
        actions = AuditEntry.objects.filter(object_kind="mailbox").values_list("action", flat=True)
        assert set(actions) == {"incidents.client.digest", "seg_bridge.digest.asked"}
    assert len(sent_digests(gated)) == 1  # served once


def test_the_door_counts_what_the_portal_asks(gated: Cast):
    hold(gated, Verdict.SPAM)
    for _ in range(MOST_BY_PORTAL):
        portal_asks(gated)
    with pytest.raises(TooManyRequests):
        portal_asks(gated)
    with tenant_scope(Role.PORTAL, [gated.globex.id]):
        other = Mailbox.objects.get(address__startswith="info@")
    with tenant_scope(Role.PORTAL, [gated.acme.id]):
        assert ask("door_client_word", "digest", other.id, gated.pia.id, other.address) is None
    with tenant_scope(Role.PORTAL, [gated.globex.id]):
        assert ask("door_client_word", "digest", other.id, gated.pia.id, other.address) is None


def test_no_text_of_a_mail_acts_in_a_digest(gated: Cast):
    evil = '<a href="https://evil.example/x">win</a>\r\nhttps://evil.example www.evil.example'
    hold(gated, Verdict.PHISH, mail=mail_json(subject=evil))
    hours_ago(gated)
    (mail,) = sent_digests(gated)
    html = str(mail.alternatives[0][0])
    for text in (str(mail.body), html):
        assert "evil.example" not in text
        assert "https://" not in text
    assert set(re.findall(r'href="([^"]+)"', html)) == {
        unescape(f"http://127.0.0.1:8001{each}") for each in links_in(mail)
    }
    assert "<a href=&quot;" not in html
    assert "&lt;a href=" in html


def test_inert_words():
    table = {
        "https://evil.example/a.b": "https[:]//evil[.]example/a[.]b",
        "eve@evil.example": "eve[at]evil[.]example",
        "one\r\n two": "one two",
        "Done. Next": "Done. Next",
        "a\u202eb": "a⟦U+202E⟧b",
    }
    assert {text: inert(text) for text in table} == table
    assert len(inert("x" * 500)) == 120


# --- links


def digest_link(cast: Cast, verdict: str = Verdict.SPAM) -> tuple[Delivery, str]:
    copy = hold(cast, verdict)
    with scope(cast):
        send_digest_now(mailbox=Mailbox.objects.get(address="info@acme.example"), actor=cast.ana)
        link = HeldLink.objects.get(delivery=copy)
    return copy, f"/portal/mail/{token_of(link)}"


def wishes(cast: Cast) -> list[ClientWord]:
    with scope(cast):
        return list(ClientWord.objects.all())


def test_a_link_does_nothing_on_get_and_one_thing_once_on_post(gated: Cast, client):
    copy, address = digest_link(gated)
    for _ in range(3):
        page = client.get(address)
        assert (page.status_code, page["Referrer-Policy"]) == (200, "same-origin")
        assert page["Cache-Control"] == "private, no-store"
    client.head(address)
    assert client.put(address).status_code == 405
    assert (wishes(gated), "Invoice 4711" in page.content.decode()) == ([], True)
    with scope(gated):
        assert HeldLink.objects.get().used_at is None
    assert client.post(address, {"text": ""}).status_code == 200
    (word,) = wishes(gated)
    assert (word.source, word.delivery_id, word.person_name) == (
        "digest",
        copy.id,
        "info@acme.example",
    )
    assert client.post(address, {"text": "again"}).status_code == 404
    assert client.get(address).status_code == 404
    assert len(wishes(gated)) == 1


def test_a_post_without_the_pages_own_token_is_refused(gated: Cast):
    _, address = digest_link(gated)
    assert Client(enforce_csrf_checks=True).post(address, {"text": ""}).status_code == 403
    assert wishes(gated) == []


def test_used_old_forged_and_foreign_links_get_the_same_answer(gated: Cast, client):
    _, used = digest_link(gated)
    client.post(used, {"text": ""})
    _, old = digest_link(gated)
    _, released = digest_link(gated)
    with scope(gated):
        link = HeldLink.objects.get(id=old.split("-")[1])
        HeldLink.objects.filter(id=link.id).update(expires_at=timezone.now())
        gone = HeldLink.objects.get(id=released.split("-")[1])
        Delivery.objects.filter(id=gone.delivery_id).update(place=Place.INBOX)
        _, good = digest_link(gated)
    forged = [good[:-1] + ("A" if good[-1] != "A" else "B"), good + "A", "/portal/mail/x"]
    other_client = re.sub(r"/(\d+)-", f"/{gated.globex.id}-", good)
    answers = [client.get(each) for each in (used, old, released, other_client, *forged)]
    answers += [client.post(each, {"text": ""}) for each in (used, old, released, *forged)]
    bodies = {re.sub(rb'"x-csrftoken": "\w*"', b"", each.content) for each in answers}
    assert ({each.status_code for each in answers}, len(bodies)) == ({404}, 1)
    assert len(wishes(gated)) == 1
    assert client.get(good).status_code == 200


def test_guessing_is_slowed_down_and_so_is_a_link_that_is_opened_without_end(
    gated: Cast, client, monkeypatch
):
    monkeypatch.setattr("console.portal.links._TRIES_OF_AN_ADDRESS", 5)
    monkeypatch.setattr("console.portal.links._TRIES_OF_A_LINK", 3)
    cache.clear()
    _, address = digest_link(gated)
    assert [client.get(address).status_code for _ in range(4)] == [200, 200, 200, 429]
    answers = [client.get(f"/portal/mail/{n}").status_code for n in range(6)]
    assert (answers[0], answers[-1]) == (404, 429)


@pytest.mark.parametrize(
    ("verdict", "is_released"),
    [
        (Verdict.SPAM, True),
        (Verdict.SUSPICIOUS, False),
        (Verdict.PHISH, False),
        (Verdict.MALWARE, False),
    ],
)
def test_a_link_releases_only_what_the_policy_gives_to_the_client(
    verdict, is_released, gated: Cast, client
):
    copy, address = digest_link(gated, verdict)
    client.post(address, {"text": "I know them."})
    serve_requests(claimed(gated), scanner=nobody_could_look)
    with scope(gated):
        assert Intent.objects.filter(delivery=copy, action="release").exists() is is_released
        outcome = ClientWord.objects.get().scan["outcome"]
        assert outcome == ("released by the client" if is_released else "left to a person")


def test_a_mail_that_nobody_may_release_has_no_link(gated: Cast):
    with scope(gated):
        layer = PolicyLayer.objects.get(level="client")
        layer.stated |= {"release.malware": {"value": "nobody"}}
        layer.save()
    hold(gated, Verdict.MALWARE)
    hours_ago(gated)
    (mail,) = sent_digests(gated)
    assert "malware" in mail.body.lower()
    assert links_in(mail) == []


def test_the_portals_role_can_do_nothing_with_links_but_use_them(gated: Cast):
    _, _ = digest_link(gated)
    with tenant_scope(Role.PORTAL, [gated.acme.id]):
        assert HeldLink.objects.count() == 1
    with tenant_scope(Role.PORTAL, [gated.globex.id]):
        assert not HeldLink.objects.exists()


def test_digests_wait_in_the_outbox_sealed(gated: Cast):
    _, address = digest_link(gated)
    with scope(gated):
        row = OutgoingMail.objects.get()
    assert address.split("-", 2)[2].encode() not in bytes(row.sealed)


def test_what_was_taken_out_of_the_mailbox_is_asked_for_and_given_back(gated: Cast, client):
    copy, address = digest_link(gated, Verdict.PHISH)
    with scope(gated):
        Delivery.objects.filter(id=copy.id).update(place=Place.QUARANTINE)
    assert client.post(address, {"text": "I know them."}).status_code == 200
    serve_requests(claimed(gated), scanner=nobody_could_look)
    with scope(gated):
        copy.refresh_from_db()
        assert ClientWord.objects.get().settled_at is None
        Delivery.objects.filter(id=copy.id).update(person_verdict=Verdict.MALWARE)
        with pytest.raises(NotAllowed, match="leads only"):
            give_back(delivery=copy, actor=gated.ana)
        job = give_back(delivery=copy, actor=gated.mo, reason="It is genuine.")
        intent = Intent.objects.get(job=job)
        assert (job.kind, intent.action, intent.delivery_id) == ("restore", "restore", copy.id)
        settle_released(copy, gated.mo)
    serve_outbox(claimed(gated))
    assert [each.subject for each in sent.outbox][-1] == "The mail that you asked for is released"
    assert sent.outbox[-1].to == ["info@acme.example"]


def test_old_digests_are_forgotten_with_their_links_and_mails(gated: Cast):
    digest_link(gated)
    serve_outbox(claimed(gated))
    now = timezone.now()
    with scope(gated):
        forget_sent(gated.acme.id, now)
        assert (Digest.objects.count(), OutgoingMail.objects.count()) == (1, 1)
        forget_sent(gated.acme.id, now + timedelta(days=181))
        assert not Digest.objects.exists()
        assert not HeldLink.objects.exists()
        assert not OutgoingMail.objects.exists()


def asked_at_the_door(tenant, link_id) -> bool:
    with tenant_scope(Role.PORTAL, [tenant.id]):
        return ask("door_held_link", link_id, "please") is not None


def test_the_door_itself_asks_for_client_use_end_and_place(gated: Cast):
    """What the page asks before, the door asks again."""
    links = [digest_link(gated)[1].split("-")[1] for _ in range(3)]
    assert not asked_at_the_door(gated.globex, links[0])
    with scope(gated):
        HeldLink.objects.filter(id=links[1]).update(expires_at=timezone.now() - timedelta(hours=1))
        gone = HeldLink.objects.get(id=links[2])
        Delivery.objects.filter(id=gone.delivery_id).update(place=Place.INBOX)
    assert [asked_at_the_door(gated.acme, each) for each in links] == [True, False, False]
    assert not asked_at_the_door(gated.acme, links[0])
    assert len(wishes(gated)) == 1
