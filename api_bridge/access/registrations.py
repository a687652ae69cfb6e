"""The provider's app registrations: entered by a lead, sealed, and opened for one client's tenant.

One registration for each purpose, so that a client can grant one and refuse another.  Every
function runs in a scope of the provider and calls no vendor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.db import transaction
from django.utils import timezone

from api_bridge import connectors
from api_bridge.access.clouds import cloud_named
from api_bridge.access.models import AppRegistration, Grant, Purpose
from api_bridge.tokens import GUID
from tenants.audit import write_audit
from tenants.errors import Conflict, WrongInput
from tenants.ids import new_id
from tenants.models import Person
from tenants.people import must_lead
from tenants.secrets import seal, unseal
from tenants.work import want_work

KEPT = "api_bridge.registration.kept"
LEADS = "A lead keeps the provider's app registrations."
LONGEST = timedelta(days=366 * 3)
QUEUE = "access"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRegistration:
    """What a lead enters.  No secret and no certificate: those that are kept stay.

    ``expires_at``: of a secret; a certificate says it itself.
    """

    purpose: str
    client_id: str
    cloud: str
    home_tenant_id: str = ""
    secret: str = field(default="", repr=False)
    private_key_pem: str = field(default="", repr=False)
    certificate_pem: str = field(default="", repr=False)
    expires_at: datetime | None = None


def registrations() -> dict[str, AppRegistration]:
    """The scope's provider's, by purpose."""
    return {row.purpose: row for row in AppRegistration.objects.all()}


@transaction.atomic
def keep_registration(*, wanted: NewRegistration, actor: Person) -> AppRegistration:
    """Raises ``NotAllowed``, ``WrongInput``, or ``Conflict`` where clients use another application.

    Clients that granted it are looked at anew at once.
    """
    must_lead(actor, LEADS)
    row = AppRegistration.objects.filter(purpose=wanted.purpose).first()
    is_new = row is None
    row = row or AppRegistration(id=new_id(), provider_id=actor.provider_id)
    _check(wanted, row)
    _check_users(wanted, row)
    row.purpose, row.cloud = wanted.purpose, wanted.cloud
    row.client_id = wanted.client_id.strip().lower()
    row.home_tenant_id = wanted.home_tenant_id.strip().lower()
    _set_secrets(row, wanted)
    row.changed_by, row.changed_at, row.trouble = actor.name, timezone.now(), ""
    row.looked_at = None
    row.save(force_insert=is_new)
    write_audit(
        KEPT,
        actor=actor,
        provider_id=actor.provider_id,
        object_kind="registration",
        object_id=row.id,
        purpose=row.purpose,
        client_id=row.client_id,
        cloud=row.cloud,
        expires_at=row.expires_at.isoformat(),
    )
    _wake_clients(row)
    return row


def _check(wanted: NewRegistration, row: AppRegistration) -> None:
    if wanted.purpose not in Purpose.values:
        raise WrongInput("Say what the registration is for.")
    if not GUID.match(wanted.client_id.strip()):
        raise WrongInput("The application (client) id is a GUID, like 1b2c3d4e-…; copy it whole.")
    cloud_named(wanted.cloud)
    is_partner = wanted.purpose == Purpose.PARTNER
    if is_partner and not GUID.match(wanted.home_tenant_id.strip()):
        raise WrongInput("Enter the directory (tenant) id of your own cloud tenant: a GUID.")
    others = AppRegistration.objects.exclude(id=row.id)
    if others.filter(client_id=wanted.client_id.strip().lower()).exists():
        raise WrongInput(
            "Another purpose uses this application already. Each needs its own: else a client"
            " could not refuse one alone."
        )


def _check_users(wanted: NewRegistration, row: AppRegistration) -> None:
    """A client has consented to an application: another one would need its consent anew."""
    if not row.client_id or row.client_id == wanted.client_id.strip().lower():
        return
    using = Grant.objects.filter(client_id=row.client_id, lost_at=None)
    names = sorted(set(using.values_list("tenant__name", flat=True)))
    if names:
        raise Conflict(
            f"{len(names)} clients have consented to {row.client_id} ({', '.join(names[:3])})."
            " Another application would need their consent anew: enter it as it is."
        )


def _set_secrets(row: AppRegistration, wanted: NewRegistration) -> None:
    """Raises ``WrongInput``."""
    has_pair = bool(wanted.certificate_pem.strip() or wanted.private_key_pem.strip())
    if wanted.secret and has_pair:
        raise WrongInput("Enter a client secret or a certificate with its key, not both.")
    if has_pair:
        row.expires_at = _certificate_end(wanted)
        pair = json.dumps([wanted.private_key_pem, wanted.certificate_pem])
        row.sealed_certificate = seal(pair.encode(), place=_place(row, "certificate"))
        row.sealed_secret = b""
        return
    if wanted.secret:
        row.sealed_secret = seal(wanted.secret.encode(), place=_place(row, "secret"))
        row.sealed_certificate = b""
    elif not row.sealed_secret and not row.sealed_certificate:
        raise WrongInput("Enter a client secret, or a certificate with its key.")
    elif row.sealed_certificate:
        return  # it says its end itself
    row.expires_at = _secret_end(wanted.expires_at)


def _secret_end(expires_at: datetime | None) -> datetime:
    now = timezone.now()
    if expires_at is None:
        raise WrongInput("Enter the day on which the secret ends: Microsoft shows it beside it.")
    if expires_at <= now:
        raise WrongInput("The secret has ended already. Make a new one and enter its end.")
    if expires_at > now + LONGEST:
        raise WrongInput("No secret lasts longer than two years. Check the day of its end.")
    return expires_at


def _certificate_end(wanted: NewRegistration) -> datetime:
    try:
        certificate = x509.load_pem_x509_certificate(wanted.certificate_pem.encode())
        key = load_pem_private_key(wanted.private_key_pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise WrongInput(
            "Certificate and key must be PEM texts (-----BEGIN …-----), the key without a password."
        ) from error
    if certificate.public_key() != key.public_key():
        raise WrongInput("The key does not belong to the certificate.")
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise WrongInput("The certificate has ended already.")
    return certificate.not_valid_after_utc


def _place(row: AppRegistration, what: str) -> str:
    return f"api_bridge_appregistration.sealed_{what}/{row.provider_id}/{row.id}"


def open_registration(
    row: AppRegistration, cloud_tenant_id: str, *, quarantine_folder: str = "Bailey Quarantine"
) -> connectors.Connection:
    """Ready to ask for tokens of this cloud tenant.  Keep it in memory only."""
    secret, key, certificate = "", "", ""
    if row.sealed_secret:
        secret = unseal(bytes(row.sealed_secret), place=_place(row, "secret")).decode()
    if row.sealed_certificate:
        opened = unseal(bytes(row.sealed_certificate), place=_place(row, "certificate"))
        key, certificate = json.loads(opened)
    cloud = cloud_named(row.cloud)
    return connectors.Connection(
        kind="graph",
        cloud_tenant_id=cloud_tenant_id,
        client_id=row.client_id,
        client_secret=secret,
        private_key_pem=key,
        certificate_pem=certificate,
        authority_url=cloud.authority_url,
        api_url=cloud.api_url,
        ca_file=cloud.ca_file,
        quarantine_folder=quarantine_folder,
    )


def _wake_clients(row: AppRegistration) -> None:
    using = Grant.objects.filter(client_id=row.client_id)
    for tenant_id in using.order_by().values_list("tenant_id", flat=True).distinct():
        want_work(tenant_id, QUEUE)
        want_work(tenant_id, "sync")
