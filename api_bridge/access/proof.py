"""A worker proves what a browser brought back, and connects the client.  Never inside a scope.

1. A token for the claimed cloud tenant: only a tenant that consented gives one.
2. For *detect*: ``/organization`` names that tenant, and one of its verified domains is a domain of
   the client; else whoever has a cloud tenant of his own could connect it to any client.
3. Other registrations must come from the tenant that *detect* has proven.
Microsoft needs seconds, seldom minutes, until a consent is known everywhere: refusals that may pass
are tried again until ``KNOWN_WITHIN`` is over.
"""

from __future__ import annotations

import base64
import binascii
import json
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from api_bridge import connectors
from api_bridge.access.models import AppRegistration, Consent, Grant, Purpose
from api_bridge.access.permissions import NEEDS
from api_bridge.access.registrations import open_registration
from api_bridge.connectors.graph.client import GraphClient, path
from api_bridge.errors import AccessDenied, AuthExpired, BridgeError, Temporary, Unexpected
from api_bridge.models import AccountLook, AccountStep, Connection
from api_bridge.runtime import shared_runtime
from api_bridge.tokens import TokenSource
from incidents.renewals import resume_waiting
from tenants.audit import Actor, write_audit
from tenants.doors import ClaimedWork
from tenants.ids import new_id
from tenants.models import Domain
from tenants.work import want_work, work_scope

SETTLED = "api_bridge.consent.settled"
CONNECTED = "api_bridge.connection.created"
KNOWN_WITHIN = timedelta(minutes=5)
AGAIN_AFTER = timedelta(seconds=5)
ANOTHER_TENANT = (
    "The consent came from another cloud tenant than the one that is connected. Whoever consents"
    " must be an admin of the client's own."
)
_MAY_PASS = frozenset({"needs_consent", "app_missing"})


@dataclass(frozen=True, slots=True)
class Token:
    """What an application's token says of itself."""

    bearer: str
    tenant_id: str
    roles: tuple[str, ...]


def read_token(bearer: str) -> Token:
    """From a token that came over TLS from the authority itself.  Raises ``Unexpected``.

    Nothing is decided by it but what to call; Graph checks the signature.
    """
    try:
        payload = bearer.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        roles = claims.get("roles", [])
        return Token(bearer, str(claims["tid"]).lower(), tuple(sorted(map(str, roles))))
    except (IndexError, KeyError, AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise Unexpected("The token does not say whose it is.", code="bad_token") from error


def fetch_token(connection: connectors.Connection) -> Token:
    """A new one.  Raises ``BridgeError``."""
    with closing(TokenSource(connection, shared_runtime().cache)) as source:
        return read_token(source.fetch_anew())


def read_organization(connection: connectors.Connection) -> tuple[str, frozenset[str]]:
    """Id of the cloud tenant and its verified domains.  Raises ``BridgeError``."""
    with closing(GraphClient(connection, shared_runtime())) as graph:
        data = graph.call("GET", path("organization", select="id,verifiedDomains")).json()
    try:
        (row,) = data["value"]
        domains = frozenset(str(each["name"]).lower() for each in row["verifiedDomains"])
        return str(row["id"]).lower(), domains
    except (KeyError, TypeError, ValueError) as error:
        raise Unexpected("The answer of /organization is not what its contract says.") from error


class NotProven(Exception):
    """What was brought back does not hold.  The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """One consent that came back, free of the database."""

    consent_id: UUID
    purpose: str
    cloud_tenant_id: str
    returned_at: datetime
    wired: connectors.Connection
    known_tenant: str
    domains: frozenset[str]


def prove_returned(claimed: ClaimedWork) -> datetime | None:
    """All that came back to this client; answers when to try again, None: nothing waits."""
    again = None
    for claim in _claims(claimed):
        try:
            token = _prove(claim)
        except NotProven as refusal:
            _settle(claimed, claim, Consent.Stage.FAILED, str(refusal))
        except BridgeError as error:
            if _may_pass(claim, error):
                again = timezone.now() + AGAIN_AFTER
            else:
                words = f"No token for this cloud tenant: {error}"
                _settle(claimed, claim, Consent.Stage.FAILED, words)
        else:
            _grant(claimed, claim, token)
    return again


def _claims(claimed: ClaimedWork) -> list[_Claim]:
    with work_scope(claimed):
        waiting = Consent.objects.filter(tenant_id=claimed.tenant_id, stage=Consent.Stage.RETURNED)
        registrations = {row.client_id: row for row in AppRegistration.objects.all()}
        known = Connection.objects.filter(kind=Connection.Kind.GRAPH)
        known_tenant = known.values_list("cloud_tenant_id", flat=True).first() or ""
        domains = frozenset(Domain.objects.values_list("name", flat=True))
        order = list(NEEDS)
        found = []
        for row in sorted(waiting, key=lambda row: (order.index(row.purpose), row.id)):
            registration = registrations.get(row.client_id)
            if registration is None:
                _note(claimed, row.id, Consent.Stage.FAILED, "The registration was changed since.")
                continue
            wired = open_registration(registration, row.cloud_tenant_id)
            returned_at = row.returned_at or row.asked_at
            claim = (row.id, row.purpose, row.cloud_tenant_id, returned_at, wired)
            found.append(_Claim(*claim, known_tenant, domains))
        return found


def _may_pass(claim: _Claim, error: BridgeError) -> bool:
    is_passing = isinstance(error, Temporary | AccessDenied) or (
        isinstance(error, AuthExpired) and error.code in _MAY_PASS
    )
    return is_passing and timezone.now() < claim.returned_at + KNOWN_WITHIN


def _prove(claim: _Claim) -> Token:
    """Raises ``NotProven`` or ``BridgeError``."""
    if claim.known_tenant and claim.cloud_tenant_id != claim.known_tenant:
        raise NotProven(ANOTHER_TENANT)
    token = fetch_token(claim.wired)
    if token.tenant_id != claim.cloud_tenant_id:
        raise NotProven("The token is another cloud tenant's.")
    if claim.purpose != Purpose.DETECT:
        return token
    tenant_id, verified = read_organization(claim.wired)
    if tenant_id != claim.cloud_tenant_id:
        raise NotProven("/organization names another cloud tenant.")
    if not verified & claim.domains:
        raise NotProven(
            f"None of the client's domains ({', '.join(sorted(claim.domains))}) is verified in this"
            " cloud tenant: it does not seem to be the client's."
        )
    return token


def _grant(claimed: ClaimedWork, claim: _Claim, token: Token) -> None:
    with work_scope(claimed):
        try:
            with transaction.atomic():
                connection = _connection(claimed, claim)
        except IntegrityError:
            # Whose it is, nobody is told.
            taken = "This cloud tenant is connected already: it belongs to one client only."
            _note(claimed, claim.consent_id, Consent.Stage.FAILED, taken)
            return
        except NotProven as refusal:
            _note(claimed, claim.consent_id, Consent.Stage.FAILED, str(refusal))
            return
        now = timezone.now()
        consent = Consent.objects.get(id=claim.consent_id)
        Grant.objects.update_or_create(
            tenant_id=claimed.tenant_id,
            connection=connection,
            purpose=claim.purpose,
            defaults={
                "client_id": claim.wired.client_id,
                "roles": list(token.roles),
                "granted_by": consent.asked_by,
                "granted_at": now,
                "checked_at": now,
                "lost_at": None,
                "trouble": "",
            },
        )
        _note(claimed, claim.consent_id, Consent.Stage.GRANTED, "Proven by a token.")
        Connection.objects.filter(id=connection.id).update(list_due_at=now)
        if claim.purpose == Purpose.RESPOND:
            # What was off, and what waited for it, is tried at once.
            AccountLook.objects.filter(connection=connection).update(due_at=now)
            waiting = AccountStep.objects.filter(tenant_id=claimed.tenant_id)
            waiting.filter(state=AccountStep.State.PENDING).update(due_at=now)
        want_work(claimed.tenant_id, "sync")
        resume_waiting(claimed.tenant_id)


def _connection(claimed: ClaimedWork, claim: _Claim) -> Connection:
    """The client's, made where *detect* is the first; one with an application of its own goes by
    the registration from now on.  Raises ``NotProven``, or ``IntegrityError`` where another client
    has this cloud tenant.
    """
    row = Connection.objects.filter(kind=Connection.Kind.GRAPH).first()
    if row is not None:
        # It may have been connected a moment ago, by a consent that came back with this one.
        if row.cloud_tenant_id != claim.cloud_tenant_id:
            raise NotProven(ANOTHER_TENANT)
        if claim.purpose == Purpose.DETECT and not row.by_registrations:
            Connection.objects.filter(id=row.id).update(
                by_registrations=True, client_id="", sealed_secret=b"", sealed_certificate=b""
            )
        return row
    if claim.purpose != Purpose.DETECT:
        raise NotProven("“Detect” has not been granted: it must prove whose cloud tenant it is.")
    made: Connection = Connection.objects.create(
        id=new_id(),
        tenant_id=claimed.tenant_id,
        kind=Connection.Kind.GRAPH,
        cloud_tenant_id=claim.cloud_tenant_id,
        by_registrations=True,
        authority_url=claim.wired.authority_url,
        api_url=claim.wired.api_url,
        ca_file=claim.wired.ca_file,
    )
    write_audit(
        CONNECTED,
        actor=Actor("Bailey"),
        provider_id=claimed.provider_id,
        tenant_id=claimed.tenant_id,
        object_kind="connection",
        object_id=made.id,
        cloud_tenant_id=made.cloud_tenant_id,
    )
    return made


def _settle(claimed: ClaimedWork, claim: _Claim, stage: str, words: str) -> None:
    with work_scope(claimed):
        _note(claimed, claim.consent_id, stage, words)


def _note(claimed: ClaimedWork, consent_id: UUID, stage: str, words: str) -> None:
    """Must run in the client's scope."""
    Consent.objects.filter(id=consent_id).update(
        stage=stage, words=words, settled_at=timezone.now()
    )
    write_audit(
        SETTLED,
        actor=Actor("Bailey"),
        provider_id=claimed.provider_id,
        tenant_id=claimed.tenant_id,
        object_kind="consent",
        object_id=consent_id,
        reason=words,
        stage=stage,
    )
