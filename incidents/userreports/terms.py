"""How one client's reports are taken: its report mailbox, answers, and the herd rule."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from incidents.models import ReportTerms
from tenants.audit import Actor, write_audit
from tenants.errors import WrongInput
from tenants.models import Mailbox, Person, Tenant
from tenants.people import must_lead

CHANGED = "incidents.report_terms.changed"
LEADS = "That reports pull by themselves is a lead's to say. Anybody may make it a dry run again."
FEWEST, MOST = 2, 500
_NAMES = ("answers", "herd_mode", "herd_reporters")


def terms_of(tenant_id: int) -> ReportTerms:
    """Where none are stored: no report mailbox, and the herd rule is off."""
    stored = ReportTerms.objects.filter(tenant_id=tenant_id).select_related("mailbox").first()
    return stored or ReportTerms(tenant_id=tenant_id)


def report_address(tenant_id: int) -> str:
    """The address of the client's report mailbox, "" where there is none."""
    rows = ReportTerms.objects.filter(tenant_id=tenant_id, mailbox__isnull=False)
    return rows.values_list("mailbox__address", flat=True).first() or ""


@transaction.atomic
def set_terms(*, tenant: Tenant, actor: Person | Actor, **changes: Any) -> ReportTerms:
    """Change ``mailbox`` (an address, "": none), ``answers``, ``herd_mode``, ``herd_reporters``.

    Raises ``WrongInput``, or ``NotAllowed`` to anybody but a lead where reports would pull, or
    fewer reporters than now.
    """
    ReportTerms.objects.get_or_create(tenant_id=tenant.id)
    terms = ReportTerms.objects.select_for_update(of=("self",)).get(tenant_id=tenant.id)
    before = _said(terms)
    for name in set(_NAMES) & set(changes):
        setattr(terms, name, changes[name])
    if "mailbox" in changes:
        terms.mailbox = _mailbox(tenant, str(changes["mailbox"] or ""))
    if terms.herd_mode not in ReportTerms.Herd.values:
        raise WrongInput("The herd rule is off, a dry run, or pulls: off, dry_run or pull.")
    if not FEWEST <= terms.herd_reporters <= MOST:
        raise WrongInput(f"The herd rule takes {FEWEST} to {MOST} reporters.")
    pulls = terms.herd_mode == ReportTerms.Herd.PULL
    was_stricter = before["herd_mode"] != terms.herd_mode or (
        terms.herd_reporters < before["herd_reporters"]
    )
    if pulls and was_stricter:
        must_lead(actor, LEADS)
    terms.changed_by = actor.name
    terms.save()
    write_audit(
        CHANGED,
        actor=actor,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="report_terms",
        object_id=terms.id,
        before=before,
        after=_said(terms),
    )
    return terms


def _said(terms: ReportTerms) -> dict[str, Any]:
    mailbox = terms.mailbox.address if terms.mailbox else ""
    return {"mailbox": mailbox, **{name: getattr(terms, name) for name in _NAMES}}


def _mailbox(tenant: Tenant, address: str) -> Mailbox | None:
    if not address.strip():
        return None
    known = Mailbox.objects.filter(tenant=tenant, address=address.strip().lower())
    mailbox: Mailbox | None = known.exclude(state=Mailbox.State.GONE).first()
    if mailbox is None:
        raise WrongInput(f"{tenant.name} has no mailbox {address.strip()[:100]}.")
    if not mailbox.external_id:
        raise WrongInput(
            f"The mailbox layer does not read {mailbox.address}: reports in it would not be seen."
            " Connect the mail host first."
        )
    return mailbox
