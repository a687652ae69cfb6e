"""A pull that runs is stopped on its page or by the API, once, and everywhere says who did."""

from __future__ import annotations

import pytest
from django.urls import reverse

from incidents.models import Job
from incidents.remediation import pull_incident
from tenants.services import create_api_token
from tests.incidents.test_remediation import (  # noqa: F401 - fixtures
    _scope,
    incident,
    mailboxes,
    work,
)

pytestmark = pytest.mark.usefixtures("no_broker")


@pytest.fixture
def job(cast, incident):  # noqa: F811
    with _scope(cast.acme):
        return pull_incident(incident=incident, actor=cast.ana, reason="phish")


def text(response) -> str:
    return str(response.content.decode())


def test_the_page_asks_first_and_then_says_who_stopped_it(client, cast, job, mailboxes):  # noqa: F811
    client.force_login(cast.bo)
    page, stop = reverse("job", args=[job.id]), reverse("job_stop", args=[job.id])
    assert stop in text(client.get(page))
    question = text(client.get(stop))
    assert "Stop this pull?" in question
    assert "0 of 2 copies are done" in question
    assert client.post(stop, {"reason": "our own newsletter"}).url == page
    said = text(client.get(page))
    assert "Stopped by" in said
    assert cast.bo.name in said
    assert stop not in said, "it is stopped"
    row = text(client.get(reverse("queue"), {"tab": "team"}))
    assert f"Pull stopped by {cast.bo.name}: 0 of 2 done" in row
    work(cast.acme)
    assert mailboxes.moves == 0
    assert "nothing is left to be stopped" in text(client.get(stop))
    refused = client.post(stop, {"reason": "again"})
    assert refused.status_code == 409
    assert "It is over" in text(refused)


def test_the_api_stops_it_once(client, cast, job, mailboxes):  # noqa: F811
    with _scope(cast.acme):
        token = create_api_token(person=cast.bo, name="script", actor=cast.mo)
    headers = {"authorization": f"Bearer {token}", "idempotency-key": "stop-1"}
    address = f"/api/v1/jobs/{job.id}/stop"

    def post(**more):
        return client.post(
            address, {"reason": "x"}, content_type="application/json", headers=headers | more
        )

    answer = post()
    assert (answer.status_code, answer.json()["state"]) == (202, Job.State.FAILED)
    assert answer.json()["detail"]["stopped_by"] == cast.bo.name
    assert post().json() == answer.json(), "the same key is the same answer"
    assert post(**{"idempotency-key": "stop-2"}).status_code == 409
