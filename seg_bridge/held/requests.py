"""What becomes of a client's wish for a held mail: looked at again, then decided by the policy.

``release.<verdict>`` gives it to the client      delivered at once, as her own release
``held.requests`` is ``semi`` or ``auto``          delivered by Bailey if it is harmless by now
``auto``                                           refused by Bailey if it is still a threat
everything else                                    a person decides, with the new scan beside it

Bailey itself releases nothing that the policy keeps for leads or for nobody.

Where an engine is away the mail is not scanned, and never held to be harmless.  A policy that puts
such mail off (``action.not_scanned``) puts the wish off too: it is looked at again every minute for
a quarter of an hour, and is a person's after that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from incidents.announce import announce_incident
from incidents.client_words import refuse_release, settle_wishes
from incidents.evidence import read_evidence
from incidents.models import ClientWord, Delivery, Observation, Sighting
from incidents.models.mail import Layer, Place
from incidents.release_rights import ANALYST, CLIENT, ActsAs
from incidents.remediation import release_held
from incidents.words import GRAVE, PASSING, MatrixAction
from seg_bridge.gate.decide import decide
from seg_bridge.held.policy import Policy, policies_for
from seg_bridge.held.rescan import Original, Rescan, rescan
from seg_bridge.held.rights import right_of, words_about
from seg_bridge.policies.keys import NOT_SCANNED
from seg_bridge.snapshot import policies_of
from tenants.audit import Actor, write_audit
from tenants.doors import ClaimedWork
from tenants.errors import DomainError, NotThere
from tenants.work import work_scope

MOST_AT_ONCE = 10
AGAIN = timedelta(seconds=1)
PUT_OFF_FOR = timedelta(minutes=1)
PATIENCE = timedelta(minutes=15)
BY_POLICY = "Bailey, by the policy for requests"
LEFT = "left to a person"
Scanner = Callable[[Sequence[Original]], Mapping[UUID, Rescan]]


@dataclass(frozen=True, slots=True)
class Finding:
    """``advice``: ``harmless``, ``threat``, or ``unclear`` where nobody could look."""

    advice: str
    verdict: str
    told: dict[str, Any]


def serve_requests(claimed: ClaimedWork, *, scanner: Scanner = rescan) -> datetime | None:
    """Serve the wishes that nobody has looked at; answers when there are more."""
    with work_scope(claimed):
        originals = [_original(word) for word in _waiting(timezone.now())]
    found = scanner(originals)
    for original in originals:
        with work_scope(claimed):
            _serve(original.wish_id, found[original.wish_id])
    if len(originals) == MOST_AT_ONCE:
        return timezone.now() + AGAIN
    with work_scope(claimed):
        return timezone.now() + PUT_OFF_FOR if _unserved().exists() else None


def _unserved() -> QuerySet[ClientWord]:
    return ClientWord.objects.filter(kind=ClientWord.Kind.RELEASE, settled_at=None, scanned_at=None)


def _waiting(now: datetime) -> list[ClientWord]:
    """Those that are not put off; ISO times of one zone compare as text."""
    is_due = ~Q(scan__has_key="again_at") | Q(scan__again_at__lte=now.isoformat())
    words = _unserved().filter(is_due).select_related("delivery__message")
    return list(words.order_by("created_at", "id")[:MOST_AT_ONCE])


def _original(word: ClientWord) -> Original:
    copy = word.delivery
    detail = _sight_of(copy)
    try:
        raw = read_evidence(tenant_id=copy.tenant_id, digest=copy.message.evidence)
    except NotThere:
        raw = None
    return Original(
        wish_id=word.id,
        tenant_id=copy.tenant_id,
        raw=raw,
        client_ip=str(detail.get("client_ip") or ""),
        helo=str(detail.get("helo") or ""),
        mail_from=str(detail.get("mail_from") or ""),
        recipient=copy.recipient,
        received_at=copy.received_at,
    )


def _sight_of(copy: Delivery) -> dict[str, Any]:
    """The detail of the gateway's first word about this copy."""
    sights = Sighting.objects.filter(tenant_id=copy.tenant_id, delivery=copy)
    seen = Observation.objects.filter(
        tenant_id=copy.tenant_id,
        id__in=sights.values("observation_id"),
        observed_at__in=sights.values("observed_at"),
        layer=Layer.GATEWAY,
    )
    first = seen.order_by("observed_at").only("detail").first()
    return dict(first.detail) if first else {}


@transaction.atomic
def _serve(wish_id: UUID, scan: Rescan) -> None:
    words = ClientWord.objects.select_for_update(of=("self",)).filter(
        id=wish_id, settled_at=None, scanned_at=None
    )
    word = words.first()
    if word is None or word.delivery_id is None:
        return
    copy = Delivery.objects.select_related("message", "tenant").get(id=word.delivery_id)
    policy = policies_for([copy])[copy.id]
    if _puts_off(word, copy, policy, scan):
        return
    finding = find(copy, scan)
    mode = str(policy["held.requests"].value)
    outcome = LEFT
    if copy.place == Place.HOLD:
        outcome = _decide(word, copy, policy, finding, mode)
    elif copy.place != Place.QUARANTINE:
        settle_wishes(copy, Actor(BY_POLICY), "It is not held any more.")
    ClientWord.objects.filter(id=word.id).update(
        scanned_at=timezone.now(), scan={**finding.told, "mode": mode, "outcome": outcome}
    )
    announce_incident(copy.tenant_id, copy.id)


def _puts_off(word: ClientWord, copy: Delivery, policy: Policy, scan: Rescan) -> bool:
    """An engine is away, and the policy would have such mail come again later."""
    now = timezone.now()
    waits = policy[f"action.{NOT_SCANNED}"].value == str(MatrixAction.DEFER)
    is_early = now < word.created_at + PATIENCE and copy.place == Place.HOLD
    if not (scan.is_away and waits and is_early):
        return False
    again_at = (now + PUT_OFF_FOR - AGAIN).isoformat()
    ClientWord.objects.filter(id=word.id).update(scan={"why": scan.why, "again_at": again_at})
    return True


def _decide(word: ClientWord, copy: Delivery, policy: Policy, finding: Finding, mode: str) -> str:
    """What was done about it, in words for the log."""
    rows = {copy.gateway_verdict or NOT_SCANNED} | words_about([copy])[
        copy.tenant_id, copy.message_id
    ]
    right = right_of(policy, rows | ({finding.verdict} if finding.verdict else set()))
    outcome, actor = LEFT, Actor(BY_POLICY)
    try:
        # A refusal of the service must leave the wish as it was, not half of a release.
        with transaction.atomic():
            if CLIENT in right.roles:
                asker = ActsAs(word.person_name, CLIENT, word.person_id)
                release_held(delivery=copy, actor=asker, reason=word.text)
                outcome = "released by the client"
            elif mode != "manual" and finding.advice == "harmless" and ANALYST in right.roles:
                bailey = ActsAs(BY_POLICY, ANALYST)
                release_held(delivery=copy, actor=bailey, reason="Found harmless by a new scan.")
                outcome = "released by policy"
            elif mode == "auto" and finding.advice == "threat":
                refuse_release(delivery=copy, actor=actor, reason=_why(finding))
                outcome = "refused by policy"
    except DomainError as error:
        outcome = f"{LEFT}: {error.sentence}"
    write_audit(
        "seg_bridge.request.served",
        actor=actor,
        provider_id=copy.tenant.provider_id,
        tenant_id=copy.tenant_id,
        object_kind="delivery",
        object_id=copy.id,
        outcome=outcome,
        mode=mode,
        advice=finding.advice,
    )
    return outcome


def find(copy: Delivery, scan: Rescan) -> Finding:
    """Would the gateway, by today's engine, entries and policy, hold this mail again?  What another
    layer or a person condemned is a threat whatever a scan says.
    """
    grave = sorted(words_about([copy])[copy.tenant_id, copy.message_id] & set(map(str, GRAVE)))
    # Its own gateway's earlier word is what is looked at again.
    others = [copy.mailbox_verdict, copy.person_verdict, copy.vendor_verdict]
    condemned = [word for word in grave if word in others or word != copy.gateway_verdict]
    told: dict[str, Any] = {"engine": scan.engine, "reasons": list(scan.reasons), "why": scan.why}
    if scan.mail is None:
        advice = "threat" if condemned else "unclear"
        return Finding(advice, "", {**told, "advice": advice})
    (tenant,) = policies_of([copy.tenant_id])
    decision = decide(scan.mail, tenant, copy.recipient.lower(), timezone.now())
    passes = decision.action in PASSING and not condemned
    advice = "harmless" if passes else "threat"
    verdict = str(scan.mail.verdict or "")
    told |= {"advice": advice, "verdict": verdict, "score": round(scan.mail.score, 1)}
    return Finding(advice, verdict, {**told, "rule": decision.rule})


def _why(finding: Finding) -> str:
    """For the client: the heaviest reason, in words."""
    reasons = finding.told["reasons"]
    return reasons[0] if reasons else "A new scan finds it dangerous still."
