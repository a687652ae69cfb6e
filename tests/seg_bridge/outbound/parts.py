"""A client that sends through the gateway, and what its gate tells of that."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from incidents.correlation import serve_intake
from incidents.intake import record
from incidents.models import Incident
from incidents.observations import Observation
from incidents.words import Outcome, Place, Verdict
from seg_bridge.gate.policy import PolicySnapshot, load_signed
from seg_bridge.outbound.models import SenderStop
from seg_bridge.outbound.services import set_terms
from seg_bridge.outbound.serving import serve_outbound
from seg_bridge.outbound.stopping import ToldStop, note_stop
from seg_bridge.snapshot import current_snapshot, sign_for
from tenants.doors import ClaimedWork
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, mail_json
from tests.seg_bridge.conftest import Mx

CEO = "ceo@acme.example"
TERMS: dict[str, Any] = {
    "is_on": True,
    "next_hop_host": "smtp.acme.example",
    "next_hop_port": 587,
    "messages_per_hour": 100,
    "recipients_per_hour": 500,
    "stop_threats": 5,
    "stop_minutes": 10,
    "stop_refusals": 50,
}


def analyst(cast: Cast, *tenants):
    ids = [tenant.id for tenant in tenants or (cast.acme,)]
    return tenant_scope(Role.ANALYST, ids, provider_id=cast.provider.id)


def switch_on(cast: Cast, **changes: Any) -> None:
    with analyst(cast):
        set_terms(tenant=cast.acme, values={**TERMS, **changes}, actor=cast.mo)


def told_to(mx: Mx) -> PolicySnapshot:
    """The policy as the gate reads it."""
    gate = mx.known
    with tenant_scope(Role.WORKER, gate.tenant_ids, provider_id=gate.provider_id):
        signed = sign_for(gate, current_snapshot(gate), at=timezone.now())
    return load_signed(signed, mx.secret)


def ulid(number: int) -> str:
    return f"01J000000000000000000001{number:02d}"


def sent(cast: Cast, number: int, **changes: Any) -> Observation:
    """The gate's word of a mail that the CEO's mailbox sent: held as phish unless changed."""
    sender = {"address": CEO, "name": "Carla", "raw": CEO}
    values: dict[str, Any] = {
        "ulid": ulid(number),
        "direction": "outbound",
        "internet_message_id": f"<{number}@acme.example>",
        "fingerprint": f"{number:02d}" * 16,
        "verdict": Verdict.PHISH,
        "score": 12.0,
        "action": Outcome.HELD,
        "place": Place.HOLD,
        "mail": mail_json(subject=f"Invoice {number}", sender=sender, from_all=[sender]),
    }
    return gateway_saw(cast.acme, f"bob{number}@other.example", **{**values, **changes})


def stopped(cast: Cast, *numbers: int, **changes: Any) -> dict[str, Any]:
    """The gate's line of a stop; ``numbers`` are the mails behind it."""
    line = {
        "kind": "sender_stopped",
        "ulid": "01J0000000000000000000ST01",
        "tenant_id": cast.acme.id,
        "mailbox": CEO,
        "cause": "threats",
        "words": "5 of its mails within 10 minutes were held to be threats",
        "at": timezone.now().isoformat(),
        "evidence": [ulid(number) for number in numbers],
    }
    return line | changes


def stop_the_ceo(cast: Cast, **changes: Any) -> Incident:
    """Five of her mails are held, a gate tells the stop, and it has its incident."""
    claimed = ClaimedWork(cast.acme.id, cast.provider.id, 1)
    line = stopped(cast, *range(5))
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        record(sent(cast, number, **changes) for number in range(5))
        note_stop("mx1", ToldStop.from_json(line))
    serve_intake(claimed)
    serve_outbound(claimed)
    with analyst(cast):
        return Incident.objects.get(kind=Incident.Kind.ACCOUNT, sender=CEO)


def stops(cast: Cast) -> list[SenderStop]:
    with analyst(cast):
        return list(SenderStop.objects.select_related("tenant", "incident").order_by("stop_ulid"))


def accounts(cast: Cast) -> list[Incident]:
    with analyst(cast):
        return list(Incident.objects.filter(kind=Incident.Kind.ACCOUNT).order_by("number"))
