"""Pages as people meet them: who sees what, what a button does, what bad input answers."""

import re
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from incidents.correlation import make_sense_of_backlog
from incidents.evidence import store_evidence
from incidents.intake import record
from incidents.models import ContentAccess, Delivery, Incident, Job, Message
from incidents.services import share_incident, take_incident
from incidents.services.waiting import wait_for
from incidents.words import Place, Verdict
from tenants.models import AuditEntry
from tenants.scope import Role, tenant_scope
from tests.factories import gateway_saw, mail_json, mailbox_saw

pytestmark = pytest.mark.usefixtures("no_broker")

RAW = (
    b"From: Eve <eve@evil.example>\r\nTo: cfo@acme.example\r\nSubject: Invoice 4711\r\n"
    b"Message-ID: <1@evil.example>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/alternative; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nPlease pay at once.\r\n"
    b"--b\r\nContent-Type: text/html\r\n\r\n"
    b"<p onclick='alert(1)'>Please <b>pay</b> <a href='https://evil.example/x'>here</a></p>"
    b"<script>alert(2)</script>\r\n--b--\r\n"
)


def open_phish(tenant, number=1, **mail):
    """An incident: the gateway passed it, the mailbox layer condemns it; it lies in an inbox."""
    whom = f"cfo@{tenant.slug}.example"
    ulid = f"01J0000000000000000000000{number}"
    message_id = f"<{number}@evil.example>"
    facts = mail_json(**mail)
    common = {"mail": facts, "internet_message_id": message_id, "fingerprint": f"{number}" * 32}
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        digest = store_evidence(tenant_id=tenant.id, raw=RAW, source="gate:mx1", method="smtp")
        record(
            [
                gateway_saw(tenant, whom, ulid=ulid, evidence=digest, **common),
                mailbox_saw(
                    tenant,
                    whom,
                    trace_ulid=ulid,
                    trace_state="valid",
                    verdict=Verdict.PHISH,
                    place=Place.INBOX,
                    **common,
                ),
            ]
        )
        make_sense_of_backlog(tenant)
        return Incident.objects.order_by("-number").first()


@pytest.fixture
def phish(cast):
    return open_phish(cast.acme)


@pytest.fixture
def as_ana(client, cast):
    client.force_login(cast.ana)
    return client


def without_token(answer):
    """The page without the CSRF token, which differs each time."""
    return re.sub(rb'("x-csrftoken": |name="csrfmiddlewaretoken" value=)"\w+"', b"", answer.content)


def message_of(incident):
    with tenant_scope(Role.WORKER, [incident.tenant_id]):
        return Message.objects.get(memberships__incident=incident)


def accesses_of(tenant):
    with tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id):
        return list(ContentAccess.objects.all())


def test_the_queue_shows_the_incidents_of_assigned_clients_only(client, cast):
    open_phish(cast.acme, subject="Only for Acme")
    open_phish(cast.globex, subject="Only for Globex")
    client.force_login(cast.bo)

    page = client.get(reverse("queue")).content.decode()

    assert "Only for Acme" in page
    assert "Only for Globex" not in page
    assert "Globex" not in page


def test_a_row_says_both_verdicts_and_that_they_differ(as_ana, phish):
    page = as_ana.get(reverse("queue")).content.decode()

    assert 'title="The layers disagree"' in page
    assert "1 in inbox" in page
    assert "Pull 1 copy" in page


def test_htmx_gets_the_list_without_the_frame(as_ana, phish):
    answer = as_ana.get(reverse("queue"), headers={"HX-Request": "true"})

    assert "HX-Request" in answer["Vary"]
    assert "<html" not in answer.content.decode()
    assert "Invoice 4711" in answer.content.decode()


def test_nobody_signed_in_is_sent_to_the_login_and_htmx_too(client, cast):
    page = client.get(reverse("queue"))
    partial = client.get(reverse("queue"), headers={"HX-Request": "true"})

    assert page.status_code == 302
    assert page["Location"].startswith(reverse("login"))
    assert partial["HX-Redirect"].startswith(reverse("login"))


def test_signing_in_takes_the_right_password_only(client, cast):
    wrong = client.post(reverse("login"), {"email": cast.ana.email, "password": "wrong"})
    right = client.post(
        reverse("login"), {"email": cast.ana.email, "password": "a long enough password"}
    )

    assert wrong.status_code == 422
    assert "do not fit" in wrong.content.decode()
    assert right["Location"] == "/"


def test_signing_in_never_leads_to_another_site(client, cast):
    answer = client.post(
        reverse("login"),
        {
            "email": cast.ana.email,
            "password": "a long enough password",
            "next": "https://evil.example/",
        },
    )

    assert answer["Location"] == "/"


def test_the_eleventh_try_to_sign_in_is_refused(client, cast):
    wrong = {"email": "somebody@else.example", "password": "wrong"}
    answers = [client.post(reverse("login"), wrong).status_code for _ in range(11)]

    assert answers == [422] * 10 + [429]


def test_the_incident_page_tells_the_story_and_recommends_a_pull(as_ana, phish):
    page = as_ana.get(reverse("incident", args=[phish.id])).content.decode()

    assert "Let it through." in page
    assert "Arrived in the inbox of cfo@." in page
    assert "Pull 1 copy" in page
    assert "Reversible" in page


@pytest.mark.parametrize(
    "name", ["incident", "incident_pull", "incident_resolve", "incident_share", "incident_report"]
)
def test_a_foreign_incident_answers_like_a_missing_one(client, cast, name):
    foreign = open_phish(cast.globex)
    client.force_login(cast.bo)

    theirs = client.get(reverse(name, args=[foreign.id]))
    missing = client.get(reverse(name, args=[uuid4()]))

    assert theirs.status_code == missing.status_code == 404
    assert without_token(theirs) == without_token(missing)


def test_looking_at_the_questions_changes_nothing(as_ana, phish):
    for name in ("pull", "restore", "block", "resolve", "share", "report"):
        assert as_ana.get(reverse(f"incident_{name}", args=[phish.id])).status_code == 200

    with tenant_scope(Role.WORKER, [phish.tenant_id]):
        phish.refresh_from_db()
        assert not Job.objects.exists()
    assert phish.state == Incident.State.NEW
    assert phish.shared_at is None


def test_taking_an_incident_makes_it_mine(as_ana, cast, phish):
    as_ana.post(reverse("incident_take", args=[phish.id]))

    with tenant_scope(Role.WORKER, [phish.tenant_id]):
        phish.refresh_from_db()
    assert phish.owner_name == "Ana"
    assert phish.state == Incident.State.TRIAGED


def test_pulling_starts_a_job_that_can_be_followed(as_ana, phish):
    answer = as_ana.post(reverse("incident_pull", args=[phish.id]), {"reason": "fraud"})

    page = as_ana.get(answer["Location"]).content.decode()
    assert "Pull from mailboxes" in page
    assert "cfo@acme.example" in page
    assert "fraud" in page
    # What was read back changes the copy after the job is over.
    assert f'data-live="job:{answer["Location"][-36:]} incident:{phish.id}"' in page


def test_resolving_needs_a_cause(as_ana, phish):
    where = reverse("incident_resolve", args=[phish.id])
    as_ana.post(where, {"classification": "true_positive", "cause": ""})
    with tenant_scope(Role.WORKER, [phish.tenant_id]):
        phish.refresh_from_db()
    assert phish.state == Incident.State.NEW

    said = {"classification": "true_positive", "cause": "A lookalike domain."}
    as_ana.post(where, {**said, "cause_code": "gateway_missed"})
    with tenant_scope(Role.WORKER, [phish.tenant_id]):
        phish.refresh_from_db()
    assert phish.state == Incident.State.RESOLVED


def test_the_mail_page_shows_structure_and_no_content(as_ana, phish):
    page = as_ana.get(reverse("message", args=[message_of(phish).id])).content.decode()

    assert "eve@evil.example" in page
    assert "Please pay at once" not in page


def test_opening_without_a_reason_opens_nothing(as_ana, cast, phish):
    where = reverse("message_open", args=[message_of(phish).id])
    page = as_ana.post(where, {"what": "text", "reason": ""})

    assert "Please pay at once" not in page.content.decode()
    assert accesses_of(cast.acme) == []


def test_opening_is_on_record_before_the_text_is_shown(as_ana, cast, phish):
    where = reverse("message_open", args=[message_of(phish).id])
    onward = as_ana.post(where, {"what": "text", "reason": "Is the IBAN new?"})

    [access] = accesses_of(cast.acme)
    assert (access.person_name, access.what, access.reason) == ("Ana", "text", "Is the IBAN new?")
    assert "Please pay at once" in as_ana.get(onward["Location"]).content.decode()


def test_an_opening_is_no_key_for_anybody_else_nor_for_another_view(as_ana, cast, phish):
    mail = message_of(phish)
    where = reverse("message_open", args=[mail.id])
    onward = as_ana.post(where, {"what": "text", "reason": "Is the IBAN new?"})["Location"]
    [access] = accesses_of(cast.acme)
    assert as_ana.get(reverse("message_frame", args=[mail.id, access.id])).status_code == 404

    as_ana.force_login(cast.bo)
    assert as_ana.get(onward).status_code == 404


def test_html_is_shown_in_a_frame_of_its_own_that_can_do_nothing(as_ana, cast, phish):
    mail = message_of(phish)
    where = reverse("message_open", args=[mail.id])
    onward = as_ana.post(where, {"what": "html", "reason": "How does it look?"})["Location"]
    page = as_ana.get(onward).content.decode()
    [access] = accesses_of(cast.acme)
    frame = as_ana.get(reverse("message_frame", args=[mail.id, access.id]))
    html = frame.content.decode()

    assert "Please" not in page
    assert 'sandbox=""' in page
    assert frame["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "pay" in html
    assert "alert" not in html
    assert "href" not in html


def test_the_right_to_open_is_asked_for_every_time(as_ana, cast, phish):
    mail = message_of(phish)
    where = reverse("message_open", args=[mail.id])
    onward = as_ana.post(where, {"what": "text", "reason": "Is the IBAN new?"})["Location"]
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        cast.acme.body_access_allowed = False
        cast.acme.save(update_fields=["body_access_allowed"])

    assert as_ana.get(onward).status_code == 403
    assert as_ana.post(where, {"what": "text", "reason": "Once more"}).status_code == 403
    assert len(accesses_of(cast.acme)) == 1


def test_marks_that_turn_text_around_are_made_visible(as_ana, cast):
    incident = open_phish(cast.acme, subject="invoice\u202efdp.exe")
    for where in (
        reverse("queue"),
        reverse("incident", args=[incident.id]),
        reverse("message", args=[message_of(incident).id]),
    ):
        assert "\u202e" not in as_ana.get(where).content.decode(), where


def test_mail_cannot_write_markup_into_a_page(as_ana, cast):
    incident = open_phish(cast.acme, subject="<script>alert(1)</script>")
    for where in (
        reverse("queue"),
        reverse("mail"),
        reverse("incident", args=[incident.id]),
        reverse("message", args=[message_of(incident).id]),
    ):
        assert "<script>alert" not in as_ana.get(where).content.decode(), where


LISTS = ["queue", "handled", "health", "mail", "held", "clients", "jobs"]
BAD = ["\x00", "'", "%", "<x>", "9" * 400, "-1", "é\ud7ff", "W10", "WzEsMl0"]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("parameter", ["q", "client", "cursor", "days", "outcome", "tab", "state"])
def test_no_parameter_of_a_list_causes_an_error_of_ours(as_ana, name, parameter):
    for value in BAD:
        answer = as_ana.get(reverse(name), {parameter: value})
        assert answer.status_code in (200, 400), (name, parameter, value)


def test_mail_counts_add_up_to_all_copies(as_ana, cast):
    open_phish(cast.acme, 1)
    open_phish(cast.acme, 2)

    context = as_ana.get(reverse("mail")).context
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        copies = Delivery.objects.count()
    assert context["total"] == sum(n for _, _, n in context["outcomes"]) == copies


class TestPortal:
    @pytest.fixture(autouse=True)
    def _portal(self, settings):
        settings.ROOT_URLCONF = "console.urls_portal"

    @pytest.fixture
    def as_pia(self, client, cast):
        client.force_login(cast.pia)
        return client

    def test_only_what_was_shared_is_there(self, as_pia, cast):
        shared, hidden = open_phish(cast.acme, 1), open_phish(cast.acme, 2, subject="Hidden")
        with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
            share_incident(incident=shared, actor=cast.ana)

        page = as_pia.get(reverse("portal_incidents")).content.decode()
        assert str(shared.id) in page
        assert str(hidden.id) not in page
        assert as_pia.get(reverse("portal_incident", args=[shared.id])).status_code == 200
        assert as_pia.get(reverse("portal_incident", args=[hidden.id])).status_code == 404

    def test_what_is_asked_stands_on_the_incident_too_in_a_clients_words(self, as_pia, cast):
        shared = open_phish(cast.acme)
        with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
            share_incident(incident=shared, actor=cast.ana)
            take_incident(incident=shared, actor=cast.ana)
        where = reverse("portal_incident", args=[shared.id])
        assert "Did you pay?" not in as_pia.get(where).content.decode()
        with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
            wait_for(incident=shared, actor=cast.ana, cause="client_answer", asked="Did you pay?")

        page = as_pia.get(where).content.decode()
        assert "Did you pay?" in page
        question = as_pia.get(reverse("portal_answer", args=[shared.id])).content.decode()
        assert "Did you pay?" in question
        assert f'href="{reverse("portal_answer", args=[shared.id])}"' in page
        assert "Being worked on" in page
        assert "Triaged" not in page + as_pia.get(reverse("portal")).content.decode()

    def test_the_client_sees_who_opened_its_mail_and_why(self, as_pia, cast, settings):
        incident = open_phish(cast.acme)
        settings.ROOT_URLCONF = "console.urls"
        as_pia.force_login(cast.ana)
        as_pia.post(
            reverse("message_open", args=[message_of(incident).id]),
            {"what": "text", "reason": "Is the IBAN new?"},
        )
        settings.ROOT_URLCONF = "console.urls_portal"
        as_pia.force_login(cast.pia)

        page = as_pia.get(reverse("portal_access")).content.decode()
        assert "Ana" in page
        assert "Is the IBAN new?" in page
        assert "cfo@acme.example" in page

    def test_staff_have_no_business_in_the_portal(self, client, cast):
        client.force_login(cast.ana)
        assert client.get(reverse("portal")).status_code == 404

    def test_a_client_is_told_how_it_stands_in_one_sentence(self, as_pia, cast):
        assert "You are protected" in as_pia.get(reverse("portal")).content.decode()

        open_phish(cast.acme)
        page = as_pia.get(reverse("portal")).content.decode()
        assert "Action is under way" in page
        assert "One dangerous mail lies within reach of your people." in page
        assert "No open incident" in page


def test_the_same_mail_at_two_clients_is_said_on_both_rows(as_ana, cast):
    here = open_phish(cast.acme)
    there = open_phish(cast.globex)

    page = as_ana.get(reverse("queue")).content.decode()
    assert page.count("2 clients") == 2
    assert (
        reverse("incident", args=[there.id])
        in as_ana.get(reverse("incident", args=[here.id]))
        .content.decode()
        .partition("The same at 1 other client")[2]
    )


def test_an_analyst_learns_nothing_of_the_same_mail_at_a_client_that_is_not_hers(client, cast):
    here = open_phish(cast.acme)
    open_phish(cast.globex)
    client.force_login(cast.bo)

    assert "2 clients" not in client.get(reverse("queue")).content.decode()
    page = client.get(reverse("incident", args=[here.id])).content.decode()
    assert "The same at other clients" not in page


def test_going_back_in_the_browser_gets_the_whole_page(as_ana, phish):
    answer = as_ana.get(
        reverse("queue"), headers={"HX-Request": "true", "HX-History-Restore-Request": "true"}
    )

    assert "<html" in answer.content.decode()


def test_a_list_costs_the_same_queries_however_long_it_is(as_ana, cast):
    def counted():
        found = {}
        for name in LISTS:
            with CaptureQueriesContext(connection) as queries:
                as_ana.get(reverse(name))
            found[name] = len(queries)
        return found

    open_phish(cast.acme, 1)
    before = counted()
    for number in range(2, 6):
        open_phish(cast.acme, number)

    assert {name: count for name, count in before.items() if count > 25} == {}
    assert counted() == before


def test_signing_in_is_on_record(client, cast):
    client.post(reverse("login"), {"email": cast.ana.email, "password": "a long enough password"})

    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        [entry] = AuditEntry.objects.filter(action="tenants.person.signed_in")
    assert entry.actor_name == "Ana"


def test_the_list_of_mail_shows_the_mails_of_one_replay(as_ana, cast, phish):
    ulid = "01J00000000000000000000001"
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        sent, other = (
            Job.objects.create(tenant=cast.acme, kind=Job.Kind.REPLAY, detail={"ulids": [each]}).id
            for each in (ulid, ulid.replace("1", "2"))
        )

    def page(job_id):
        return as_ana.get(reverse("mail"), {"replay": job_id}).content.decode()

    assert "Invoice 4711" in page(sent)
    assert f'name="replay" value="{sent}"' in page(sent)
    assert "Invoice 4711" not in page(other)
    assert "Invoice 4711" not in page("not-an-id")
