"""What a lead does to put a client behind the gateway.  Each step is one call and saves itself.

``begin_domain``      a domain with its mail host; gates that serve nobody else of the client yet do
``ask_look``          look into DNS again
``start_policy``      what the client's mail is treated by in the beginning
``send_trial``        a mail through a gate
``put_behind``        from now on a mail without our trace is a bypass

Domains, hosts and recipients are changed by tenants/domains.py, which they call.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from seg_bridge.gate.policy import normalise_address
from seg_bridge.models import DomainCheck, Gate, GateClient, TrialMail
from seg_bridge.policies.layers import Target
from seg_bridge.policies.services import NothingToChange, ask_change, make_change, own_row
from seg_bridge.services import serve_client
from tenants.audit import Actor, write_audit
from tenants.domains import NextHop, add_domain, set_active, set_way
from tenants.errors import Conflict, WrongInput
from tenants.ids import new_id
from tenants.models import Domain, Person, Tenant
from tenants.people import must_lead
from tenants.services import protect_client
from tenants.work import want_work

QUEUE = "onboard"
LEADS = "A lead puts clients behind the gateway."
TRIAL_SENT = "seg_bridge.trial_mail.asked"
LOOKED = "seg_bridge.domain_check.asked"
STARTED = "seg_bridge.gate.clients_set"
MOST_TRIALS_AN_HOUR = 20


@transaction.atomic
def begin_domain(*, tenant: Tenant, name: str, way: NextHop, actor: Person | Actor) -> Domain:
    """Raises ``NotAllowed``, ``WrongInput`` or ``Conflict``."""
    must_lead(actor, LEADS)
    _check_no_circle(tenant, way)
    domain = add_domain(tenant=tenant, name=name, way=way, actor=actor)
    if not GateClient.objects.filter(tenant=tenant).exists():
        for gate in Gate.objects.filter(provider_id=tenant.provider_id):
            serve_client(gate=gate, tenant=tenant, actor=actor)
    _want_look(domain)
    return domain


def change_way(*, domain: Domain, way: NextHop, actor: Person | Actor) -> None:
    """Raises ``NotAllowed`` or ``WrongInput``."""
    must_lead(actor, LEADS)
    _check_no_circle(domain.tenant, way)
    set_way(domain=domain, way=way, actor=actor)


def switch_domain(*, domain: Domain, is_active: bool, actor: Person | Actor) -> None:
    """Raises ``NotAllowed``."""
    must_lead(actor, LEADS)
    set_active(domain=domain, is_active=is_active, actor=actor)


def _check_no_circle(tenant: Tenant, way: NextHop) -> None:
    ours = set(
        Gate.objects.filter(provider_id=tenant.provider_id).values_list("hostname", flat=True)
    )
    for host in (way.host, way.backup_host):
        if host.strip().rstrip(".").lower() in {each.lower() for each in ours}:
            raise WrongInput(
                f"{host.strip()} is a gate: the mail would go in a circle. Enter the host that"
                " keeps the client's mailboxes."
            )


def set_gates(*, tenant: Tenant, gates: Iterable[Gate], actor: Person | Actor) -> None:
    """These gates take the client's mail, and no others.  Raises ``NotAllowed``, ``WrongInput``."""
    must_lead(actor, LEADS)
    wanted = {gate.id: gate for gate in gates}
    if not wanted:
        raise WrongInput("Choose at least one gate: without one no mail is taken.")
    for gate in wanted.values():
        serve_client(gate=gate, tenant=tenant, actor=actor)
    left = GateClient.objects.filter(tenant=tenant).exclude(gate_id__in=wanted)
    names = sorted(left.values_list("gate__name", flat=True))
    if names:
        left.delete()
        write_audit(
            STARTED, actor=actor, provider_id=tenant.provider_id, tenant_id=tenant.id, left=names
        )


def ask_look(*, tenant: Tenant, actor: Person | Actor) -> None:
    """DNS is asked again for every domain of the client, by a worker, within seconds."""
    for domain in Domain.objects.filter(tenant=tenant):
        _want_look(domain)
    write_audit(LOOKED, actor=actor, provider_id=tenant.provider_id, tenant_id=tenant.id)


def _want_look(domain: Domain) -> None:
    now = timezone.now()
    DomainCheck.objects.get_or_create(
        tenant_id=domain.tenant_id, domain=domain, defaults={"token": secrets.token_hex(16)}
    )
    DomainCheck.objects.filter(tenant_id=domain.tenant_id, domain=domain).update(wanted_at=now)
    want_work(domain.tenant_id, QUEUE)


@transaction.atomic
def start_policy(*, tenant: Tenant, template: str, actor: Person | Actor) -> None:
    """The client states this template's values.  ``template`` "": it inherits what the provider
    says.  Raises ``NotAllowed``, ``NotThere``, or ``Objections`` where mail that came already would
    be treated worse: that is decided on the page of the policy.
    """
    must_lead(actor, LEADS)
    target = Target(provider=tenant.provider, tenant=tenant)
    row = own_row(target)
    version, stated = (row.version, set(row.stated)) if row else (0, set())
    try:
        change = ask_change(
            target=target,
            version=version,
            actor=actor,
            template=template,
            inherits=() if template else stated,
        )
    except NothingToChange:
        return
    make_change(change=change, actor=actor, reason="What the client starts with.")


def send_trial(*, tenant: Tenant, gate: Gate, recipient: str, actor: Person | Actor) -> TrialMail:
    """A worker sends it within seconds, once.  Raises ``NotAllowed``, ``WrongInput``, ``Conflict``.

    The recipient is an address of the client's own domains: Bailey writes to nobody else.
    """
    must_lead(actor, LEADS)
    address = normalise_address(recipient)
    names = set(Domain.objects.filter(tenant=tenant).values_list("name", flat=True))
    if not address.rpartition("@")[0] or address.rpartition("@")[2] not in names:
        known = ", ".join(sorted(names)) or "none yet"
        raise WrongInput(f"“{recipient}” is no address of this client's domains ({known}).")
    if not GateClient.objects.filter(tenant=tenant, gate=gate).exists():
        raise WrongInput(f"{gate.name} takes no mail for {tenant.name}.")
    hour_ago = timezone.now() - timedelta(hours=1)
    if (
        TrialMail.objects.filter(tenant=tenant, asked_at__gte=hour_ago).count()
        >= MOST_TRIALS_AN_HOUR
    ):
        raise Conflict(f"{MOST_TRIALS_AN_HOUR} test mails an hour are enough. Come back later.")
    trial: TrialMail = TrialMail.objects.create(
        tenant=tenant,
        gate=gate,
        recipient=address,
        internet_message_id=f"<{new_id()}@{gate.hostname}>",
        asked_by_id=actor.id,
        asked_by=actor.name,
    )
    write_audit(
        TRIAL_SENT,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="trial_mail",
        object_id=trial.id,
        gate=gate.name,
        recipient=address,
    )
    want_work(tenant.id, QUEUE)
    return trial


def put_behind(*, tenant: Tenant, actor: Person | Actor, despite: bool = False) -> None:
    """A mail without our trace is a bypass from now on.

    Raises ``NotAllowed``; ``Conflict`` unless the MX records of every active domain name our gates
    and no others, or ``despite``.
    """
    must_lead(actor, LEADS)
    active = Domain.objects.filter(tenant=tenant, is_active=True)
    if not active.exists():
        raise Conflict("The client has no domain yet.")
    checks = DomainCheck.objects.filter(tenant=tenant)
    seen = {one.domain_id for one in checks if one.found.get("mx", {}).get("state") == "seen"}
    missing = [domain.name for domain in active if domain.id not in seen]
    if missing and not despite:
        raise Conflict(
            f"The MX records of {', '.join(missing)} do not name our gates alone, so mail may still"
            " come past them. Look again, or say that you want it despite that."
        )
    protect_client(tenant=tenant, actor=actor)
