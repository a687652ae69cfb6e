"""Making providers, clients, mailboxes and people.  Used by commands, and by the demo."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from zoneinfo import available_timezones

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email, validate_slug
from django.db import transaction
from django.utils import timezone

from tenants.audit import Actor, write_audit
from tenants.domains import NewMailbox, NextHop, add_domain, add_mailboxes
from tenants.doors import ask
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.models import ApiToken, Assignment, Person, Provider, Tenant
from tenants.people import must_lead
from tenants.secrets import new_data_key

PROVIDER_CREATED = "tenants.provider.created"
CLIENT_CREATED = "tenants.client.created"
CLIENT_PROTECTED = "tenants.client.protected"
PERSON_CREATED = "tenants.person.created"
TOKEN_CREATED = "tenants.token.created"  # noqa: S105 - a name, no secret
TOKEN_LIFE = timedelta(days=365)
MOST_NAME_CHARS = 200
# What the console's addresses have in the place of a client.
NOT_A_SLUG = frozenset({"new"})
__all__ = ["NewMailbox"]  # made here, together with its client


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
    tenant = Tenant.objects.create(
        provider=provider,
        slug=slug,
        name=name,
        time_zone=time_zone,
        data_key=new_data_key(slug),
        protected_since=protected_since,
        **contact,
    )
    write_audit(
        CLIENT_CREATED,
        actor=actor,
        provider_id=provider.id,
        tenant_id=tenant.id,
        domain=domain,
        mailboxes=len(mailboxes),
    )
    add_domain(tenant=tenant, name=domain, way=NextHop(*next_hop), actor=actor)
    if mailboxes:
        add_mailboxes(tenant=tenant, boxes=mailboxes, actor=actor)
    return tenant


def open_client(*, slug: str, name: str, time_zone: str, person: Person) -> str:
    """A client without a domain yet, made by a lead in the console's scope; answers its short name.

    The scope does not hold the new client: the next request's does.  Raises ``NotAllowed``,
    ``WrongInput`` or ``Conflict``.
    """
    must_lead(person, "A lead puts clients behind the gateway.")
    slug, name = slug.strip().lower(), " ".join(name.split())
    _check(validate_slug, slug, "A short name has letters, digits and hyphens only.")
    if slug in NOT_A_SLUG:
        raise WrongInput(f"“{slug}” cannot be a client's short name. Choose another one.")
    if not name or len(name) > MOST_NAME_CHARS:
        raise WrongInput(f"A client has a name of up to {MOST_NAME_CHARS} characters.")
    if time_zone not in available_timezones():
        raise WrongInput(f"“{time_zone}” is not a time zone. It should look like Europe/Vienna.")
    key = new_data_key(slug)
    answer = ask("door_new_client", person.id, slug, name, time_zone, key)
    if answer is None:
        raise NotAllowed("A lead puts clients behind the gateway.")
    if answer["is_taken"]:
        raise Conflict(f"The short name {slug} is taken. Choose another one.")
    return slug


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
