"""The database calls off one of two requests that wait for each other: she may send it again."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from django.urls import reverse

from console.api import layers
from console.views import rules
from tenants.errors import domain_error_of
from tenants.scope import Role, tenant_scope
from tenants.services import create_api_token
from tests.factories import Cast

pytestmark = pytest.mark.usefixtures("no_broker")
TOLD = "Somebody else was changing the same"


def called_off(state: str) -> Any:
    """What was written before is undone, as the database leaves it."""

    def act(*_: Any, **__: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")

    return act


def import_list(client: Any, **headers: str) -> Any:
    lines = b"client,kind,match,value\nacme,block,sender,eve@evil.example\n"
    file = SimpleUploadedFile("list.csv", lines, "text/csv")
    return client.post(reverse("rules_import"), {"file": file}, headers=headers)


@pytest.mark.parametrize("state", ["40P01", "40001", "55P03"])
def test_a_page_says_so(client, cast: Cast, monkeypatch: pytest.MonkeyPatch, state: str):
    client.force_login(cast.ana)
    with monkeypatch.context() as patch:
        patch.setattr(rules, "rehearse_wish", called_off(state))
        page = import_list(client)
        toast = import_list(client, HX_Request="true")
    assert (page.status_code, TOLD in page.content.decode()) == (409, True)
    assert (toast["HX-Retarget"], TOLD in toast.content.decode()) == ("#toasts", True)
    assert import_list(client).status_code == 302


def test_the_api_says_so(client, cast: Cast, monkeypatch: pytest.MonkeyPatch):
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        token = create_api_token(person=cast.ana, name="t", actor=cast.ana)
    send = {"Authorization": f"Bearer {token}", "Idempotency-Key": "once"}

    def rehearse() -> Any:
        wish = {"do": "add_rule", "kind": "block", "match": "sender", "value": "e@evil.example"}
        body = wish | {"tenants": ["acme"]}
        return client.post("/api/v1/rehearsals/", body, "application/json", headers=send)

    with monkeypatch.context() as patch:
        patch.setattr(layers, "rehearse_wish", called_off("40P01"))
        refused = rehearse()
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert TOLD in refused.json()["detail"]
    assert rehearse().status_code == 201, "the same key again acts"


def test_what_is_a_fault_of_ours_stays_one(client, cast: Cast, monkeypatch: pytest.MonkeyPatch):
    client.force_login(cast.ana)
    monkeypatch.setattr(rules, "rehearse_wish", called_off("57014"))
    with pytest.raises(OperationalError) as caught:
        import_list(client)
    assert domain_error_of(caught.value) is None
    assert domain_error_of(OperationalError("no connection")) is None
