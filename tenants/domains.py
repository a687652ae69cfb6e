"""A client's mail domains: where their mail goes on, and who exists there.

``add_domain``, ``set_way``, ``set_active``  the domain and its mail hosts
``add_mailboxes``, ``remove_mailbox``       the list of recipients
``set_asks_hop``                            whether the mail host is asked for others

Every function runs in a scope that holds the client; gates follow within seconds.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from tenants.audit import Actor, write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Domain, Mailbox, Person, Tenant

DOMAIN_ADDED = "tenants.domain.added"
WAY_SET = "tenants.domain.way_set"
DOMAIN_SWITCHED = "tenants.domain.switched"
RECIPIENTS_SET = "tenants.domain.recipients_set"
MAILBOXES_ADDED = "tenants.mailboxes.added"
MAILBOX_REMOVED = "tenants.mailbox.removed"

MOST_BOXES = 20_000
_SHOWN = 5
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_LOCAL = re.compile(r"[^\s@<>()\[\]\\,;:\"%!]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class NewMailbox:
    address: str
    display_name: str
    job_title: str = ""
    is_vip: bool = False


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where a domain's mail goes on.  ``backup_host`` "": nowhere else."""

    host: str
    port: int = 25
    backup_host: str = ""
    backup_port: int = 25
    tls: str = Domain.Tls.MAY

    @property
    def fields(self) -> dict[str, Any]:
        """Of ``Domain``, checked.  Raises ``WrongInput``."""
        if self.tls not in Domain.Tls.values:
            raise WrongInput("Say how much TLS the mail host must offer.")
        found = {
            "next_hop_host": check_host(self.host),
            "next_hop_port": _check_port(self.port),
            "backup_hop_host": check_host(self.backup_host) if self.backup_host.strip() else "",
            "backup_hop_port": _check_port(self.backup_port),
            "hop_tls": self.tls,
        }
        if found["backup_hop_host"] == found["next_hop_host"] and self.port == self.backup_port:
            raise WrongInput("The backup host is the mail host itself. Leave it empty, or change.")
        return found


def check_domain(name: str) -> str:
    """In small letters and as A-labels.  Raises ``WrongInput``."""
    written = name.strip().rstrip(".").lower()
    try:
        found = written if written.isascii() else written.encode("idna").decode("ascii")
    except UnicodeError:
        found = ""
    if not _NAME.match(found) or "." not in found or len(found) > 253 or _is_address(found):
        raise WrongInput(
            f"“{name.strip()}” is not a mail domain. It should look like acme.example."
        )
    return found


def check_host(host: str) -> str:
    """A host's name or address.  Raises ``WrongInput``."""
    found = host.strip().rstrip(".").lower().strip("[]")
    if not _is_address(found) and not (_NAME.match(found) and len(found) <= 253):
        raise WrongInput(
            f"“{host.strip()}” is not a mail host. It should look like mail.acme.example,"
            " and the port has a field of its own."
        )
    return found


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_port(port: int) -> int:
    if not 0 < port < 65536:
        raise WrongInput(f"{port} is not a port. Mail hosts take mail on 25.")
    return port


@transaction.atomic
def add_domain(*, tenant: Tenant, name: str, way: NextHop, actor: Person | Actor) -> Domain:
    """Raises ``WrongInput``, or ``Conflict`` where a client has the domain, whoever that is."""
    found = check_domain(name)
    try:
        with transaction.atomic():
            domain: Domain = Domain.objects.create(tenant=tenant, name=found, **way.fields)
    except IntegrityError as error:
        raise Conflict(f"The domain {found} belongs to a client already.") from error
    _audit(DOMAIN_ADDED, domain, tenant, actor, name=found, **way.fields)
    return domain


def set_way(*, domain: Domain, way: NextHop, actor: Person | Actor) -> None:
    """Raises ``WrongInput``.  The same again changes nothing."""
    fields = way.fields
    before = {name: getattr(domain, name) for name in fields}
    if before == fields:
        return
    _set(domain, **fields)
    _audit(WAY_SET, domain, domain.tenant, actor, name=domain.name, before=before, after=fields)


def set_active(*, domain: Domain, is_active: bool, actor: Person | Actor) -> None:
    """An inactive domain is none of ours: the gates refuse its mail."""
    if domain.is_active != is_active:
        _set(domain, is_active=is_active)
        _audit(DOMAIN_SWITCHED, domain, domain.tenant, actor, name=domain.name, is_active=is_active)


def set_asks_hop(*, domain: Domain, asks_hop: bool, actor: Person | Actor) -> None:
    if domain.asks_hop != asks_hop:
        _set(domain, asks_hop=asks_hop)
        _audit(RECIPIENTS_SET, domain, domain.tenant, actor, name=domain.name, asks_hop=asks_hop)


def _set(domain: Domain, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(domain, name, value)
    domain.save(update_fields=list(fields))


@dataclass(frozen=True, slots=True)
class Added:
    """How many addresses are new, were there, and came back after they had been removed."""

    new: int
    known: int
    back: int


@transaction.atomic
def add_mailboxes(*, tenant: Tenant, boxes: Sequence[NewMailbox], actor: Person | Actor) -> Added:
    """All of them or none.  Raises ``WrongInput`` that names what cannot be an address here."""
    if not boxes:
        raise WrongInput("There is no address in it. Write one on each line.")
    if len(boxes) > MOST_BOXES:
        raise WrongInput(f"At most {MOST_BOXES:,} addresses at a time.")
    domains = {each.name: each for each in Domain.objects.filter(tenant=tenant)}
    wanted = {box.address.strip().lower(): box for box in boxes}
    _check_addresses(wanted, domains)
    there = Mailbox.objects.filter(tenant=tenant, address__in=wanted)
    gone = there.filter(state=Mailbox.State.GONE).update(state=Mailbox.State.ACTIVE)
    known = set(there.values_list("address", flat=True))
    aliases = _aliases(tenant)
    fresh = [address for address in wanted if address not in known | aliases]
    Mailbox.objects.bulk_create(
        Mailbox(
            tenant=tenant,
            domain=domains[address.rpartition("@")[2]],
            address=address,
            display_name=wanted[address].display_name[:200],
            job_title=wanted[address].job_title[:200],
            is_vip=wanted[address].is_vip,
        )
        for address in fresh
    )
    added = Added(new=len(fresh), known=len(wanted) - len(fresh) - gone, back=gone)
    write_audit(
        MAILBOXES_ADDED,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        new=added.new,
        back=added.back,
        first=sorted(fresh)[:_SHOWN],
    )
    return added


def _aliases(tenant: Tenant) -> set[str]:
    rows = Mailbox.objects.filter(tenant=tenant).exclude(aliases=[])
    return {each for aliases in rows.values_list("aliases", flat=True) for each in aliases}


def _check_addresses(wanted: dict[str, NewMailbox], domains: dict[str, Domain]) -> None:
    wrong, foreign = [], []
    for address in wanted:
        local, at, domain = address.rpartition("@")
        if not at or not _LOCAL.match(local):
            wrong.append(address)
        elif domain not in domains:
            foreign.append(address)
    if wrong:
        raise WrongInput(f"Not an address: {_some(wrong)}. Nothing was added.")
    if foreign:
        known = ", ".join(sorted(domains)) or "none yet"
        raise WrongInput(
            f"Not of this client's domains ({known}): {_some(foreign)}. Nothing was added."
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(f"“{name[:80]}”" for name in names[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def remove_mailbox(*, mailbox: Mailbox, actor: Person | Actor) -> None:
    """Nobody is there any more: the gates refuse its mail.  What came stays.

    Raises ``Conflict`` for one that the mail host lists: it would be back within the hour.
    """
    if mailbox.external_id:
        raise Conflict("The mail host lists this mailbox: remove it there.")
    gone = Mailbox.objects.filter(id=mailbox.id).exclude(state=Mailbox.State.GONE)
    if gone.update(state=Mailbox.State.GONE):
        write_audit(
            MAILBOX_REMOVED,
            actor=actor,
            provider_id=mailbox.tenant.provider_id,
            tenant_id=mailbox.tenant_id,
            object_kind="mailbox",
            object_id=mailbox.id,
            address=mailbox.address,
        )


def _audit(
    action: str, domain: Domain, tenant: Tenant, actor: Person | Actor, **detail: Any
) -> None:
    write_audit(
        action,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="domain",
        object_id=domain.id,
        **detail,
    )
