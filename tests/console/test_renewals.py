"""What waited for access is shown with who approved what, and answered once: by page and API."""

from __future__ import annotations

import pytest
from django.urls import reverse

from incidents.models import Renewal
from tenants.services import create_api_token
from tests.incidents.test_remediation import _scope
from tests.incidents.test_renewals import (  # noqa: F401 - fixtures
    THIRD,
    ask,
    boxes,
    come_back,
    incident,
    one_more,
    state_of,
    work,
)

pytestmark = pytest.mark.usefixtures("no_broker")


def text(response) -> str:
    return str(response.content.decode())


@pytest.fixture
def asked(cast, incident, boxes):  # noqa: F811
    job = ask(cast, incident)
    one_more(cast, boxes)
    return come_back(cast), job


def test_the_page_names_who_decided_and_what_differs(client, cast, asked):
    renewal, job = asked
    client.force_login(cast.bo)
    said = text(client.get(reverse("renewal", args=[renewal.id])))
    for words in (
        "Waits for a yes",
        "More than was approved",
        "Approved by Ana",
        "Came after it was approved",
        THIRD,
        "It came after Ana had asked for the pull.",
    ):
        assert words in said
    pages = [reverse("job", args=[job.id]), reverse("incident", args=[job.incident_id])]
    for page in (*pages, reverse("access", args=["acme"])):
        assert reverse("renewal", args=[renewal.id]) in client.get(page).content.decode()


def test_one_answer_settles_all_and_a_no_needs_its_reason(client, cast, asked):
    renewal, job = asked
    client.force_login(cast.bo)
    address = reverse("renewal_answer", args=[renewal.id])
    assert "Say why" in text(client.post(address, {"answer": "none"}))
    assert client.post(address, {"answer": "all"}).status_code == 302
    work(cast)
    assert state_of(cast, job)[1] == {"verified": 2}
    assert "answered by Bo" in text(client.post(address, {"answer": "all"}))
    assert "Bo answered “Yes, all of it”" in text(client.get(reverse("renewal", args=[renewal.id])))


def test_the_api_lists_shows_and_answers(client, cast, asked):
    renewal, _ = asked
    with _scope(cast.acme):
        token = create_api_token(person=cast.bo, name="t", actor=cast.mo)
    headers = {"Authorization": f"Bearer {token}"}
    listed = client.get("/api/v1/renewals?state=asked", headers=headers).json()["results"]
    assert [row["id"] for row in listed] == [str(renewal.id)]
    shown = client.get(f"/api/v1/renewals/{renewal.id}", headers=headers).json()
    differing = [row for row in shown["copies"] if row["differs"]]
    assert [(row["recipient"], row["action"], row["approved_by"]) for row in differing] == [
        (THIRD, None, "Ana")
    ]
    answered = client.post(
        f"/api/v1/renewals/{renewal.id}/answer",
        {"answer": "approved"},
        content_type="application/json",
        headers=headers,
    ).json()
    assert (answered["state"], answered["answered_by"]) == ("answered", "Bo")
    again = client.post(
        f"/api/v1/renewals/{renewal.id}/answer",
        {"answer": "all"},
        content_type="application/json",
        headers=headers,
    )
    assert again.status_code == 409
    with _scope(cast.acme):
        assert Renewal.objects.get().answer == "approved"
