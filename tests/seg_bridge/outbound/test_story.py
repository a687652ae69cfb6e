"""The story of a sender that the gateway stopped: each thing once, with who, and by what way."""

from __future__ import annotations

import json

import pytest
from django.db import ProgrammingError
from django.utils import translation

from incidents.models import Incident
from incidents.reports.document import build_document
from incidents.services import share_incident, unshare_incident
from incidents.story import tell_story
from seg_bridge.outbound.models import SenderStop, SubmissionLogin
from seg_bridge.outbound.services import end_login, make_login
from seg_bridge.outbound.stopping import lift_stop
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, mail_json
from tests.seg_bridge.conftest import Wire
from tests.seg_bridge.outbound.parts import CEO, accounts, analyst, sent, stopped, stops
from tests.seg_bridge.outbound.test_stopping import serve

SENDER = {"address": CEO, "name": "Carla", "raw": CEO}
SUBMITTED = {"sent_by": {"by": "login acme.1a2b", "mailbox": CEO}, "client_ip": "203.0.113.77"}


def told(cast: Cast) -> list[str]:
    """The headline, then the lines."""
    (incident,) = accounts(cast)
    with analyst(cast):
        incident.refresh_from_db()
        story = tell_story(incident)
    lines = [f"{line.lane}: {line.lead} {line.text}".strip() for line in story.lines]
    return [story.headline, *lines]


def alike(cast: Cast, *numbers: int):
    mail = mail_json(subject="You have won!", sender=SENDER, from_all=[SENDER])
    return [sent(cast, number, mail=mail, detail=SUBMITTED) for number in numbers]


def test_alike_mails_are_told_once_with_the_way_they_came(cast: Cast, wire: Wire):
    wire.ship(*alike(cast, 0, 1, 2), stopped(cast, 0, 1, 2))
    serve(cast)
    lines = told(cast)
    [wrote] = [line for line in lines if line.startswith("sender:")]
    assert wrote.startswith(f"sender: “Carla” wrote 3 mails from {CEO}. Within ")
    assert wrote.endswith(
        "all alike. Subject: You have won! Submitted by the login acme.1a2b, from the address"
        " 203.0.113.77."
    )
    assert len([line for line in lines if line.startswith("gateway: Held it. Three copies.")]) == 1


def test_the_headline_says_who_is_stopped_until_somebody_lets_it_send(cast: Cast, wire: Wire):
    wire.ship(*alike(cast, 0, 1), stopped(cast, 0, 1))
    serve(cast)
    stop = stops(cast)[0]
    assert told(cast)[0].endswith(f"The gateway stopped {CEO} from sending.")
    with analyst(cast):
        lift_stop(stop=stop, actor=cast.ana, reason="New secret")
    above, *lines = told(cast)
    assert above.endswith(f"The gateway stopped {CEO} from sending. It may send again.")
    assert f"action: Ana let {CEO} send again. New secret." in lines


def test_the_story_says_that_the_login_has_ended(cast: Cast, wire: Wire):
    with analyst(cast):
        name, _ = make_login(tenant=cast.acme, purpose="Plotter", actor=cast.mo)
    by = {"sent_by": {"by": f"login {name}", "mailbox": CEO}}
    wire.ship(sent(cast, 0, detail=by), stopped(cast, 0))
    serve(cast)
    with analyst(cast):
        login = SubmissionLogin.objects.select_related("tenant").get()
        end_login(login=login, actor=cast.mo)
        lift_stop(stop=stops(cast)[0], actor=cast.ana, reason="She is careless")
    assert f"action: Mo ended the login {name}. It was made for: Plotter." in told(cast)


def test_the_clients_report_tells_of_both_without_what_was_written_among_ourselves(
    cast: Cast, wire: Wire
):
    test_the_story_says_that_the_login_has_ended(cast, wire)
    (incident,) = accounts(cast)
    with analyst(cast):
        ours, hers = (
            json.dumps(build_document(incident, audience=each, created_by="Ana"))
            for each in ("internal", "client")
        )
    for private in ("Plotter", "She is careless"):
        assert private in ours
        assert private not in hers
    assert f"Ana let {CEO} send again." in hers
    assert "Mo ended the login" in hers


def test_the_portal_says_who_let_it_send_again_and_not_why(cast: Cast, wire: Wire):
    test_the_story_says_that_the_login_has_ended(cast, wire)
    (incident,) = accounts(cast)

    def leads(language: str) -> list[str]:
        with tenant_scope(Role.PORTAL, [cast.acme.id]), translation.override(language):
            found = Incident.objects.select_related("tenant").get(id=incident.id)
            lines = tell_story(found, is_for_client=True).lines
        assert not any("careless" in line.text for line in lines)
        return [line.lead for line in lines if line.lane == "action"]

    with analyst(cast):
        share_incident(incident=incident, actor=cast.ana)
    assert leads("en") == [f"Ana let {CEO} send again."]
    assert leads("de") == [f"Ana lässt {CEO} wieder senden."]
    for hidden in ("lift_reason", "words", "evidence", "gate_name", "cause", "stop_ulid"):
        with pytest.raises(ProgrammingError), tenant_scope(Role.PORTAL, [cast.acme.id]):
            list(SenderStop.objects.values_list(hidden))
    with analyst(cast):
        unshare_incident(incident=incident, actor=cast.ana)
    with tenant_scope(Role.PORTAL, [cast.acme.id]):
        assert not SenderStop.objects.values_list("id")


def test_mails_that_differ_are_told_apart(cast: Cast, wire: Wire):
    wire.ship(sent(cast, 1), sent(cast, 2), stopped(cast, 1, 2))
    serve(cast)
    wrote = [line for line in told(cast) if line.startswith("sender:")]
    assert [line.rpartition(" ")[2] for line in wrote] == ["1.", "2."]
