"""An analyst says what a mail is: a ``person`` observation of each copy, through intake as all.

It opens an incident where both layers let the mail through (incidents/opening.py), counts in the
ledger as found by a person (docs/ledger.md), and tells the layers where they were wrong.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from incidents.intake import record
from incidents.models import Delivery, Message
from incidents.observations import Observation, Reason
from incidents.words import VERDICT_WORDS, Layer, Verdict
from tenants.audit import write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Person

REPORTED = "incidents.message.reported"
# The code of her reason.
SAID_BY_ANALYST = "said_by_analyst"
# What a person can say; nobody reports a mail as graymail or as unscannable.
SAYABLE = {
    one: VERDICT_WORDS[one]
    for one in (
        *(Verdict.PHISH, Verdict.BEC, Verdict.MALWARE, Verdict.SPAM),
        *(Verdict.SUSPICIOUS, Verdict.CLEAN),
    )
}
MOST_COPIES = 1_000


@transaction.atomic
def report_mail(*, message: Message, actor: Person, verdict: str, reason: str) -> int:
    """Answers of how many copies it was said.  What follows is done within seconds, by a worker.

    Raises ``WrongInput`` for what cannot be said or has no reason, ``Conflict`` without a copy.
    """
    if verdict not in SAYABLE:
        raise WrongInput(f"Say what the mail is: {', '.join(SAYABLE)}.")
    if not reason.strip():
        raise WrongInput("Say in a sentence why.")
    copies = Delivery.objects.filter(tenant=message.tenant_id, message=message).order_by("id")
    seen = [
        _word(copy, message, actor, Verdict(verdict), reason.strip())
        for copy in copies[:MOST_COPIES]
    ]
    if not seen:
        raise Conflict("No layer has seen a copy of this mail.")
    record(seen)
    write_audit(
        REPORTED,
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=message.tenant_id,
        object_kind="message",
        object_id=message.id,
        reason=reason.strip(),
        verdict=verdict,
        copies=len(seen),
    )
    return len(seen)


def _word(
    copy: Delivery, message: Message, actor: Person, verdict: Verdict, reason: str
) -> Observation:
    said = SAYABLE[verdict].lower()
    return Observation(
        tenant_id=copy.tenant_id,
        layer=Layer.PERSON,
        source=f"person:{actor.id}",
        source_key=str(copy.id),
        observed_at=timezone.now(),
        recipient=copy.recipient,
        direction=copy.direction,
        internet_message_id=message.internet_message_id,
        fingerprint=message.fingerprint,
        verdict=verdict,
        reasons=(Reason(SAID_BY_ANALYST, f"{actor.name} judged it {said}: {reason}"),),
        detail={"delivery_id": str(copy.id), "person": actor.name},
    )
