"""Makes the demo's provider, clients and people, and their side in the sandbox cloud.

Repeating it changes nothing: passwords and the token are kept in var/demo.json (mode 600).
"""

from __future__ import annotations

import json
import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import httpx
from django.conf import settings
from django.forms.models import model_to_dict
from django.utils import timezone

from api_bridge.access.clouds import OWN
from api_bridge.access.consent import console_return, portal_return
from api_bridge.access.models import Purpose
from api_bridge.access.permissions import NEEDS
from api_bridge.access.registrations import NewRegistration, keep_registration
from api_bridge.access.service_accounts import keep_service_account
from api_bridge.services import Cloud, Credentials, create_connection
from console.demo import accounts, world
from console.demo.files import write_private
from console.demo.google import kept_keys, set_up_google
from seg_bridge.outbound.models import OutboundTerms
from seg_bridge.outbound.services import make_login, set_terms
from seg_bridge.services import add_rule, create_gate
from tenants.audit import Actor
from tenants.models import Person, Provider, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope
from tenants.services import (
    NewMailbox,
    create_api_token,
    create_client,
    create_person,
    create_provider,
)

DEMO = Actor("demo")


def set_up() -> dict[str, Any]:
    """Answers ``people``, ``api_token`` and ``sandbox_apps`` for var/run.json."""
    path = Path(settings.VAR_DIR) / "demo.json"
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_text())
        set_up_sandbox(known["sandbox_apps"])
        if secret := known.get("sandbox_secret"):
            set_up_registrations(secret)
        if "logins" not in known:
            known["logins"] = _set_up_outbound()
            write_private(path, known)
        return known
    apps = {client.slug: secrets.token_urlsafe(24) for client in world.CLIENTS}
    secret = secrets.token_urlsafe(24)
    set_up_sandbox(apps)
    set_up_registrations(secret)
    with maintenance_scope():
        answer = _make_everything(apps) | {"sandbox_secret": secret}
    with tenant_scope(Role.ANALYST, [], provider_id=_provider_id()):
        _enter_registrations(secret)
        _enter_service_account()
    answer["logins"] = _set_up_outbound()
    write_private(path, answer)
    return answer


def set_up_sandbox(app_secrets: dict[str, str]) -> None:
    """The clients' cloud tenants with users and app, and the zones of the demo's senders."""
    base = f"http://{os.environ['BAILEY_SANDBOX_HTTP']}"
    with httpx.Client(base_url=base, timeout=30, trust_env=False) as sandbox:
        for client in world.CLIENTS:
            sandbox.put(
                f"/_sandbox/tenants/{client.cloud_id}",
                json={
                    "domain": client.domain,
                    "display_name": client.name,
                    "users": [
                        {
                            "id": str(uuid5(NAMESPACE_DNS, client.address(box.local))),
                            "mail": client.address(box.local),
                            "display_name": box.name,
                            "job_title": box.title,
                        }
                        for box in (*client.boxes, world.REPORT_BOX)
                    ],
                    "apps": [{"client_id": client.client_id, "secret": app_secrets[client.slug]}],
                },
            ).raise_for_status()
            sandbox.put(
                f"/_sandbox/tenants/{client.cloud_id}/groups",
                json={
                    "groups": [
                        {"name": name, "members": [client.address(local) for local in locals_]}
                        for name, locals_ in world.GROUPS
                    ]
                },
            ).raise_for_status()
        sandbox.put(
            f"/_sandbox/mailboxes/{accounts.TAKEN}/account", json=accounts.usual_account()
        ).raise_for_status()
        records = [record for sender in world.SENDERS for record in sender.records()]
        sandbox.put("/_sandbox/dns", json={"records": records}).raise_for_status()


def set_up_registrations(secret: str) -> None:
    """The provider's applications in the sandbox, its own tenant with its relationships there, and
    two companies that are no clients yet.
    """
    base = f"http://{os.environ['BAILEY_SANDBOX_HTTP']}"
    with httpx.Client(base_url=base, timeout=30, trust_env=False) as sandbox:
        for purpose, client_id in world.APPLICATIONS.items():
            sandbox.put(
                f"/_sandbox/applications/{client_id}",
                json={
                    "display_name": f"{world.PROVIDER[1]}: {Purpose(purpose).label}",
                    "secret": secret,
                    "roles": [need.name for need in NEEDS[purpose]],
                    "redirect_uris": [console_return(), portal_return()],
                },
            ).raise_for_status()
        for company in (world.HOME, world.NEWCOMER, world.GOOGLE_NEWCOMER):
            sandbox.put(
                f"/_sandbox/tenants/{company.cloud_id}",
                json={
                    "domain": company.domain,
                    "display_name": company.name,
                    "users": [
                        {"mail": f"{local}@{company.domain}", "display_name": name}
                        for local, name in company.people
                    ],
                },
            ).raise_for_status()
        set_up_google(sandbox)
        partner = world.APPLICATIONS[Purpose.PARTNER]
        sandbox.put(
            f"/_sandbox/tenants/{world.HOME.cloud_id}",
            json={
                "domain": world.HOME.domain,
                "display_name": world.HOME.name,
                "apps": [
                    {"client_id": partner, "roles": [need.name for need in NEEDS[Purpose.PARTNER]]}
                ],
            },
        ).raise_for_status()
        sandbox.put(
            f"/_sandbox/tenants/{world.HOME.cloud_id}/relationships",
            json={
                "relationships": [
                    {
                        "customer_id": client.cloud_id,
                        "display_name": f"{world.PROVIDER[1]} for {client.name}",
                        "ends_in_days": days,
                        "roles": list(world.RELATIONSHIP_ROLES),
                    }
                    for client, days in zip(world.CLIENTS, (300, 21, 120), strict=True)
                ]
            },
        ).raise_for_status()


def _make_everything(app_secrets: dict[str, str]) -> dict[str, Any]:
    slug, name = world.PROVIDER
    provider = create_provider(slug=slug, name=name, actor=DEMO)
    tenants = {
        client.slug: _make_client(provider, client, app_secrets[client.slug])
        for client in world.CLIENTS
    }
    create_gate(
        provider=provider,
        name=os.environ["BAILEY_GATE_NAME"],
        hostname=os.environ.get("BAILEY_GATE_HOSTNAME", world.GATE_AUTHSERV_ID),
        tenants=tenants.values(),
        secret=bytes.fromhex(os.environ["BAILEY_GATE_SECRET"]),
        actor=DEMO,
    )
    people, lead = _make_people(provider, tenants)
    # The entry that lets one copy of the demo's bulk mail through: "partly held" has a cause.
    add_rule(
        tenant_id=tenants["acme"].id,
        kind="allow",
        match="sender_domain",
        value=world.SPAMMERS[0].domain,
        recipient="sales@acme.example",
        reason="Sales asked for this supplier's offers.",
        actor=lead,
    )
    # And one that holds a partner's mail by mistake, for one mailbox only.
    add_rule(
        tenant_id=tenants["globex"].id,
        kind="block",
        match="sender_domain",
        value=world.PARTNERS[3].domain,
        recipient="hr@globex.example",
        reason="HR took their newsletter for an attack.",
        actor=lead,
    )
    return {
        "people": people,
        "api_token": create_api_token(person=lead, name="demo", actor=DEMO),
        "sandbox_apps": app_secrets,
    }


def _provider_id() -> int:
    with maintenance_scope():
        return int(Provider.objects.get(slug=world.PROVIDER[0]).id)


def _enter_registrations(secret: str) -> None:
    """As Mo would, in the console."""
    mo = Person.objects.get(email=world.CAST[0].email)
    for purpose, client_id in world.APPLICATIONS.items():
        keep_registration(
            wanted=NewRegistration(
                purpose=purpose,
                client_id=client_id,
                cloud=OWN,
                home_tenant_id=world.HOME.cloud_id,
                secret=secret,
                expires_at=timezone.now() + timedelta(days=180),
            ),
            actor=mo,
        )


def _enter_service_account() -> None:
    """Account response at Google, as Mo would enter it in the console."""
    mo = Person.objects.get(email=world.CAST[0].email)
    _, response_key = kept_keys()
    keep_service_account(purpose=Purpose.RESPOND, key_json=json.dumps(response_key), actor=mo)


def _set_up_outbound() -> dict[str, tuple[str, str]]:
    """Acme's machines send through the gateway, as Mo would set it up.  By client, a login's name
    and secret.
    """
    with maintenance_scope():
        acme = Tenant.objects.get(slug=world.CLIENTS[0].slug)
        mo = Person.objects.get(email=world.LEAD)
    with tenant_scope(Role.ANALYST, [acme.id], provider_id=acme.provider_id):
        set_terms(tenant=acme, values=model_to_dict(OutboundTerms(tenant=acme)), actor=mo)
        return {acme.slug: make_login(tenant=acme, purpose="Plotter, engineering", actor=mo)}


def _make_client(provider: Provider, client: world.ClientFacts, secret: str) -> Tenant:
    smtp_host, _, smtp_port = os.environ["BAILEY_SANDBOX_SMTP"].rpartition(":")
    tenant = create_client(
        provider=provider,
        slug=client.slug,
        name=client.name,
        domain=client.domain,
        next_hop=(smtp_host, int(smtp_port)),
        mailboxes=[
            NewMailbox(client.address(box.local), box.name, box.title, box.is_vip)
            for box in (*client.boxes, world.REPORT_BOX)
        ],
        protected_since=timezone.now(),
        actor=DEMO,
        time_zone=client.contact.time_zone,
        contact_name=client.contact.name,
        contact_phone=client.contact.phone,
        contact_email=client.contact.email,
        contact_hours=client.contact.hours,
        contact_language="English",
    )
    https = os.environ["BAILEY_SANDBOX_HTTPS"]
    create_connection(
        tenant=tenant,
        cloud_tenant_id=client.cloud_id,
        credentials=Credentials(client_id=client.client_id, secret=secret),
        cloud=Cloud(
            authority_url=f"https://{https}",
            api_url=f"https://{https}",
            ca_file=str(Path(os.environ["BAILEY_SANDBOX_DIR"]) / "ca.pem"),
        ),
        actor=DEMO,
    )
    return tenant


def _make_people(
    provider: Provider, tenants: dict[str, Tenant]
) -> tuple[list[dict[str, Any]], Person]:
    people, lead = [], None
    for helper in world.CAST:
        password = f"{helper.name.lower()}-{secrets.token_urlsafe(9)}"
        person = create_person(
            provider=provider,
            email=helper.email,
            name=helper.name,
            role=helper.role,
            password=password,
            tenants=[tenants[slug] for slug in helper.clients],
            may_open_content=helper.role != Person.Role.CLIENT_READER,
            actor=DEMO,
        )
        lead = person if helper.role == Person.Role.LEAD else lead
        people.append(
            {
                "email": helper.email,
                "password": password,
                "role": helper.role,
                "tenant": helper.clients[0] if person.tenant_id else None,
            }
        )
    assert lead is not None
    return people, lead
