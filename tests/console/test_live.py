"""The live connection: it names what changed, to those who may see it, and nothing else."""

import json

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from console.live.consumer import LiveConsumer, may_see
from incidents.announce import tenant_group
from incidents.models import Incident
from tenants.auth import PersonBackend
from tenants.models import Assignment, Person, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.factories import Cast


def make_incident(tenant: Tenant) -> Incident:

    with tenant_scope(Role.WORKER, [tenant.id]):
        return Incident.objects.create(
            tenant=tenant,
            number=1,
            title="x",
            kind="phish",
            severity="low",
            first_seen_at=timezone.now(),
            last_seen_at=timezone.now(),
        )


def signed_in(person: Person) -> Person:
    found = PersonBackend().get_user(person.id)
    assert found is not None
    return found


def event_of(incident: Incident, *, is_for_staff: bool = False) -> dict[str, object]:
    return {
        "type": "changed",
        "what": "incident",
        "id": str(incident.id),
        "tenant_id": incident.tenant_id,
        "is_for_staff": is_for_staff,
    }


async def connect(person: object) -> tuple[ApplicationCommunicator, bool]:
    scope = {"type": "websocket", "path": "/live", "headers": [], "user": person}
    socket = ApplicationCommunicator(LiveConsumer.as_asgi(), scope)
    await socket.send_input({"type": "websocket.connect"})
    answer = await socket.receive_output(timeout=5)
    return socket, answer["type"] == "websocket.accept"


@pytest.mark.django_db(transaction=True)
async def test_nobody_listens_without_signing_in(services: object):
    _, connected = await connect(AnonymousUser())
    assert not connected


def test_an_event_is_for_those_who_may_see_the_thing(cast: Cast):
    acme, globex = make_incident(cast.acme), make_incident(cast.globex)
    bo, ana, pia = signed_in(cast.bo), signed_in(cast.ana), signed_in(cast.pia)
    assert may_see(bo, event_of(acme))
    assert not may_see(bo, event_of(globex))
    assert may_see(ana, event_of(globex))
    assert not may_see(pia, event_of(acme)), "not shared with the client"


def test_a_client_does_not_hear_when_staff_open_what_is_shared_with_her(cast: Cast):
    acme = make_incident(cast.acme)
    with tenant_scope(Role.WORKER, [cast.acme.id]):
        Incident.objects.filter(id=acme.id).update(shared_at=timezone.now())
    bo, pia = signed_in(cast.bo), signed_in(cast.pia)
    assert may_see(pia, event_of(acme))
    assert not may_see(pia, event_of(acme, is_for_staff=True))
    assert may_see(bo, event_of(acme, is_for_staff=True))


@pytest.mark.django_db(transaction=True)
async def test_a_withdrawn_client_is_silent_at_once(transactional_cast: Cast):
    cast = transactional_cast
    incident = await database_sync_to_async(make_incident)(cast.acme)
    bo = await database_sync_to_async(signed_in)(cast.bo)
    socket, connected = await connect(bo)
    assert connected
    send = get_channel_layer().group_send
    await send(tenant_group(cast.acme.id), event_of(incident))
    frame = await socket.receive_output(timeout=5)
    assert json.loads(frame["text"]) == {
        "type": "changed",
        "what": "incident",
        "id": str(incident.id),
    }

    def withdraw() -> None:
        with maintenance_scope():
            Assignment.objects.filter(person=cast.bo).delete()

    await database_sync_to_async(withdraw)()
    await send(tenant_group(cast.acme.id), event_of(incident))
    assert await socket.receive_nothing(timeout=0.5)
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait()
