"""The live connection of a page: it says what changed, and the page fetches it again.

The groups come from the server's side; whether the person may still see the client, and the thing,
is asked again for every event that is sent.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from typing_extensions import override

from incidents.announce import tenant_group
from incidents.models import Incident, Job
from tenants.auth import PersonBackend
from tenants.middleware import scope_role
from tenants.models import Person
from tenants.scope import tenant_scope

NOT_SIGNED_IN = 4401


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """Sends ``{"type": "changed", "what": "incident", "id": …}`` and takes nothing in."""

    person_id: UUID

    @override
    async def connect(self) -> None:
        person = self.scope["user"]
        if not person.is_authenticated:
            await self.close(NOT_SIGNED_IN)
            return
        self.person_id = person.id
        self.groups_joined = [tenant_group(tenant_id) for tenant_id in person.visible_tenant_ids]
        for group in self.groups_joined:
            await self.channel_layer.group_add(group, self.channel_name)
        await self.accept()

    @override
    async def disconnect(self, code: int) -> None:
        for group in getattr(self, "groups_joined", []):
            await self.channel_layer.group_discard(group, self.channel_name)

    @override
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """A page has nothing to say here; what it sends is dropped."""

    async def changed(self, event: dict[str, Any]) -> None:
        person = await database_sync_to_async(PersonBackend().get_user)(self.person_id)
        if person is None:
            await self.close(NOT_SIGNED_IN)
            return
        if await database_sync_to_async(may_see)(person, event):
            await self.send_json({"type": "changed", "what": event["what"], "id": event["id"]})


_MODELS = {"incident": Incident, "job": Job}


def may_see(person: Person, event: dict[str, Any]) -> bool:
    """Is the client one of hers now, the thing within her sight, and what happened her business?"""
    tenant_id = event["tenant_id"]
    if tenant_id not in person.visible_tenant_ids:
        return False
    if event["is_for_staff"] and not person.is_staff_of_provider:
        return False
    with tenant_scope(scope_role(person), [tenant_id]):
        return bool(_MODELS[event["what"]].objects.filter(id=event["id"]).exists())
