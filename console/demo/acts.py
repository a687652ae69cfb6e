"""What people do in the demo between two mails: the provider's analysts through the same services
as the pages, a client's people in their own mailboxes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
from django.utils import timezone

from api_bridge.known import PROFILE_KEPT_S
from console.demo import world
from console.demo.mails import Act
from incidents.models import Delivery, Incident, Message, ReportTerms
from incidents.remediation import pull_incident, release_held
from incidents.reported import report_mail
from incidents.services import resolve_incident
from incidents.userreports.terms import set_terms
from incidents.words import Place, Verdict
from tenants.errors import DomainError, WrongInput
from tenants.models import Person, Tenant
from tenants.scope import Role, maintenance_scope, tenant_scope

PATIENCE_S = 90.0


def do(act: Act, *, patience_s: float = PATIENCE_S) -> str:
    """What came of it, in a word.  Waits until the mail it is about is known."""
    with maintenance_scope():
        tenant = Tenant.objects.get(slug=act.client)
        actor = Person.objects.get(email=world.LEAD)
    return keep_trying(lambda: _BY[act.what](act, tenant, actor), patience_s)


def keep_trying(attempt: Callable[[], str], patience_s: float) -> str:
    """What ``attempt`` answers in the end; "" from it: not yet."""
    until = time.monotonic() + patience_s
    while True:
        done = attempt()
        if done or time.monotonic() > until:
            return done or "nothing to act on"
        time.sleep(1)


def _try(act: Act, tenant: Tenant, actor: Person) -> str:
    """ "" while the mail has not arrived yet."""
    with tenant_scope(Role.ANALYST, [tenant.id], provider_id=tenant.provider_id):
        message = _message_of(act, tenant)
        if message is None:
            return ""
        try:
            return _DO[act.what](act, message, actor)
        except DomainError as error:
            return f"not done: {error}"


def _message_of(act: Act, tenant: Tenant) -> Message | None:
    """The newest of this day."""
    since = timezone.now() - timedelta(days=1)
    found = Message.objects.select_related("tenant").filter(
        tenant=tenant, subject__startswith=act.subject, first_seen_at__gte=since
    )
    return found.order_by("-first_seen_at").first()


def _release(act: Act, message: Message, actor: Person) -> str:
    held = Delivery.objects.filter(message=message, place=Place.HOLD).first()
    if held is None:
        return ""
    release_held(delivery=held, actor=actor, reason=act.reason)
    return "released"


def _condemn(act: Act, message: Message, actor: Person) -> str:
    if not message.deliveries.filter(mailbox_at__isnull=False).exists():
        return ""
    report_mail(message=message, actor=actor, verdict=Verdict.PHISH.value, reason=act.reason)
    return "condemned"


def _pull(act: Act, message: Message, actor: Person) -> str:
    incident = _incident_of(message)
    if incident is None:
        return ""
    pull_incident(incident=incident, actor=actor, reason=act.reason)
    return _close(incident, act, actor, Incident.Classification.TRUE_POSITIVE)


def _resolve(act: Act, message: Message, actor: Person) -> str:
    incident = _incident_of(message)
    if incident is None:
        return ""
    return _close(incident, act, actor, Incident.Classification.BENIGN)


def _close(incident: Incident, act: Act, actor: Person, classification: str) -> str:
    resolve_incident(
        incident=incident, actor=actor, classification=classification, cause=act.reason
    )
    return "closed"


def _incident_of(message: Message) -> Incident | None:
    member = message.memberships.select_related("incident__tenant").first()
    incident: Incident | None = member.incident if member else None
    return incident


_DO = {"release": _release, "condemn": _condemn, "pull": _pull, "resolve": _resolve}


def _take_reports(act: Act, tenant: Tenant, actor: Person) -> str:
    """ "" until the mailbox layer reads the mailbox."""
    with tenant_scope(Role.ANALYST, [tenant.id], provider_id=tenant.provider_id):
        try:
            set_terms(tenant=tenant, actor=actor, mailbox=act.mailbox)
        except WrongInput:
            return ""
    return "done"


def _write(act: Act, tenant: Tenant, _actor: Person) -> str:
    """A person of the client answers the mail, passes it on or reports it; "" until it lies in the
    mailbox, and until every scanner knows where reports come.
    """
    with tenant_scope(Role.ANALYST, [tenant.id], provider_id=tenant.provider_id):
        known_since = timezone.now() - timedelta(seconds=PROFILE_KEPT_S)
        if act.what == "report" and not ReportTerms.objects.filter(
            tenant=tenant, changed_at__lt=known_since
        ):
            return ""
        message = _message_of(act, tenant)
        if message is None:
            return ""
        copies = message.deliveries.filter(recipient=act.mailbox, mailbox_at__isnull=False)
        if not copies.exists():
            return ""
    wish: dict[str, Any] = {"internet_message_id": message.internet_message_id, "text": act.reason}
    if act.what == "report":
        wish |= {"to": act.to, "said": act.said}
        return ask_sandbox("POST", act.mailbox, "report", wish) or "reported"
    wish["forward_to"] = [act.to] if act.to else []
    asked = ask_sandbox("POST", act.mailbox, "answer", wish)
    return asked or ("passed on" if act.to else "answered")


def ask_sandbox(method: str, mailbox: str, what: str, wish: dict[str, Any]) -> str:
    """ "" where the sandbox did it, else why not."""
    address = f"http://{os.environ['BAILEY_SANDBOX_HTTP']}/_sandbox/mailboxes/{mailbox}/{what}"
    try:
        answer = httpx.request(method, address, json=wish, timeout=30, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        return f"not done: {error}"
    return ""


_BY = {
    **dict.fromkeys(("release", "condemn", "pull", "resolve"), _try),
    **dict.fromkeys(("write", "report"), _write),
    "take_reports": _take_reports,
}
