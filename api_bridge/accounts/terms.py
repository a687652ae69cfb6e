"""How readily a client's accounts are held to be in other hands."""

from __future__ import annotations

from django.db import transaction

from api_bridge.accounts.models import AccountTerms
from incidents.signs import HIGH, LOW, NORMAL, SIGNS, THRESHOLDS
from tenants.audit import write_audit
from tenants.errors import WrongInput
from tenants.models import Person, Tenant
from tenants.people import must_lead

SET = "api_bridge.account_terms.set"
_LEADS = "Only a lead can set how readily accounts are held to be in other hands."
EFFECT = {
    LOW: f"from {THRESHOLDS[LOW]} points: two or three grave signs together. Few incidents; an"
    " intruder who is careful is seen late.",
    NORMAL: f"from {THRESHOLDS[NORMAL]} points: two signs together, like forwarding to outside and"
    " a rule that hides invoices; a burst of mail alone is enough.",
    HIGH: f"from {THRESHOLDS[HIGH]} points: one grave sign alone, like forwarding to outside. More"
    " incidents that turn out to be harmless.",
}


def terms_of(tenant: Tenant) -> AccountTerms:
    """Unsaved where nobody has set any."""
    found: AccountTerms | None = AccountTerms.objects.filter(tenant=tenant).first()
    return found or AccountTerms(tenant=tenant)


def must_set(actor: Person) -> None:
    """Raises ``NotAllowed`` for anybody but a lead."""
    must_lead(actor, _LEADS)


@transaction.atomic
def set_sensitivity(*, tenant: Tenant, sensitivity: str, actor: Person) -> None:
    """Counts from the next look on.  Raises ``NotAllowed`` or ``WrongInput``."""
    must_set(actor)
    if sensitivity not in THRESHOLDS:
        raise WrongInput("Sensitivity is low, normal or high.")
    was = terms_of(tenant).sensitivity
    AccountTerms.objects.update_or_create(
        tenant=tenant, defaults={"sensitivity": sensitivity, "changed_by": actor.name}
    )
    write_audit(
        SET,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="tenant",
        object_id=tenant.slug,
        before=was,
        after=sensitivity,
    )


def weights() -> list[tuple[str, int]]:
    """Each sign in words with its points, the gravest first."""
    found = [(kind.words, kind.weight) for kind in SIGNS.values()]
    return sorted(found, key=lambda each: (-each[1], each[0]))
