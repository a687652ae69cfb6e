"""An observation: one source's sight of one delivery at one time, as it travels between processes.

Immutable.  The gate writes it to its journal, the shipper carries it, connectors make it from
vendor data, and ``incidents.intake.record`` stores it.  No Django here.  Stored form:
``incidents.models.Observation``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from incidents.words import Layer, Outcome, Place, Verdict

# In ``detail``: the look back over older mail that found it (api_bridge/scanback).
LOOKED_BACK = "looked_back"


@dataclass(frozen=True, slots=True)
class Reason:
    """A named fact that a person can check in the mail.

    ``code`` is stable (``reply_to_differs``), ``text`` is a full sentence for an analyst without
    markup, ``value`` is the fact itself (an address, a host, an account), ``weight`` is what it
    added to the score (negative speaks for the mail).
    """

    code: str
    text: str
    value: str = ""
    weight: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One row of history.  Equal ``(tenant_id, source, source_key, observed_at)`` is the same row.

    ``source``       who says it: ``gate:<name>``, ``graph:<mailbox address>`` (``imap:…``),
                     ``person:<id>``.
    ``source_key``   the source's own key for the delivery: ``<ulid>/<recipient>`` at the gate, the
                     immutable id at a mailbox.  A later row of the same source and key supersedes.
    ``observed_at``  aware, UTC; fixed at the source and repeated unchanged on every retry.
    ``trace_ulid``   the gate's id of the mail, from the journal or from a *verified* trace header.
    ``trace_state``  ``valid``, ``missing``, ``invalid`` or ``foreign`` from the mailbox layer;
                     "" from all others.
    ``verdict``      None: this source gives no verdict here (not scanned, or only a place).
    ``score``        engine points; ``score_limit`` the point from which this client's policy acts.
    ``action``       what was done with the copy; None where the source does not act.
    ``rule``         the rule that decided, in words with its origin ("policy of Acme: phish is
                     held").
    ``place``        where the copy was seen; None: not said.
    ``mail``         message facts as ``incidents.mail.facts.MailFacts.as_json()`` gives them;
                     {} on rows that only update place or verdict.
    ``evidence``     sha256 (hex) of original bytes kept in the evidence store, "" if none.
    ``detail``       what only this source knows (smtp reply, next hop, folder id, queue id).
    """

    tenant_id: int
    layer: Layer
    source: str
    source_key: str
    observed_at: datetime
    recipient: str
    direction: str = "inbound"
    internet_message_id: str = ""
    fingerprint: str = ""
    trace_ulid: str = ""
    trace_state: str = ""
    mailbox_item_id: str = ""
    verdict: Verdict | None = None
    score: float | None = None
    score_limit: float | None = None
    confidence: float | None = None
    reasons: tuple[Reason, ...] = ()
    engine: str = ""
    engine_version: str = ""
    policy_version: str = ""
    action: Outcome | None = None
    rule: str = ""
    place: Place | None = None
    is_read: bool | None = None
    mail: dict[str, Any] = field(default_factory=dict)
    evidence: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes; ``from_json`` gives an equal observation back."""
        # ``asdict`` would copy all facts of the mail, which costs more than writing them.
        data = {name: getattr(self, name) for name in self.__slots__}
        data["observed_at"] = self.observed_at.isoformat()
        data["reasons"] = [reason.as_json() for reason in self.reasons]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The opposite of ``as_json``.

        Raises ``KeyError``, ``TypeError`` or ``ValueError`` on anything that is no observation.
        """
        fields = dict(data)
        fields["layer"] = Layer(fields["layer"])
        fields["observed_at"] = datetime.fromisoformat(fields["observed_at"])
        if fields["observed_at"].tzinfo is None:
            raise ValueError("observed_at needs a time zone")
        for name, kind in (("verdict", Verdict), ("action", Outcome), ("place", Place)):
            if fields.get(name) is not None:
                fields[name] = kind(fields[name])
        fields["reasons"] = tuple(Reason(**reason) for reason in fields.get("reasons", ()))
        return cls(**fields)
