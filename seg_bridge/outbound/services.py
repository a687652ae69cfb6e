"""What people do about a client's outbound mail: terms, sending hosts, logins, signing keys.

Every function runs in the caller's scope and acts by writing rows: gates follow within seconds.
Setting up is a lead's, since whoever has a login or a key sends in the client's name.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db import transaction
from django.utils import timezone

from seg_bridge.gate.outbound.logins import hash_secret, new_secret
from seg_bridge.outbound.checking import Found
from seg_bridge.outbound.compiling import private_place
from seg_bridge.outbound.models import OutboundTerms, SigningKey, SubmissionLogin
from tenants.audit import BAILEY, Actor, write_audit
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.ids import new_id
from tenants.models import Domain, Person, Tenant
from tenants.secrets import seal
from tenants.work import want_work

TERMS_SET = "seg_bridge.outbound.terms_set"
HOST_ADDED = "seg_bridge.outbound.host_added"
HOST_REMOVED = "seg_bridge.outbound.host_removed"
LOGIN_MADE = "seg_bridge.outbound.login_made"
LOGIN_ENDED = "seg_bridge.outbound.login_ended"
KEY_MADE = "seg_bridge.outbound.key_made"
KEY_SIGNS = "seg_bridge.outbound.key_signs"
KEY_RETIRED = "seg_bridge.outbound.key_retired"

KEY_BITS = 2048
MOST_HOSTS = 100
# A network of more addresses than this is somebody else's as well.
WIDEST = {4: 16, 6: 32}
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?\Z")
_TERMS = (
    *("is_on", "next_hop_host", "next_hop_port", "messages_per_hour", "recipients_per_hour"),
    *("stop_threats", "stop_minutes", "stop_refusals"),
)


def must_set_up(actor: Person | Actor) -> None:
    """Raises ``NotAllowed``."""
    if isinstance(actor, Person) and actor.role != Person.Role.LEAD:
        raise NotAllowed("A client's outbound mail is set up by a lead.")


def terms_of(tenant: Tenant) -> OutboundTerms:
    """Its row, or one with the defaults that is not saved and not on."""
    row = OutboundTerms.objects.filter(tenant=tenant).first()
    return row or OutboundTerms(tenant=tenant, is_on=False)


@transaction.atomic
def set_terms(*, tenant: Tenant, values: Mapping[str, Any], actor: Person | Actor) -> OutboundTerms:
    """``values`` by the names of ``_TERMS``.  Raises ``NotAllowed`` or ``WrongInput``."""
    must_set_up(actor)
    host = str(values["next_hop_host"]).strip()
    if host and not _HOST.match(host):
        raise WrongInput(f"“{host}” is no host's name. It should look like smtp.example.com.")
    row = _locked(tenant)
    before = {name: getattr(row, name) for name in _TERMS}
    for name in _TERMS:
        setattr(row, name, host if name == "next_hop_host" else values[name])
    row.changed_by = actor.name
    row.save()
    after = {name: getattr(row, name) for name in _TERMS}
    changed = {name: [before[name], after[name]] for name in _TERMS if before[name] != after[name]}
    _audit(TERMS_SET, tenant, actor, "outbound_terms", row.id, changed=changed)
    return row


@transaction.atomic
def add_host(*, tenant: Tenant, network: str, note: str, actor: Person | Actor) -> None:
    """An address or network of the client's own mail servers.  Raises as ``set_terms`` does."""
    must_set_up(actor)
    try:
        found = ipaddress.ip_network(network.strip())
    except ValueError as error:
        raise WrongInput(
            f"“{network.strip()}” is no address and no network. "
            "It should look like 203.0.113.5 or 203.0.113.0/28."
        ) from error
    if found.prefixlen < WIDEST[found.version]:
        raise WrongInput(f"{found} is too wide: it holds more than one client's own servers.")
    row = _locked(tenant)
    if any(each["network"] == str(found) for each in row.hosts):
        raise Conflict(f"{found} is on the list already.")
    if len(row.hosts) >= MOST_HOSTS:
        raise WrongInput(f"At most {MOST_HOSTS} sending hosts.")
    at = timezone.now().isoformat()
    row.hosts = [
        *row.hosts,
        {"network": str(found), "note": note.strip()[:200], "by": actor.name, "at": at},
    ]
    row.changed_by = actor.name
    row.save()
    _audit(HOST_ADDED, tenant, actor, "outbound_terms", row.id, network=str(found), note=note)


@transaction.atomic
def remove_host(*, tenant: Tenant, network: str, actor: Person | Actor) -> None:
    """Raises ``NotAllowed`` or ``Conflict``."""
    must_set_up(actor)
    row = _locked(tenant)
    left = [each for each in row.hosts if each["network"] != network]
    if len(left) == len(row.hosts):
        raise Conflict("This host is not on the list any more.")
    row.hosts, row.changed_by = left, actor.name
    row.save()
    _audit(HOST_REMOVED, tenant, actor, "outbound_terms", row.id, network=network)


@transaction.atomic
def make_login(*, tenant: Tenant, purpose: str, actor: Person | Actor) -> tuple[str, str]:
    """Name and secret.  The secret is nowhere kept: this is the one time that anybody sees it."""
    must_set_up(actor)
    if not purpose.strip():
        raise WrongInput("Say what will use this login, like “scanners of the Berlin office”.")
    name, secret = f"{tenant.slug}.{secrets.token_hex(4)}", new_secret()
    row = SubmissionLogin.objects.create(
        tenant=tenant,
        name=name,
        purpose=purpose.strip()[:200],
        hashed=hash_secret(secret),
        created_by=actor.name,
    )
    _audit(LOGIN_MADE, tenant, actor, "submission_login", row.id, name=name, purpose=row.purpose)
    return name, secret


@transaction.atomic
def end_login(*, login: SubmissionLogin, actor: Person | Actor) -> None:
    """Raises ``NotAllowed`` or ``Conflict``."""
    must_set_up(actor)
    ended = SubmissionLogin.objects.filter(id=login.id, ended_at=None).update(
        ended_at=timezone.now(), ended_by=actor.name
    )
    if not ended:
        raise Conflict(f"{login.name} has ended already.")
    _audit(LOGIN_ENDED, login.tenant, actor, "submission_login", login.id, name=login.name)


@transaction.atomic
def make_key(*, tenant: Tenant, domain: Domain, actor: Person | Actor) -> SigningKey:
    """A key that waits for its record in the DNS.  Raises ``NotAllowed`` or ``Conflict``."""
    must_set_up(actor)
    waiting = SigningKey.objects.filter(
        tenant=tenant, domain=domain, state=SigningKey.State.WAITING
    ).first()
    if waiting is not None:
        raise Conflict(f"A key of {domain.name} waits for its record already: {waiting.selector}.")
    private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    key_id = new_id()
    key = SigningKey.objects.create(
        id=key_id,
        tenant=tenant,
        domain=domain,
        selector=f"b{timezone.now():%Y%m%d}{secrets.token_hex(2)}",
        sealed_private=seal(pem, place=private_place(tenant.id, key_id)),
        public=base64.b64encode(public).decode(),
        created_by=actor.name,
    )
    _audit(KEY_MADE, tenant, actor, "signing_key", key.id, record=key.record_name)
    return key


def ask_check(*, key: SigningKey) -> None:
    """A worker looks into the DNS; where the record is right, a waiting key begins to sign."""
    SigningKey.objects.filter(id=key.id).update(check_wanted_at=timezone.now())
    want_work(key.tenant_id, "outbound")


@transaction.atomic
def start_signing(*, key: SigningKey, actor: Person | Actor) -> None:
    """Also where nobody could look into the DNS.  The domain's key until now retires.

    Raises ``NotAllowed`` or ``Conflict``.
    """
    must_set_up(actor)
    if not _sign_with(key, actor):
        raise Conflict(f"{key.selector} does not wait any more.")


@transaction.atomic
def retire_key(*, key: SigningKey, actor: Person | Actor) -> None:
    """Nothing is signed with it any more.  Raises ``NotAllowed`` or ``Conflict``."""
    must_set_up(actor)
    retired = (
        SigningKey.objects.filter(id=key.id)
        .exclude(state=SigningKey.State.RETIRED)
        .update(state=SigningKey.State.RETIRED)
    )
    if not retired:
        raise Conflict(f"{key.selector} is retired already.")
    _audit(KEY_RETIRED, key.tenant, actor, "signing_key", key.id, record=key.record_name)


@dataclass(frozen=True, slots=True)
class WantedCheck:
    key_id: UUID
    name: str
    public: str
    wanted_at: datetime


def wanted_checks(tenant_id: int) -> list[WantedCheck]:
    rows = SigningKey.objects.filter(tenant_id=tenant_id).exclude(check_wanted_at=None)
    return [
        WantedCheck(row.id, row.record_name, row.public, row.check_wanted_at)
        for row in rows.select_related("domain").order_by("id")
        if row.check_wanted_at is not None
    ]


@transaction.atomic
def note_check(wanted: WantedCheck, found: Found) -> None:
    """Needs the client's scope."""
    keys = SigningKey.objects.select_related("domain", "tenant")
    key = keys.select_for_update(of=("self",)).get(id=wanted.key_id)
    key.checked_at, key.check_words = timezone.now(), found.words[:300]
    if key.check_wanted_at == wanted.wanted_at:
        key.check_wanted_at = None
    key.save(update_fields=["checked_at", "check_words", "check_wanted_at"])
    if found.is_there:
        _sign_with(key, BAILEY)


def _sign_with(key: SigningKey, actor: Person | Actor) -> bool:
    """False: it does not wait any more."""
    waiting = SigningKey.objects.select_for_update().filter(
        id=key.id, state=SigningKey.State.WAITING
    )
    if waiting.first() is None:
        return False
    others = SigningKey.objects.filter(
        tenant_id=key.tenant_id, domain_id=key.domain_id, state=SigningKey.State.SIGNING
    )
    for other in others.select_related("domain", "tenant"):
        SigningKey.objects.filter(id=other.id).update(state=SigningKey.State.RETIRED)
        _audit(KEY_RETIRED, other.tenant, actor, "signing_key", other.id, record=other.record_name)
    SigningKey.objects.filter(id=key.id).update(state=SigningKey.State.SIGNING)
    _audit(KEY_SIGNS, key.tenant, actor, "signing_key", key.id, record=key.record_name)
    return True


def _locked(tenant: Tenant) -> OutboundTerms:
    OutboundTerms.objects.get_or_create(
        tenant=tenant, defaults={"is_on": False, "changed_by": BAILEY.name}
    )
    return OutboundTerms.objects.select_for_update().get(tenant=tenant)


def _audit(
    action: str, tenant: Tenant, actor: Person | Actor, kind: str, object_id: object, **detail: Any
) -> None:
    write_audit(
        action,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind=kind,
        object_id=object_id,
        **detail,
    )
