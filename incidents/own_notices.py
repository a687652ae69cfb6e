"""Sealing what the outbox sends, so that the client's own gate lets it pass (own_notice.py)."""

from __future__ import annotations

from django.utils import timezone

from incidents.mail.own_notice import NOTICE_HEADER, seal_notice
from incidents.traces import NoTraceKey, active_trace_key
from tenants.outbox import Sealer


def sealer_for(provider_id: int, tenant_id: int) -> Sealer | None:
    """None: the provider has no gate, and so no key.  Needs a scope of the provider."""
    try:
        key_id, key = active_trace_key(provider_id)
    except NoTraceKey:
        return None

    def seal(raw: bytes, recipient: str) -> tuple[str, str]:
        value = seal_notice(
            raw,
            key_id=key_id,
            key=key,
            tenant_id=tenant_id,
            recipient=recipient,
            at=timezone.now(),
        )
        return NOTICE_HEADER, value

    return seal
