"""A link for the client's own admin, who has no login here: consent without one.

The token is 256 bits of chance; only its digest is kept, so that nobody who reads the database can
use it.  It can be opened for three days and once: opening binds it to that browser, which then has
ten minutes for all that it asks for.  The portal's login writes nothing but through three doors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from api_bridge.access.consent import (
    LEADS,
    Answer,
    check_can_ask,
    consent_address,
    digest_of,
    new_secret,
    portal_return,
)
from api_bridge.access.models import OF_CLIENTS, ConsentLink, Purpose
from api_bridge.access.permissions import NEEDS, WHAT_FOR, WITHOUT_ANY, Need
from api_bridge.access.registrations import QUEUE
from tenants.audit import write_audit
from tenants.doors import ask
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.models import Person, Tenant
from tenants.people import must_lead
from tenants.work import ring

MADE = "api_bridge.consent_link.made"
WITHDRAWN = "api_bridge.consent_link.withdrawn"
OPEN_FOR = timedelta(days=3)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}\Z")


@transaction.atomic
def make_link(*, tenant: Tenant, purposes: Sequence[str], actor: Person) -> str:
    """The address, which is shown once.  Raises ``NotAllowed``, ``WrongInput`` or ``Conflict``."""
    must_lead(actor, LEADS)
    wanted = [each.value for each in OF_CLIENTS if each in purposes]
    if not wanted:
        raise WrongInput("Choose at least one thing that the client is asked for.")
    for purpose in wanted:
        check_can_ask(tenant, purpose, with_others=Purpose.DETECT in wanted)
    token = new_secret()
    link = ConsentLink.objects.create(
        tenant=tenant,
        purposes=wanted,
        digest=digest_of(token),
        made_by=actor.name,
        open_until=timezone.now() + OPEN_FOR,
    )
    write_audit(
        MADE,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="consent_link",
        object_id=link.id,
        purposes=wanted,
    )
    return f"{settings.PORTAL_URL}/portal/connect/{token}"


@transaction.atomic
def withdraw_link(*, link: ConsentLink, actor: Person) -> None:
    """Nobody can use it any more.  Raises ``NotAllowed``, or ``Conflict`` where it is over."""
    must_lead(actor, LEADS)
    standing = ConsentLink.objects.filter(id=link.id, withdrawn_at=None)
    if not standing.update(withdrawn_at=timezone.now()):
        raise Conflict("This link was withdrawn already.")
    write_audit(
        WITHDRAWN,
        actor=actor,
        provider_id=link.tenant.provider_id,
        tenant_id=link.tenant_id,
        object_kind="consent_link",
        object_id=link.id,
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One registration of a link.  ``stage`` "": not answered yet."""

    purpose: str
    label: str
    what_for: str
    without: str
    needs: tuple[Need, ...]
    stage: str
    words: str

    @property
    def is_open(self) -> bool:
        return self.stage not in ("returned", "granted")


@dataclass(frozen=True, slots=True)
class OpenLink:
    """What whoever has the link sees.  ``ends_at`` None: it was not opened yet."""

    client: str
    provider: str
    made_by: str
    ends_at: datetime | None
    open_until: datetime | None
    steps: list[Step]

    @property
    def is_moving(self) -> bool:
        return any(step.stage == "returned" for step in self.steps)


def read_link(token: str, browser: str) -> OpenLink:
    """``browser``: the secret that this browser keeps, "" for none.  Changes nothing.

    Raises ``NotThere`` for a link that is none, or good no more for this browser.
    """
    found = ask("door_consent_link", _digest(token), digest_of(browser) if browser else "")
    if found is None:
        raise NotThere
    return OpenLink(
        client=found["client"],
        provider=found["provider"],
        made_by=found["made_by"],
        ends_at=parse_datetime(found["ends_at"]) if found["ends_at"] else None,
        open_until=parse_datetime(found["open_until"]),
        steps=[_step(each) for each in found["steps"]],
    )


def _step(found: dict[str, Any]) -> Step:
    purpose = Purpose(found["purpose"])
    return Step(
        purpose=purpose.value,
        label=purpose.label,
        what_for=WHAT_FOR[purpose],
        without=WITHOUT_ANY[purpose],
        needs=NEEDS[purpose],
        stage=found["stage"],
        words=found["words"],
    )


def begin_step(token: str, browser: str, purpose: str) -> str:
    """Microsoft's page for this step; the first one opens the link.  Raises ``NotThere``."""
    state = new_secret()
    found = ask("door_consent_begin", _digest(token), digest_of(browser), purpose, digest_of(state))
    if found is None:
        raise NotThere
    return consent_address(
        cloud=found["cloud"],
        client_id=found["client_id"],
        state=state,
        back_to=portal_return(),
        cloud_tenant_id=found["cloud_tenant_id"],
    )


def return_to_link(answer: Answer, browser: str) -> None:
    """What the browser brought back; a worker proves it.  Raises ``NotThere``: the state is
    unknown, another browser's, used, or older than ten minutes.
    """
    stage = answer.stage
    cloud_tenant_id = answer.cloud_tenant_id.lower() if stage == "returned" else ""
    found = ask(
        "door_consent_return",
        digest_of(answer.state),
        digest_of(browser),
        cloud_tenant_id,
        stage,
        answer.words,
    )
    if found is None:
        raise NotThere
    transaction.on_commit(lambda: ring(QUEUE))


def _digest(token: str) -> str:
    if not _TOKEN.match(token):
        raise NotThere
    return digest_of(token)
