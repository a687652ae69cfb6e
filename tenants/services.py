"""Making providers, clients, mailboxes and people.  Used by commands, and by the demo."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email, validate_slug
from django.db import transaction
from django.utils import timezone

from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import ApiToken, Assignment, Domain, Mailbox, Person, Provider, Tenant
from tenants.secrets import new_data_key

PROVIDER_CREATED = "tenants.provider.created"
CLIENT_CREATED = "tenants.client.created"
CLIENT_PROTECTED = "tenants.client.protected"
PERSON_CREATED = "tenants.person.created"
TOKEN_CREATED = "tenants.token.created"  # noqa: S105 - a name, no secret
TOKEN_LIFE = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class NewMailbox:
    address: str
    display_name: str
    job_title: str = ""
    is_vip: bool = False


@transaction.atomic
def create_provider(*, slug: str, name: str, actor: Person | Actor) -> Provider:
    """Needs ``maintenance_scope``.  Raises ``WrongInput`` or ``Conflict``."""
    _check(validate_slug, slug, "A short name has letters, digits and hyphens only.")
    if Provider.objects.filter(slug=slug).exists():
        raise Conflict(f"There is a provider named {slug} already.")
    provider = Provider.objects.create(slug=slug, name=name)
    write_audit(PROVIDER_CREATED, actor=actor, provider_id=provider.id, name=name)
    return provider


@transaction.atomic
def create_client(
    *,
    provider: Provider,
    slug: str,
    name: str,
    domain: str,
    next_hop: tuple[str, int],
    mailboxes: Sequence[NewMailbox],
    actor: Person | Actor,
    protected_since: datetime | None = None,
    time_zone: str = "UTC",
    **contact: str,
) -> Tenant:
    """A client with its first domain and mailboxes.  Needs ``maintenance_scope``."""
    _check(validate_slug, slug, "A short name has letters, digits and hyphens only.")
    if Tenant.objects.filter(slug=slug).exists():
        raise Conflict(f"There is a client named {slug} already.")
    if Domain.objects.filter(name=domain.lower()).exists():
        raise Conflict(f"The domain {domain} belongs to a client already.")
    tenant = Tenant.objects.create(
        provider=provider,
        slug=slug,
        name=name,
        time_zone=time_zone,
        data_key=new_data_key(slug),
        protected_since=protected_since,
        **contact,
    )
    row = Domain.objects.create(
        tenant=tenant, name=domain.lower(), next_hop_host=next_hop[0], next_hop_port=next_hop[1]
    )
    Mailbox.objects.bulk_create(
        Mailbox(
            tenant=tenant,
            domain=row,
            address=box.address.lower(),
            display_name=box.display_name,
            job_title=box.job_title,
            is_vip=box.is_vip,
        )
        for box in mailboxes
    )
    write_audit(
        CLIENT_CREATED,
        actor=actor,
        provider_id=provider.id,
        tenant_id=tenant.id,
        domain=domain,
        mailboxes=len(mailboxes),
    )
    return tenant


@transaction.atomic
def protect_client(*, tenant: Tenant, actor: Person | Actor) -> datetime:
    """The gateway is in front of the client; answers since when.  Again changes nothing.

    Needs ``maintenance_scope``.
    """
    now = timezone.now()
    changed = Tenant.objects.filter(id=tenant.id, protected_since=None).update(protected_since=now)
    tenant.refresh_from_db(fields=["protected_since"])
    if changed:
        write_audit(
            CLIENT_PROTECTED, actor=actor, provider_id=tenant.provider_id, tenant_id=tenant.id
        )
    return tenant.protected_since or now


@transaction.atomic
def create_person(
    *,
    provider: Provider,
    email: str,
    name: str,
    role: str,
    password: str,
    actor: Person | Actor,
    tenants: Sequence[Tenant] = (),
    may_open_content: bool = False,
) -> Person:
    """``tenants``: an analyst's clients, or the one client of a client's reader.

    Needs ``maintenance_scope``.  Raises ``WrongInput`` or ``Conflict``.
    """
    email = email.strip().lower()
    _check(validate_email, email, f"{email} is not an e-mail address.")
    if role not in Person.Role.values:
        raise WrongInput(f"A role is one of {', '.join(Person.Role.values)}.")
    is_reader = role == Person.Role.CLIENT_READER
    if is_reader and len(tenants) != 1:
        raise WrongInput("A client's reader belongs to exactly one client.")
    if Person.objects.filter(email=email).exists():
        raise Conflict(f"There is a person with the address {email} already.")
    try:
        validate_password(password)
    except ValidationError as error:
        raise WrongInput(" ".join(error.messages)) from error
    person = Person(
        provider=provider,
        tenant=tenants[0] if is_reader else None,
        email=email,
        name=name,
        role=role,
        may_open_content=may_open_content and not is_reader,
    )
    person.set_password(password)
    person.save(force_insert=True)
    if role == Person.Role.ANALYST:
        Assignment.objects.bulk_create(
            Assignment(tenant=tenant, person=person) for tenant in tenants
        )
    write_audit(
        PERSON_CREATED,
        actor=actor,
        provider_id=provider.id,
        object_kind="person",
        object_id=person.id,
        email=email,
        role=role,
    )
    return person


@transaction.atomic
def create_api_token(*, person: Person, name: str, actor: Person | Actor) -> str:
    """A program's key that sees what ``person`` sees.  It is shown once; only a digest is kept."""
    token = f"bailey_{secrets.token_urlsafe(32)}"
    ApiToken.objects.create(
        provider_id=person.provider_id,
        person=person,
        name=name,
        digest=sha256(token.encode()).hexdigest(),
        expires_at=timezone.now() + TOKEN_LIFE,
    )
    write_audit(
        TOKEN_CREATED,
        actor=actor,
        provider_id=person.provider_id,
        object_kind="person",
        object_id=person.id,
        name=name,
    )
    return token


def _check(validator: Callable[[str], None], value: str, sentence: str) -> None:
    try:
        validator(value)
    except ValidationError as error:
        raise WrongInput(sentence) from error
