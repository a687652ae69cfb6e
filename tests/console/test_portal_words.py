"""What a client may say in its portal: three things, each through a door of the database."""

import pytest
from django.db import DatabaseError, connection, transaction
from django.urls import reverse

from incidents.client_words import answer, ask_for_release, refuse_release
from incidents.correlation import make_sense_of_backlog
from incidents.intake import record
from incidents.models import ClientWord, Delivery, Intent, Job
from incidents.regroup import merge_incidents
from incidents.remediation import release_held, settle_intent
from incidents.services import share_incident, unshare_incident
from incidents.services.waiting import stop_waiting, wait_for
from incidents.words import Direction, Outcome, Place, Verdict
from tenants.errors import Conflict
from tenants.models import AuditEntry, Tenant
from tenants.scope import Role, tenant_scope
from tests.console.test_pages import open_phish
from tests.factories import gateway_saw, mail_json

SOMEBODY = {"address": "mallory@bad.example", "name": "", "raw": ""}


@pytest.fixture(autouse=True)
def _portal(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.ROOT_URLCONF = "console.urls_portal"


@pytest.fixture
def as_pia(client, cast):
    client.force_login(cast.pia)
    return client


def analyst(cast):
    return tenant_scope(Role.ANALYST, [cast.acme.id, cast.globex.id], provider_id=cast.provider.id)


def hold(tenant, recipient="", **changes):
    """One mail that the gateway holds."""
    held = {"verdict": Verdict.SPAM, "action": Outcome.HELD, "place": Place.HOLD} | changes
    recipient = recipient or f"info@{tenant.slug}.example"
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        record([gateway_saw(tenant, recipient, **held)])
        make_sense_of_backlog(tenant)
        return Delivery.objects.get(place=Place.HOLD, recipient=recipient)


def hold_outbound(tenant):
    """One mail that the gateway holds of a login that this client's people use."""
    malte = f"malte@{tenant.slug}.example"
    return hold(
        tenant,
        "someone@elsewhere.example",
        direction=Direction.OUTBOUND,
        detail={"sent_by": {"mailbox": malte, "visible": malte, "by": "login scanner"}},
        mail=mail_json(sender={"address": malte, "name": "Malte", "raw": ""}),
    )


def waiting(cast):
    incident = open_phish(cast.acme)
    with analyst(cast):
        share_incident(incident=incident, actor=cast.ana)
        incident.refresh_from_db()
        wait_for(incident=incident, actor=cast.ana, cause="client_answer", asked="Was money sent?")
    return incident


def words(cast):
    with analyst(cast):
        return list(ClientWord.objects.order_by("created_at"))


def test_what_we_need_from_the_client_stands_first_and_can_be_answered(as_pia, cast):
    incident = waiting(cast)
    page = as_pia.get(reverse("portal")).content.decode()
    assert "Action needed" in page
    assert "Was money sent?" in page

    where = reverse("portal_answer", args=[incident.id])
    assert "<form" in as_pia.get(where).content.decode()
    as_pia.post(where, {"text": "No, I phoned the bank."})

    [word] = words(cast)
    assert (word.person_name, word.text, word.incident_id) == (
        "Pia",
        "No, I phoned the bank.",
        incident.id,
    )
    page = as_pia.get(reverse("portal")).content.decode()
    assert "Action needed" not in page
    assert "No, I phoned the bank." in page
    with analyst(cast):
        assert AuditEntry.objects.filter(action="incidents.client.answer").count() == 1


def test_an_incident_that_was_not_shared_takes_no_answer(as_pia, cast):
    hidden = open_phish(cast.acme)

    answer = as_pia.post(reverse("portal_answer", args=[hidden.id]), {"text": "Hello?"})
    assert answer.status_code == 404
    assert words(cast) == []


def test_a_held_mail_can_be_asked_for_once_and_is_not_released_by_it(as_pia, cast):
    copy = hold(cast.acme)
    page = as_pia.get(reverse("portal_held")).content.decode()
    assert "Invoice 4711" in page
    where = reverse("portal_held_ask", args=[copy.id])
    for _ in range(2):
        as_pia.post(where, {"text": "Our supplier."})

    [word] = words(cast)
    assert (word.kind, word.delivery_id, word.text) == ("release", copy.id, "Our supplier.")
    assert "Pia asked" in as_pia.get(reverse("portal_held")).content.decode()
    with analyst(cast):
        assert not Job.objects.exists()


def test_what_an_account_of_the_clients_own_sent_is_told_and_not_asked_for(as_pia, cast):
    copy = hold_outbound(cast.acme)
    page = as_pia.get(reverse("portal_held")).content.decode()
    assert "Sent by malte@acme.example" in page
    assert "Stopped on its way out" in page
    assert "Your provider decides about it" in page
    assert reverse("portal_held_ask", args=[copy.id]) not in page
    assert "Ask for it" not in page

    for refused in (
        as_pia.get(reverse("portal_held_ask", args=[copy.id])),
        as_pia.post(reverse("portal_held_ask", args=[copy.id]), {"text": "Ours."}),
    ):
        assert refused.status_code == 404
    assert words(cast) == []


def test_what_goes_out_is_not_mail_that_came(as_pia, cast):
    hold_outbound(cast.acme)
    hold(cast.acme, ulid="01J00000000000000000000002")
    assert "1 copy of mail came." in as_pia.get(reverse("portal")).content.decode()


def test_somebody_elses_held_mail_cannot_be_asked_for(as_pia, cast):
    foreign = hold(cast.globex)

    answer = as_pia.post(reverse("portal_held_ask", args=[foreign.id]), {"text": "Please."})
    assert answer.status_code == 404
    assert words(cast) == []


def test_releasing_settles_the_wish_and_refusing_tells_why(as_pia, cast):
    copy = hold(cast.acme)
    where = reverse("portal_held_ask", args=[copy.id])
    as_pia.post(where, {"text": "Our supplier."})
    with analyst(cast):
        refuse_release(delivery=copy, actor=cast.ana, reason="It is a forgery.")
    as_pia.post(where, {"text": "Are you sure?"})
    with analyst(cast):
        release_held(delivery=copy, actor=cast.ana, reason="It is genuine.")
        intent = Intent.objects.get()
    assert intent.state == "failed", "no gate handles mail for this client"
    assert words(cast)[1].settled_at is None, "what was not released is still waited for"
    with analyst(cast):
        Intent.objects.update(state="pending")
        with pytest.raises(Conflict, match="releasing it already"):
            refuse_release(delivery=copy, actor=cast.bo, reason="It is a forgery.")
        settle_intent(intent.id, ok=True, detail="")

    first, second = words(cast)
    assert (first.outcome, first.settled_by) == ("Stays held: It is a forgery.", "Ana")
    assert (second.outcome, second.settled_by) == ("Released.", "Ana")


def test_the_client_withdraws_the_right_to_open_its_mail_and_gives_it_back(as_pia, cast):
    where = reverse("portal_access_right")

    def is_allowed():
        with analyst(cast):
            return Tenant.objects.get(id=cast.acme.id).body_access_allowed

    as_pia.post(where, {"reason": "Until the audit is over."})
    assert not is_allowed()
    assert "Withdrawn" in as_pia.get(reverse("portal")).content.decode()
    as_pia.post(where, {"allowed": "on", "reason": ""})
    assert is_allowed()
    with analyst(cast):
        entries = AuditEntry.objects.filter(action="tenants.client.body_access").order_by("at")
        assert [(one.actor_name, one.detail["after"]) for one in entries] == [
            ("Pia", False),
            ("Pia", True),
        ]
        assert Tenant.objects.get(id=cast.globex.id).body_access_allowed


def test_the_doors_take_words_of_the_clients_own_people_only(cast):
    incident = waiting(cast)
    with tenant_scope(Role.PORTAL, [cast.acme.id]), connection.cursor() as cursor:
        for person in (cast.gus, cast.ana):
            cursor.execute(
                "SELECT door_client_word('answer', %s, %s, 'hello')", [incident.id, person.id]
            )
            assert cursor.fetchone() == (None,)
            cursor.execute("SELECT door_body_access(false, %s, '')", [person.id])
            assert cursor.fetchone() == (None,)
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            cursor.execute("UPDATE tenants_tenant SET body_access_allowed = false")
    assert words(cast) == []


def test_the_month_says_who_caught_what(as_pia, cast):
    open_phish(cast.acme)
    page = as_pia.get(reverse("portal")).content.decode()

    assert "caught in the mailboxes alone" in page
    assert "missed by both" in page


def test_the_console_shows_the_wish_and_the_answer_and_deals_with_both(client, cast, settings):
    incident, copy = waiting(cast), hold(cast.globex)
    with tenant_scope(Role.PORTAL, [cast.acme.id]):
        answer(incident=incident, person=cast.pia, text="No money was sent.")
    with tenant_scope(Role.PORTAL, [cast.globex.id]):
        ask_for_release(delivery=copy, person=cast.gus, reason="Our supplier.")
    settings.ROOT_URLCONF = "console.urls"
    client.force_login(cast.ana)

    assert (
        "Read the client&#x27;s answer"
        in client.get(reverse("queue"), {"tab": "waiting"}).content.decode()
    )
    page = client.get(reverse("incident", args=[incident.id])).content.decode()
    assert "Pia answered" in page
    assert "No money was sent." in page
    client.post(reverse("incident_read", args=[incident.id]))
    page = client.get(reverse("incident", args=[incident.id])).content.decode()
    assert "Pia answered" not in page

    held = client.get(reverse("held")).content.decode()
    assert "Our supplier." in held
    where = reverse("held_refuse", args=[copy.id])
    assert "<form" in client.get(where).content.decode()
    client.post(where, {"reason": "It is a forgery."})
    assert "Our supplier." not in client.get(reverse("held")).content.decode()
    assert [word.outcome for word in words(cast)] == ["read", "Stays held: It is a forgery."]


def test_what_is_not_shared_any_more_is_gone_under_the_number_that_went_into_it_too(as_pia, cast):
    kept, gone = open_phish(cast.acme), open_phish(cast.acme, 2, sender=SOMEBODY)
    with analyst(cast):
        share_incident(incident=gone, actor=cast.ana)
        merge_incidents(kept=kept, gone=gone, actor=cast.ana, reason="the same hand")
        kept.refresh_from_db()
    where = reverse("portal_incident", args=[gone.id])
    assert as_pia.get(where).status_code == 200
    with analyst(cast):
        unshare_incident(incident=kept, actor=cast.ana)
    assert as_pia.get(where).status_code == 404


def test_what_was_asked_on_two_that_became_one_is_answered_with_it(as_pia, cast):
    who = {"address": "max@other.example", "name": "", "raw": ""}
    one = waiting(cast)
    other = open_phish(cast.acme, number=2, subject="Your parcel", sender=who, from_all=[who])
    with analyst(cast):
        share_incident(incident=other, actor=cast.ana)
        wait_for(incident=other, actor=cast.ana, cause="client_answer", asked="Who read it?")
        merge_incidents(kept=one, gone=other, actor=cast.ana, reason="One letter")
    page = as_pia.get(reverse("portal")).context["page"]
    assert {(need.incident.id, need.asked) for need in page.needs} == {
        (one.id, "Was money sent?"),
        (one.id, "Who read it?"),
    }
    as_pia.post(reverse("portal_answer", args=[one.id]), {"text": "No, and nobody."})
    page = as_pia.get(reverse("portal")).context["page"]
    assert all(need.answered for need in page.needs)
    with analyst(cast):
        one.refresh_from_db()
        stop_waiting(incident=one, actor=cast.ana, answer="No money, no reader.")
    assert as_pia.get(reverse("portal")).context["page"].needs == []


def test_a_harmless_mail_that_a_rule_holds_is_not_held_for_being_clean(as_pia, cast):
    copy = hold(cast.acme, verdict=Verdict.CLEAN, rule="block of Acme: sender eve@evil.example")
    for page in ("portal", "portal_held"):
        text = as_pia.get(reverse(page)).content.decode()
        assert "By a rule" in text
        assert "Clean" not in text
    asked = as_pia.get(reverse("portal_held_ask", args=[copy.id])).content.decode()
    assert "By a rule" in asked
    assert "Clean" not in asked
