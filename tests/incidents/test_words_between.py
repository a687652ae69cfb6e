"""Comments, mentions, calls, steps; what the portal may read of them is the database's word."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from api_bridge.models import Connection
from incidents.models import Comment, Incident, Job, Mention, Pause, Report, Task
from incidents.remediation import pull_incident
from incidents.reports.document import build_document
from incidents.services import share_incident, take_incident, unshare_incident
from incidents.services.comments import add_comment, log_call, mark_seen
from incidents.services.tasks import add_task, save_template, settle_task, start_tasks
from incidents.services.waiting import stop_waiting, wait_for
from incidents.story import tell_story
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.models import Assignment, Person
from tenants.scope import maintenance_scope
from tests.factories import Cast
from tests.incidents.work_on import open_incident, portal, staff


@pytest.fixture
def phish(cast: Cast) -> Incident:
    return open_incident(cast.acme)


def share(incident: Incident, cast: Cast) -> None:
    with staff(cast):
        share_incident(incident=incident, actor=cast.ana)


def is_denied(statement: str) -> bool:
    with pytest.raises(DatabaseError) as refused, transaction.atomic():
        connection.cursor().execute(statement)
    return "permission denied" in str(refused.value)


def test_a_comment_is_internal_unless_somebody_decides_otherwise(cast, phish):
    with staff(cast):
        assert add_comment(incident=phish, actor=cast.ana, text="Odd").is_internal
        with pytest.raises(WrongInput):
            add_comment(incident=phish, actor=cast.ana, text="Odd", audience="everybody")
        with pytest.raises(WrongInput):
            add_comment(incident=phish, actor=cast.ana, text="  ")


def test_the_portal_reads_client_comments_of_shared_incidents_and_no_others(cast, phish):
    other = open_incident(cast.acme, 2)
    assert other.id != phish.id
    with staff(cast):
        for incident in (phish, other):
            add_comment(incident=incident, actor=cast.ana, text="Among us")
            add_comment(incident=incident, actor=cast.ana, text="For you", audience="client")
    with portal(cast.acme):
        assert not Comment.objects.exists()
    share(phish, cast)
    with portal(cast.acme):
        assert [(c.incident_id, c.text) for c in Comment.objects.all()] == [(phish.id, "For you")]
        assert Comment.objects.filter(audience="internal").count() == 0
    with portal(cast.globex):
        assert not Comment.objects.exists()
    with staff(cast):
        unshare_incident(incident=phish, actor=cast.ana)
    with portal(cast.acme):
        assert not Comment.objects.exists()


def test_the_portal_writes_no_comment_whatever_the_code_tries(cast, phish):
    share(phish, cast)
    with portal(cast.acme), pytest.raises(DatabaseError), transaction.atomic():
        Comment.objects.create(tenant=cast.acme, incident=phish, text="x", author_name="Pia")


def test_a_comment_is_never_changed_not_even_by_us(cast, phish):
    with staff(cast):
        comment = add_comment(incident=phish, actor=cast.ana, text="Odd")
        with pytest.raises(DatabaseError), transaction.atomic():
            Comment.objects.filter(id=comment.id).update(audience="client")


def test_the_portal_reads_pauses_that_ask_the_client_and_no_others(cast, phish):
    share(phish, cast)
    with staff(cast):
        wait_for(incident=phish, actor=cast.ana, cause="vendor", asked="Ticket 12 at the host")
        stop_waiting(incident=phish, actor=cast.ana)
        wait_for(incident=phish, actor=cast.ana, cause="client_answer", asked="Was it paid?")
    with portal(cast.acme):
        assert [pause.asked for pause in Pause.objects.all()] == ["Was it paid?"]


def test_the_portal_reads_its_own_reports_and_jobs_only(cast, phish):
    hidden = open_incident(cast.acme, 2)
    assert hidden.id != phish.id
    share(phish, cast)
    with staff(cast):
        for incident in (phish, hidden):
            pull_incident(incident=incident, actor=cast.ana, reason="It is phishing")
            for audience in ("internal", "client"):
                Report.objects.create(
                    tenant=cast.acme, incident=incident, audience=audience, document={}
                )
        Job.objects.create(tenant=cast.acme, kind=Job.Kind.REPLAY)
    with portal(cast.acme):
        assert {(r.incident_id, r.audience) for r in Report.objects.all()} == {(phish.id, "client")}
        assert {job.incident_id for job in Job.objects.all()} == {phish.id}


@pytest.mark.parametrize(
    "table",
    [
        *("tenants_auditentry", "incidents_callnote", "incidents_task", "incidents_mention"),
        *("incidents_quiet", "incidents_suppression", "incidents_slaplan"),
    ],
)
def test_the_portal_has_no_right_at_all_on_what_staff_keep_to_themselves(cast, table):
    with portal(cast.acme):
        assert is_denied(f"SELECT count(*) FROM {table}")


def test_the_portal_sees_that_a_connection_is_blind_and_none_of_its_secrets(cast):
    with staff(cast):
        Connection.objects.create(
            tenant=cast.acme, cloud_tenant_id="c", client_id="c", sealed_secret=b"sealed"
        )
    with portal(cast.acme):
        assert Connection.objects.only("tenant_id", "blind_since").get().blind_since is None
        for column in ("sealed_secret", "sealed_certificate", "client_id", "last_error"):
            assert is_denied(f"SELECT {column} FROM api_bridge_connection"), column


def test_a_first_name_calls_a_colleague_of_this_client(cast, phish):
    with staff(cast):
        add_comment(incident=phish, actor=cast.ana, text="@Bo, look. mail@mo.example @Nobody @Ana")
        assert [m.person_name for m in Mention.objects.all()] == ["Bo"]
        mark_seen(incident=phish, person=cast.ana)
        assert Mention.objects.get().seen_at is None, "not her mention"
        mark_seen(incident=phish, person=cast.bo)
        assert Mention.objects.get().seen_at is not None


def test_a_first_name_that_two_share_calls_nobody_and_a_whole_one_does(cast, phish):
    with maintenance_scope():
        other = Person.objects.create(
            provider=cast.provider, name="Bo Smith", email="bo2@keep.example", role="analyst"
        )
        Assignment.objects.create(tenant=cast.acme, person=other)
        Person.objects.filter(id=cast.bo.id).update(name="Bo Jones")
    with staff(cast):
        add_comment(incident=phish, actor=cast.ana, text="@Bo, look")
        assert not Mention.objects.exists()
        add_comment(incident=phish, actor=cast.ana, text="x", mention_ids=[other.id])
        assert [m.person_name for m in Mention.objects.all()] == ["Bo Smith"]


def test_nobody_is_called_to_a_client_that_is_not_hers(cast):
    incident = open_incident(cast.globex)
    with staff(cast):
        add_comment(incident=incident, actor=cast.ana, text="@Bo look")
        assert not Mention.objects.exists()
        with pytest.raises(WrongInput, match="who work for Globex"):
            add_comment(incident=incident, actor=cast.ana, text="x", mention_ids=[cast.bo.id])


def test_a_call_stands_in_the_story_as_stated_and_not_in_the_clients(cast, phish):
    share(phish, cast)
    with staff(cast):
        log_call(incident=phish, actor=cast.ana, whom="it@acme.example", said="No payment made.")
        lines = [f"{line.lead} {line.text}" for line in tell_story(phish).lines]
        assert any("Ana phoned it@acme.example: No payment made. (stated" in line for line in lines)
        said = str(build_document(phish, audience="client", created_by="Ana")["timeline"])
        assert "No payment" not in said
        assert "shared it with the client" not in said
        whole = str(build_document(phish, audience="internal", created_by="Ana")["timeline"])
        assert "No payment" in whole
    with portal(cast.acme):
        seen = Incident.objects.select_related("tenant").get(id=phish.id)
        assert not any("phoned" in line.lead for line in tell_story(seen).lines)


def test_steps_come_from_the_newest_template_of_the_kind_and_say_which(cast, phish):
    provider = cast.provider.id
    with staff(cast):
        save_template(provider_id=provider, kind="", steps=["For all"], actor=cast.mo)
        save_template(provider_id=provider, kind="phish", steps=["Old"], actor=cast.mo)
        save_template(provider_id=provider, kind="phish", steps=["Look", "Call"], actor=cast.mo)
        take_incident(incident=phish, actor=cast.ana)
        tasks = list(Task.objects.order_by("position"))
        assert [(t.title, t.template) for t in tasks] == [
            ("Look", "phish v2"),
            ("Call", "phish v2"),
        ]
        save_template(provider_id=provider, kind="phish", steps=["New"], actor=cast.mo)
        assert start_tasks(incident=phish, actor=cast.ana) == 0, "it has its steps"


def test_steps_for_all_clients_are_a_leads_to_say(cast):
    with staff(cast), pytest.raises(NotAllowed, match="by a lead"):
        save_template(provider_id=cast.provider.id, kind="phish", steps=["Look"], actor=cast.ana)


def test_a_step_is_settled_once_and_the_second_hears_by_whom(cast, phish):
    with staff(cast):
        task = add_task(incident=phish, actor=cast.ana, title="Call the bank")
        stale = Task.objects.select_related("incident").get(id=task.id)
        settle_task(task=task, actor=cast.ana, state="done")
        with pytest.raises(Conflict, match="Ana changed this task"):
            settle_task(task=stale, actor=cast.bo, state="skipped")
        settle_task(task=task, actor=cast.bo, state="open")
        assert Task.objects.get().done_by == ""
