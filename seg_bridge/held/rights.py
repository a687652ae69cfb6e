"""Who may release a held copy: the policy of its mailbox for what is known of the mail.

Every layer's word about any copy of the mail counts, and the one that asks for most decides: a mail
held as spam that somebody has reported as phish is released by whoever may release phish.

What a block entry in force holds is not the client's to release, whatever the verdict: somebody of
the provider had a reason to stop it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from incidents.gateway_asked import ReleaseRight
from incidents.held import holds_of
from incidents.models import Delivery
from incidents.models.mail import Place
from incidents.sides import decision_of
from seg_bridge.held.policy import Policy, policies_for
from seg_bridge.models import GatewayRule
from seg_bridge.policies.keys import (
    NOT_SCANNED,
    RELEASERS,
    ROW_WORDS,
    ROWS,
    may_release,
)
from seg_bridge.services import rules_in_force
from tenants.ids import as_uuid

_WORDS = ("gateway_verdict", "mailbox_verdict", "person_verdict", "vendor_verdict")
_CLIENT = "client"
_WHO = {
    "client": "the client's own people and everybody after them",
    "help_desk": "the help desk, analysts and leads",
    "analyst": "analysts and leads",
    "lead": "leads only",
    "nobody": "nobody",
}


def release_rights(copies: Sequence[Delivery]) -> dict[UUID, ReleaseRight]:
    """Needs a scope that names the provider."""
    policies, said = policies_for(copies), words_about(copies)
    rights = {
        copy.id: right_of(
            policies[copy.id],
            {copy.gateway_verdict or NOT_SCANNED} | said[copy.tenant_id, copy.message_id],
        )
        for copy in copies
    }
    # Of what the client may not release anyway no entry need be looked for.
    hers = [copy for copy in copies if _CLIENT in rights[copy.id].roles]
    return rights | {blocked: _blocked(rights[blocked]) for blocked in _held_by_entries(hers)}


def _held_by_entries(copies: Sequence[Delivery]) -> list[UUID]:
    """Those that a block entry holds which still stands."""
    held = [copy.id for copy in copies if copy.place == Place.HOLD]
    if not held:
        return []
    entries = {
        copy_id: as_uuid(decision_of(seen).get("rule_id"))
        for copy_id, seen in holds_of(held).items()
    }
    wanted = {entry for entry in entries.values() if entry is not None}
    standing = GatewayRule.objects.filter(rules_in_force(), id__in=wanted, kind="block")
    found = set(standing.values_list("id", flat=True)) if wanted else set()
    return [copy_id for copy_id, entry in entries.items() if entry in found]


def _blocked(right: ReleaseRight) -> ReleaseRight:
    sentence = f"A block entry holds it: it is released by {_WHO['analyst']}."
    return ReleaseRight(right.roles - {_CLIENT}, sentence)


def right_of(policy: Policy, rows: Iterable[str]) -> ReleaseRight:
    """``rows``: what was said of the mail, each one of ``ROWS``; at least one."""
    asked = {row: str(policy[f"release.{row}"].value) for row in rows}
    row = max(sorted(asked, key=ROWS.index), key=lambda each: RELEASERS.index(asked[each]))
    least, origin = asked[row], policy[f"release.{row}"]
    sentence = f"{ROW_WORDS[row]} is released by {_WHO[least]} (policy of {origin.name})."
    return ReleaseRight(frozenset(r for r in RELEASERS if may_release(least, r)), sentence)


def words_about(copies: Sequence[Delivery]) -> dict[tuple[int, UUID], set[str]]:
    """(client, mail) → every layer's words about any of its copies."""
    found: dict[tuple[int, UUID], set[str]] = defaultdict(set)
    rows = Delivery.objects.filter(
        tenant__in={copy.tenant_id for copy in copies},
        message__in={copy.message_id for copy in copies},
    )
    for tenant_id, message_id, *words in rows.values_list("tenant_id", "message_id", *_WORDS):
        found[tenant_id, message_id] |= set(filter(None, words))
    return found
