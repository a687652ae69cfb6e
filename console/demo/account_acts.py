"""What happens to an account in the sandbox cloud, and what the provider's people do about it."""

from __future__ import annotations

from api_bridge.accounts.asking import ask_look
from api_bridge.accounts.steps import offers_for, order_step
from console.demo.accounts import HIDING_RULE, taken_account
from console.demo.acts import PATIENCE_S, ask_sandbox, keep_trying
from console.demo.mails import AccountAct
from incidents.accounts import open_incident_of
from incidents.models import Incident
from incidents.services.comments import log_call
from incidents.services.states import take_incident
from seg_bridge.outbound.models import SubmissionLogin
from seg_bridge.outbound.services import end_login
from tenants.errors import DomainError
from tenants.models import Person, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope


def do(act: AccountAct, *, patience_s: float = PATIENCE_S) -> str:
    """What came of it, in a word.  Waits until the account has its incident, where it needs one."""
    if act.what == "taken":
        return _take(act.mailbox)
    with maintenance_scope():
        tenant = Tenant.objects.get(slug=act.client)
        actor = Person.objects.get(email=act.by)
    return keep_trying(lambda: _try(act, tenant, actor), patience_s)


def _take(mailbox: str) -> str:
    return (
        ask_sandbox("PUT", mailbox, "account", taken_account())
        or ask_sandbox("PUT", mailbox, "rules", {"rules": [HIDING_RULE]})
        or "somebody else has it"
    )


def _try(act: AccountAct, tenant: Tenant, actor: Person) -> str:
    """ "" while what it is about is not there yet."""
    with tenant_scope(Role.ANALYST, [tenant.id], provider_id=tenant.provider_id):
        if act.what == "look":
            ask_look(tenant=tenant, actor=actor)
            return "looked at now"
        incident = open_incident_of(tenant, act.mailbox)
        if incident is None:
            return ""
        try:
            return _DO[act.what](act, incident, actor)
        except DomainError as error:
            return f"not done: {error}"


def _own(_act: AccountAct, incident: Incident, actor: Person) -> str:
    take_incident(incident=incident, actor=actor)
    return f"{actor.name} has it"


def _step(act: AccountAct, incident: Incident, actor: Person) -> str:
    offer = next((each for each in offers_for(incident) if each.kind == act.kind), None)
    if offer is None:
        return ""
    order_step(
        incident=incident, kind=offer.kind, target=offer.target, actor=actor, reason=act.reason
    )
    return f"{offer.words}: ordered"


def _call(act: AccountAct, incident: Incident, actor: Person) -> str:
    assert act.contact is not None  # the story names whom
    log_call(
        incident=incident,
        actor=actor,
        whom=act.contact.name,
        phone=act.contact.phone,
        said=act.reason,
    )
    return "phoned"


def _end_login(act: AccountAct, incident: Incident, actor: Person) -> str:
    logins = SubmissionLogin.objects.filter(tenant=incident.tenant_id, ended_at=None)
    for login in logins.select_related("tenant"):
        end_login(login=login, actor=actor)
    return "its login has ended"


_DO = {"take": _own, "step": _step, "call": _call, "end_login": _end_login}
