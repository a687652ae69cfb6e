"""Asking Microsoft's consent page for one registration, and what the browser brings back.

What comes back is a claim: an unauthenticated GET that anybody can write.  It counts only with the
state that was handed out, once, within ten minutes, in the browser that it was handed to; and then
a worker proves it by a token (proof.py).
Source: https://learn.microsoft.com/entra/identity-platform/v2-admin-consent, read November 2026.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from api_bridge.access.clouds import cloud_named
from api_bridge.access.models import OF_CLIENTS, Consent, Purpose
from api_bridge.access.registrations import QUEUE, registrations
from api_bridge.models import Connection
from api_bridge.tokens import GUID
from tenants.audit import write_audit
from tenants.errors import Conflict, NotThere, WrongInput
from tenants.models import Domain, Person, Tenant
from tenants.people import must_lead
from tenants.work import want_work

ASKED = "api_bridge.consent.asked"
RETURNED = "api_bridge.consent.returned"
MISUSED = "api_bridge.consent.misused"
LEADS = "A lead connects clients' mail hosts."
LIFE = timedelta(minutes=10)
STATE_BYTES = 32
MOST_WORDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Microsoft's redirect says.  ``error`` "": it says that consent was given."""

    state: str
    cloud_tenant_id: str = ""
    is_consented: bool = False
    error: str = ""
    description: str = ""

    @property
    def stage(self) -> str:
        if self.error:
            return Consent.Stage.REFUSED
        is_yes = self.is_consented and GUID.match(self.cloud_tenant_id)
        return Consent.Stage.RETURNED if is_yes else Consent.Stage.FAILED

    @property
    def words(self) -> str:
        if not self.error:
            neither = "Microsoft's answer said neither yes nor no. Begin again."
            return "" if self.stage == Consent.Stage.RETURNED else neither
        said = " ".join(f"{self.error}: {self.description}".split())[:MOST_WORDS]
        return f"Microsoft's page said no: {said}"


def digest_of(secret: str) -> str:
    """Under which a state, a session or a link is kept: 64 hex digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    return secrets.token_urlsafe(STATE_BYTES)


def console_return() -> str:
    """Where Microsoft sends the browser of a person of the provider back to."""
    return f"{settings.CONSOLE_URL}/console/consent"


def portal_return() -> str:
    """Where it sends the browser of a client's admin back to."""
    return f"{settings.PORTAL_URL}/portal/consent"


def consent_address(
    *, cloud: str, client_id: str, state: str, back_to: str, cloud_tenant_id: str = ""
) -> str:
    """Microsoft's page; where the cloud tenant is known, that tenant's own."""
    where = cloud_named(cloud)
    base = where.people_url or where.authority_url
    query = {
        "client_id": client_id,
        "scope": f"{where.api_url}/.default",
        "redirect_uri": back_to,
        "state": state,
    }
    tenant = cloud_tenant_id or "organizations"
    return f"{base}/{tenant}/v2.0/adminconsent?{urlencode(query)}"


@transaction.atomic
def ask_consent(*, tenant: Tenant, purpose: str, person: Person, session_key: str) -> str:
    """The address that the person's browser is sent to.

    Raises ``NotAllowed``, or ``WrongInput`` and ``Conflict`` with what has to be done first.
    """
    must_lead(person, LEADS)
    check_can_ask(tenant, purpose)
    registration = registrations()[purpose]
    state = new_secret()
    consent = Consent.objects.create(
        tenant=tenant,
        purpose=purpose,
        client_id=registration.client_id,
        state=digest_of(state),
        holder=holder_of(person, session_key),
        asked_by=person.name,
        ends_at=timezone.now() + LIFE,
    )
    write_audit(
        ASKED,
        actor=person,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="consent",
        object_id=consent.id,
        purpose=purpose,
    )
    return consent_address(
        cloud=registration.cloud,
        client_id=registration.client_id,
        state=state,
        back_to=console_return(),
        cloud_tenant_id=known_cloud_tenant(tenant),
    )


def check_can_ask(tenant: Tenant, purpose: str, *, with_others: bool = False) -> None:
    """``with_others``: *detect* is asked for before it.  Raises ``WrongInput``, ``Conflict``."""
    if purpose not in OF_CLIENTS:
        raise WrongInput("Choose what the client is asked for.")
    if purpose not in registrations():
        label = Purpose(purpose).label
        raise Conflict(f"There is no app registration for “{label}” yet. A lead enters it first.")
    if not Domain.objects.filter(tenant=tenant).exists():
        raise Conflict(
            "Enter a domain of the client first: by its domains the cloud tenant is known to be"
            " the client's."
        )
    if purpose != Purpose.DETECT and not with_others and not _is_connected(tenant):
        raise Conflict("Ask for “Detect” first: it proves whose cloud tenant it is.")


def _is_connected(tenant: Tenant) -> bool:
    return bool(known_cloud_tenant(tenant))


def known_cloud_tenant(tenant: Tenant) -> str:
    """The client's Microsoft tenant, "" while none is connected."""
    known = Connection.objects.filter(tenant=tenant, kind=Connection.Kind.GRAPH)
    return known.values_list("cloud_tenant_id", flat=True).first() or ""


def holder_of(person: Person, session_key: str) -> str:
    """The person in this very session."""
    return digest_of(f"{person.id}/{session_key}")


def take_answer(*, answer: Answer, person: Person, session_key: str) -> Consent:
    """The state is used up by this, whatever the answer says.

    Raises ``NotThere`` for a state that was not handed to this person in this session: unknown,
    somebody else's and another client's get the same answer.  Raises ``Conflict`` for one that was
    used, or is older than ten minutes.
    """
    rows = Consent.objects.select_for_update(of=("self",)).select_related("tenant")
    consent = rows.filter(state=digest_of(answer.state), link=None).first()
    if consent is None:
        raise NotThere
    if not secrets.compare_digest(consent.holder, holder_of(person, session_key)):
        _note_misuse(consent, person)
        raise NotThere
    if consent.stage != Consent.Stage.ASKED or consent.ends_at <= timezone.now():
        raise Conflict("This consent was used already, or took longer than ten minutes.")
    consent.stage, consent.words = answer.stage, answer.words
    is_back = consent.stage == Consent.Stage.RETURNED
    consent.cloud_tenant_id = answer.cloud_tenant_id.lower() if is_back else ""
    consent.returned_at = timezone.now()
    if consent.stage != Consent.Stage.RETURNED:
        consent.settled_at = consent.returned_at
    consent.save(update_fields=["stage", "words", "cloud_tenant_id", "returned_at", "settled_at"])
    write_audit(
        RETURNED,
        actor=person,
        provider_id=consent.tenant.provider_id,
        tenant_id=consent.tenant_id,
        object_kind="consent",
        object_id=consent.id,
        reason=consent.words,
        stage=consent.stage,
        cloud_tenant_id=consent.cloud_tenant_id,
    )
    want_work(consent.tenant_id, QUEUE)
    return consent


def _note_misuse(consent: Consent, person: Person) -> None:
    write_audit(
        MISUSED,
        actor=person,
        provider_id=consent.tenant.provider_id,
        tenant_id=consent.tenant_id,
        object_kind="consent",
        object_id=consent.id,
        reason="Brought back in another session than it was asked for in.",
    )
