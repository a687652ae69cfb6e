"""One entry of an allow or block list, as a gate is told of it (policy.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self, get_args

from incidents.words import MatrixAction

RuleKind = Literal["allow", "block"]
RuleMatch = Literal[
    "sender", "sender_domain", "dkim_domain", "client_ip", "url_host", "attachment_sha256", "mail"
]
# Whose entry it is: the client's, or one of her provider's for several or all of its clients.
RuleScope = Literal["client", "group", "provider"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRule:
    """One entry of a client's allow and block list.

    ``recipient`` "" means every mailbox of the client, ``@acme.example`` those of the domain, words
    like ``the group Finance`` the mailboxes whose addresses are in ``also``, else one mailbox,
    whose other addresses are in ``also``; ``expires_at`` None means no end;
    ``action`` is what a block does (``hold`` or ``reject``; an allow delivers); ``owner`` and
    ``reason`` are words for people.  ``value``: an address, a domain (a block covers its
    subdomains), an address or network, a host (with its subdomains), a hex hash; of one mail its
    ``mail_key`` (incidents/mail/fingerprint.py).
    """

    id: str
    kind: RuleKind
    match: RuleMatch
    value: str
    recipient: str = ""
    action: MatrixAction = MatrixAction.HOLD
    expires_at: datetime | None = None
    owner: str = ""
    reason: str = ""
    beats_threats: bool = False
    also: tuple[str, ...] = ()
    scope: RuleScope = "client"

    def is_for(self, address: str) -> bool:
        """``address`` as ``normalise_address`` writes it."""
        if not self.recipient or self.recipient == address or address in self.also:
            return True
        return self.recipient[0] == "@" and address.endswith(self.recipient)

    def as_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "match": self.match,
            "value": self.value,
            "recipient": self.recipient,
            "action": str(self.action),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "owner": self.owner,
            "reason": self.reason,
            "beats_threats": self.beats_threats,
        }
        if self.also:
            data["also"] = list(self.also)
        if self.scope != "client":
            data["scope"] = self.scope
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        fields = dict(data)
        if fields.get("scope", "client") not in get_args(RuleScope):
            raise ValueError(f"rule {fields.get('id')} has an unknown scope")
        fields["also"] = tuple(str(each).lower() for each in fields.get("also", ()))
        if fields["kind"] not in get_args(RuleKind) or fields["match"] not in get_args(RuleMatch):
            raise ValueError(f"rule {fields.get('id')} has an unknown kind or match")
        fields["value"] = str(fields["value"]).strip().lower()
        recipient = str(fields.get("recipient", "")).strip()
        fields["recipient"] = recipient.lower() if "@" in recipient else recipient
        fields["action"] = MatrixAction(fields.get("action", MatrixAction.HOLD))
        if fields["kind"] == "block" and fields["action"] not in (
            MatrixAction.HOLD,
            MatrixAction.REJECT,
        ):
            raise ValueError(f"rule {fields['id']} blocks, so its action is hold or reject")
        if fields.get("expires_at"):
            fields["expires_at"] = datetime.fromisoformat(fields["expires_at"])
            if fields["expires_at"].tzinfo is None:
                raise ValueError(f"rule {fields['id']}: expires_at needs a time zone")
        return cls(**fields)
