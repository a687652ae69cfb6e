"""Digests and notices that Bailey itself sends to a client's people come in by the client's gate.

A sealed one (``incidents/mail/own_notice.py``) is delivered, whatever its policy says and whatever
engines are away: no byte that is read of it is anybody else's.  An entry of a list does not stop it
either.  A seal that does not hold is nothing: the mail is treated as any other.
"""

from __future__ import annotations

from datetime import UTC, datetime

from incidents.mail.own_notice import is_own_notice
from incidents.observations import Reason
from incidents.words import MatrixAction, Verdict
from seg_bridge.engines import Envelope
from seg_bridge.gate.decide import Decision
from seg_bridge.gate.policy import PolicySnapshot, Route
from seg_bridge.gate.records import Copy
from seg_bridge.gate.scanning import ScanResult

RULE = "Bailey's own notice: it carries the seal for this mailbox"
# No engine is asked: the seal says more of it than any could.
OWN_NOTICE = ScanResult(
    verdict=Verdict.CLEAN,
    confidence=1.0,
    reasons=(Reason("own_notice", "Bailey wrote it itself and has sealed it.", "", 0.0),),
    engine="seal",
    version="1",
)


def is_sealed_for(raw: bytes, snapshot: PolicySnapshot, envelope: Envelope) -> bool:
    """Whether this is a notice for the one recipient of the envelope."""
    if envelope.tenant_id is None:
        return False
    keys = {name: bytes.fromhex(key) for name, key in snapshot.trace_keys.items()}
    return is_own_notice(
        raw,
        keys=keys,
        tenant_id=envelope.tenant_id,
        recipients=envelope.recipients,
        now=datetime.now(UTC),
    )


def own_copy(route: Route) -> Copy:
    decision = Decision(MatrixAction.DELIVER, RULE, "notice")
    return Copy(route, decision.action, decision.rule, decided=decision.as_json())
