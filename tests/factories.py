"""The fixed cast and the clients everyone knows (see STYLE in docs/architecture.md).

Provider *Keep*; clients *Acme* and *Globex*; *Mo* (lead), *Ana* (analyst, both), *Bo* (analyst,
Acme only), *Pia* (portal, Acme), *Gus* (portal, Globex).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from incidents.models import LayerMode
from incidents.observations import Observation
from incidents.words import Layer, Outcome, Place, Verdict
from seg_bridge.models import PolicyLayer
from seg_bridge.policies.keys import check_values
from tenants.ids import new_id
from tenants.models import Assignment, Domain, Mailbox, Person, Provider, Tenant
from tenants.scope import maintenance_scope
from tenants.secrets import new_data_key

PASSWORD = "a long enough password"


@dataclass
class Cast:
    provider: Provider
    acme: Tenant
    globex: Tenant
    mo: Person
    ana: Person
    bo: Person
    pia: Person
    gus: Person


def _clients(provider: Provider, slugs: Sequence[str], next_hop: tuple[str, int]) -> list[Tenant]:
    tenants = [
        Tenant(
            provider=provider,
            slug=slug,
            name=slug.title(),
            data_key=new_data_key(slug),
            protected_since=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for slug in slugs
    ]
    Tenant.objects.bulk_create(tenants)
    domains = [
        Domain(
            tenant=tenant,
            name=f"{tenant.slug}.example",
            next_hop_host=next_hop[0],
            next_hop_port=next_hop[1],
        )
        for tenant in tenants
    ]
    Domain.objects.bulk_create(domains)
    Mailbox.objects.bulk_create(
        Mailbox(
            tenant=domain.tenant,
            domain=domain,
            address=f"{local}@{domain.name}",
            display_name=local,
        )
        for domain in domains
        for local in ("info", "ceo", "cfo", "it")
    )
    return tenants


@cache
def _password_hash() -> str:
    return make_password(PASSWORD)  # once is enough


def _person(provider: Provider, name: str, role: str, tenant: Tenant | None = None) -> Person:
    person = Person(
        provider=provider,
        tenant=tenant,
        email=f"{name.lower()}@{tenant.slug if tenant else 'keep'}.example",
        name=name,
        role=role,
        may_open_content=role != Person.Role.CLIENT_READER,
    )
    person.password = _password_hash()
    return person


def make_cast(next_hop: tuple[str, int] = ("127.0.0.1", 25)) -> Cast:
    """Everybody, in one maintenance scope.  Passwords are ``PASSWORD``.

    Two thousand tests begin with it: each kind of row is one statement.
    """
    with maintenance_scope():
        provider = Provider.objects.create(slug="keep", name="Keep")
        acme, globex = _clients(provider, ("acme", "globex"), next_hop)
        ana = _person(provider, "Ana", Person.Role.ANALYST)
        bo = _person(provider, "Bo", Person.Role.ANALYST)
        mo = _person(provider, "Mo", Person.Role.LEAD)
        pia = _person(provider, "Pia", Person.Role.CLIENT_READER, acme)
        gus = _person(provider, "Gus", Person.Role.CLIENT_READER, globex)
        Person.objects.bulk_create([ana, bo, mo, pia, gus])
        Assignment.objects.bulk_create(
            Assignment(tenant=tenant, person=person)
            for tenant, person in ((acme, ana), (globex, ana), (acme, bo))
        )
        return Cast(provider, acme, globex, mo=mo, ana=ana, bo=bo, pia=pia, gus=gus)


def state_policy(tenant: Tenant, **values: Any) -> None:
    """The client states exactly these values: ``act_from=4.0``, ``action_spam="tag"``.  In the
    caller's scope, and past the rehearsal that people go through.
    """
    stated = {
        key.replace("_", ".", 1) if key.startswith(_SECTIONS) else key: value
        for key, value in values.items()
    }
    PolicyLayer.objects.update_or_create(
        provider_id=tenant.provider_id,
        tenant=tenant,
        level=PolicyLayer.Level.CLIENT,
        defaults={
            "stated": {key: {"value": value} for key, value in check_values(stated).items()},
            "changed_by": "Mo",
        },
    )


_SECTIONS = ("action_", "release_", "keep_", "file_", "held_", "records_")


def mail_json(**changes: Any) -> dict[str, Any]:
    """Message facts as they travel; ``changes`` replaces top-level facts."""
    facts = {
        "size_bytes": 2000,
        "raw_sha256": "0" * 64,
        "is_readable": True,
        "problems": [],
        "subject": "Invoice 4711",
        "sender": {"address": "eve@evil.example", "name": "Eve", "raw": ""},
        "from_all": [{"address": "eve@evil.example", "name": "Eve", "raw": ""}],
        "reply_to": [],
        "sent_at": "2026-11-01T08:00:00+00:00",
        "links": [],
        "attachments": [],
        "hops": [],
        "auth_results": [],
        "shingles": [],
    }
    return facts | changes


def let_bailey_act(tenant: Tenant) -> None:
    """What Bailey pulls by itself is moved, and not asked about first."""
    with maintenance_scope():
        LayerMode.objects.create(
            tenant=tenant, mode=LayerMode.Mode.AUTO, effective_from=timezone.now(), set_by="Mo"
        )


def gateway_saw(tenant: Tenant, recipient: str, **changes: Any) -> Observation:
    """What the gate says of one copy: passed as clean unless changed."""
    ulid = changes.pop("ulid", "01J00000000000000000000001")
    values: dict[str, Any] = {
        "tenant_id": tenant.id,
        "layer": Layer.GATEWAY,
        "source": "gate:mx1",
        "source_key": f"{ulid}/{recipient}",
        "observed_at": datetime.now(UTC),
        "recipient": recipient,
        "internet_message_id": "<1@evil.example>",
        "fingerprint": "f" * 32,
        "trace_ulid": ulid,
        "verdict": Verdict.CLEAN,
        "score": 1.0,
        "score_limit": 6.0,
        "engine": "embedded",
        "engine_version": "1",
        "action": Outcome.DELIVERED,
        "place": Place.UNKNOWN,
        "rule": "policy: clean is delivered",
        "mail": mail_json(),
    }
    return Observation(**(values | changes))


def mailbox_sent(
    tenant: Tenant, mailbox: str, *, answers: str, to: Sequence[str], at: datetime, **changes: Any
) -> Observation:
    """The mailbox layer's word of a mail in its sent folder; ``answers``: a Message-ID."""
    item = changes.pop("item", str(new_id()))
    conversation = changes.pop("conversation", "")
    facts = {
        "size_bytes": 0,
        "subject": changes.pop("subject", "Re: Invoice 4711"),
        "to": [{"address": each, "name": "", "raw": ""} for each in to],
        "cc": [],
        "in_reply_to": answers,
        "references": list(changes.pop("references", ())),
    }
    values: dict[str, Any] = {
        "tenant_id": tenant.id,
        "layer": Layer.MAILBOX,
        "source": f"graph:{mailbox}",
        "source_key": f"{item}/sent",
        "observed_at": at + timedelta(seconds=20),
        "recipient": mailbox,
        "direction": "outbound",
        "internet_message_id": f"<{item}@{mailbox.rpartition('@')[2]}>",
        "mailbox_item_id": item,
        "place": Place.SENT,
        "mail": facts,
        "detail": {"received_at": at.isoformat(), "conversation": conversation},
    }
    return Observation(**(values | changes))


def mailbox_saw(tenant: Tenant, recipient: str, **changes: Any) -> Observation:
    """What the mailbox layer says of one copy: clean in the inbox, with a valid trace."""
    item = changes.pop("item", str(new_id()))
    values: dict[str, Any] = {
        "tenant_id": tenant.id,
        "layer": Layer.MAILBOX,
        "source": f"graph:{recipient}",
        "source_key": item,
        "observed_at": datetime.now(UTC),
        "recipient": recipient,
        "internet_message_id": "<1@evil.example>",
        "fingerprint": "f" * 32,
        "trace_ulid": "01J00000000000000000000001",
        "trace_state": "valid",
        "mailbox_item_id": item,
        "verdict": Verdict.CLEAN,
        "score": 0.0,
        "confidence": 0.9,
        "engine": "detect",
        "engine_version": "1",
        "place": Place.INBOX,
        "is_read": False,
        "mail": mail_json(),
    }
    return Observation(**(values | changes))
