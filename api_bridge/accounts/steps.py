"""Steps of a response to an account in other hands: which there are, and ordering one.

Each is an order of its own with a result of its own (respond.py carries it out).  It needs the
registration *account response*; where that is missing, what is missing is said instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from api_bridge.access.models import Grant, Purpose
from api_bridge.access.permissions import needs_of
from api_bridge.accounts.behind import connection_behind
from api_bridge.accounts.differences import name_of, what_it_does
from api_bridge.accounts.impact import IMPACT, LEADS_ADMIN, READ_BACK
from api_bridge.accounts.models import AccountStep, MailboxSnapshot
from api_bridge.accounts.shapes import Settings
from api_bridge.accounts.work import QUEUE
from api_bridge.models import Connection
from incidents.announce import announce_incident
from incidents.models import Incident
from tenants.audit import write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Mailbox, Person
from tenants.people import must_lead
from tenants.work import want_work

ORDERED = "api_bridge.account_step.ordered"
STEP_WITHDRAWN = "api_bridge.account_step.withdrawn"
Kind = AccountStep.Kind
UNDONE_BY = {
    Kind.DISABLE: Kind.ENABLE,
    Kind.DISABLE_RULE: Kind.ENABLE_RULE,
    Kind.FORWARDING_OFF: Kind.FORWARDING_ON,
    Kind.REMOVE_DELEGATE: Kind.ADD_DELEGATE,
}
_DID = (AccountStep.State.VERIFIED, AccountStep.State.ALREADY)
_DID_NOT = (AccountStep.State.FAILED, AccountStep.State.WITHDRAWN, AccountStep.State.UNPROVEN)
_OF_ACCOUNT = (Kind.REVOKE_SESSIONS, Kind.DISABLE, Kind.NEW_PASSWORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A step that can be ordered.  ``missing`` "": it can; else what is missing.  ``leads``: why
    only a lead may, "": whoever handles the client's mail.
    """

    kind: str
    target: str
    label: str
    impact: str
    missing: str
    leads: str = ""

    @property
    def words(self) -> str:
        return str(Kind(self.kind).label)

    @property
    def text(self) -> str:
        return f"{self.words}: {self.label}" if self.label else self.words


def mailbox_of(incident: Incident) -> Mailbox | None:
    """The mailbox that an account's incident is about, where a mail host knows it."""
    found = Mailbox.objects.filter(tenant=incident.tenant_id, address=incident.sender)
    return found.exclude(external_id="").first()


def offers_for(incident: Incident) -> list[Offer]:
    """Steps about the account, then about each rule, grant and the like of its newest settings.

    Empty where it is about no account, or about one whose mail host has none that can be acted on.
    """
    if incident.kind != Incident.Kind.ACCOUNT:
        return []
    mailbox = mailbox_of(incident)
    connection = connection_behind(mailbox) if mailbox else None
    if mailbox is None or connection is None:
        return []
    settings, taken_at = _newest(mailbox)
    wanted = [*((kind, "", "") for kind in _OF_ACCOUNT), *_of_settings(settings)]
    done = _done_since(mailbox, taken_at) if taken_at else set()
    return [
        _offer(connection, mailbox, settings, *each)
        for each in wanted
        if each[:2] not in done and each[0] in IMPACT[connection.kind]
    ]


def _newest(mailbox: Mailbox) -> tuple[Settings, datetime | None]:
    """What is known of its settings, and since when; None: nothing yet."""
    rows = MailboxSnapshot.objects.filter(tenant=mailbox.tenant_id, mailbox=mailbox)
    row = rows.order_by("-taken_at", "-id").first()
    return (Settings.from_json(row.content), row.taken_at) if row else (Settings(), None)


def _leads(connection: Connection, settings: Settings, kind: str) -> str:
    """Why it is a lead's, "" where it is not."""
    is_admin = settings.state is not None and settings.state.is_admin
    return LEADS_ADMIN if is_admin else IMPACT[connection.kind][kind].leads


def _offer(
    connection: Connection,
    mailbox: Mailbox,
    settings: Settings,
    kind: AccountStep.Kind,
    target: str,
    label: str,
) -> Offer:
    return Offer(
        kind=kind,
        target=target,
        label=label,
        impact=IMPACT[connection.kind][kind].text,
        missing=_missing(connection, mailbox, kind),
        leads=_leads(connection, settings, kind),
    )


def _done_since(mailbox: Mailbox, at: datetime) -> set[tuple[str, str]]:
    """What settings of that time do not show yet: rules and grants that steps have taken away."""
    steps = AccountStep.objects.filter(
        tenant=mailbox.tenant_id, mailbox=mailbox, finished_at__gt=at, state__in=_DID
    )
    found: set[tuple[str, str]] = set()
    undone = {back: kind for kind, back in UNDONE_BY.items()}
    for step in steps.exclude(target="").order_by("finished_at"):
        if step.kind in undone:
            found.discard((undone[Kind(step.kind)], step.target))
        else:
            found.add((step.kind, step.target))
    return found


def _of_settings(settings: Settings) -> Iterable[tuple[AccountStep.Kind, str, str]]:
    for rule in settings.rules or ():
        if rule.is_enabled and rule.definition.get("isReadOnly") is not True:
            label = f"{name_of(rule)} {what_it_does(rule)}"
            yield Kind.DISABLE_RULE, rule.id, label[:300]
    forwarding = settings.forwarding
    if forwarding and forwarding.is_enabled:
        yield Kind.FORWARDING_OFF, forwarding.address, f"All mail goes on to {forwarding.address}"
    for delegate in settings.delegates or ():
        label = f"{delegate.address} may read and send as this mailbox"
        yield Kind.REMOVE_DELEGATE, delegate.address.lower(), label
    for grant in settings.grants or ():
        if grant.mail_scopes:
            label = f"“{grant.app_name or grant.app_id}” ({', '.join(grant.mail_scopes)})"
            yield Kind.REVOKE_GRANT, grant.id, label[:300]


def offer_of(incident: Incident, kind: str, target: str) -> Offer:
    """Raises ``WrongInput`` for a step that is not offered."""
    found = [each for each in offers_for(incident) if (each.kind, each.target) == (kind, target)]
    if not found:
        raise WrongInput("This step cannot be done now. Look at the incident again.")
    return found[0]


def _missing(connection: Connection, mailbox: Mailbox, kind: str) -> str:
    """A sentence, "" where nothing is."""
    if connection.kind == Connection.Kind.GOOGLE:
        return _missing_at_google(connection, mailbox, kind)
    if not connection.by_registrations:
        return ""  # an application of its own is asked when it is called
    grant = _grant(connection)
    if grant is None:
        return "The client has not consented to “Account response”."
    if grant.lost_at is not None:
        return f"The client's consent to “Account response” is lost: {grant.trouble}"
    return _not_met(connection, kind, [grant])


def _missing_at_google(connection: Connection, mailbox: Mailbox, kind: str) -> str:
    admin = str(connection.settings.get("admin", "")).lower()
    if kind == Kind.DISABLE and mailbox.address.lower() == admin:
        return (
            "Bailey acts in the name of this administrator: suspended, nothing more could be done."
            " Name another one first, or suspend it in the Admin console."
        )
    grants = Grant.objects.filter(tenant_id=connection.tenant_id, connection=connection)
    standing = list(grants.filter(lost_at=None))
    if not grants.exists():
        return ""  # not looked at yet: asked when it is called
    return _not_met(connection, kind, standing)


def _grant(connection: Connection) -> Grant | None:
    rows = Grant.objects.filter(tenant_id=connection.tenant_id, connection=connection)
    found: Grant | None = rows.filter(purpose=Purpose.RESPOND).first()
    return found


def _not_met(connection: Connection, kind: str, grants: Sequence[Grant]) -> str:
    roles = {role for grant in grants for role in grant.roles}
    purposes = (Purpose.RESPOND, Purpose.DETECT)
    known = {n.name: n for purpose in purposes for n in needs_of(connection.kind, purpose)}
    # What two purposes need is said as the one of them says it that it is for here.
    known |= {need.name: need for need in needs_of(connection.kind, Purpose.RESPOND)}
    for name in (*IMPACT[connection.kind][kind].needs, *READ_BACK[connection.kind]):
        need = known[name]
        if not need.is_met(roles):
            given = "delegated" if connection.kind == Connection.Kind.GOOGLE else "granted"
            return f"{need.short} is not {given}. {need.without}"
    return ""


@transaction.atomic
def order_step(
    *, incident: Incident, kind: str, target: str, actor: Person, reason: str = ""
) -> AccountStep:
    """A worker does it within seconds.  Raises ``Conflict``, ``WrongInput``, or ``NotAllowed`` for
    what is a lead's.
    """
    offer = offer_of(incident, kind, target)
    if offer.leads:
        must_lead(actor, offer.leads)
    if offer.missing:
        raise Conflict(offer.missing)
    mailbox = mailbox_of(incident)
    assert mailbox is not None  # there is an offer
    return _order(incident, mailbox, offer.kind, target, offer.label, actor, reason)


@transaction.atomic
def undo_step(*, step: AccountStep, actor: Person, reason: str = "") -> AccountStep:
    """Takes a step back, from what was kept before it; by whoever may order it.  Raises
    ``Conflict`` or ``NotAllowed``.
    """
    offer = undo_offer(step)
    if offer is None:
        raise Conflict("This step cannot be taken back, or was already.")
    if offer.leads:
        must_lead(actor, offer.leads)
    if offer.missing:
        raise Conflict(offer.missing)
    made = _order(step.incident, step.mailbox, offer.kind, offer.target, offer.label, actor, reason)
    AccountStep.objects.filter(id=made.id).update(undoes=step, before=step.before)
    return made


def undo_offer(step: AccountStep) -> Offer | None:
    """The way back; None where there is none, or somebody has gone it."""
    if not can_undo(step):
        return None
    kind = UNDONE_BY[Kind(step.kind)]
    connection = connection_behind(step.mailbox)
    if connection is None:
        gone = "No mail host is connected any more that has this mailbox."
        return Offer(kind=kind, target=step.target, label=step.label, impact="", missing=gone)
    settings = _newest(step.mailbox)[0]
    return _offer(connection, step.mailbox, settings, kind, step.target, step.label)


WITHDRAWERS = "Whoever ordered the step withdraws it, or a lead."


def can_withdraw(step: AccountStep, actor: Person) -> bool:
    """Nothing was sent for it yet, and it is hers or she leads."""
    waits = step.state == AccountStep.State.PENDING and step.called_at is None
    return waits and (step.asked_by_id == actor.id or actor.is_lead)


@transaction.atomic
def withdraw_step(*, step: AccountStep, actor: Person, reason: str = "") -> None:
    """It is not begun any more.  Raises ``NotAllowed``, or ``Conflict`` where it was begun."""
    if step.asked_by_id != actor.id:
        must_lead(actor, WITHDRAWERS)
    words = f"Withdrawn by {actor.name}. Nothing was done."
    # A worker that has it by now has made another state of it.
    waiting = AccountStep.objects.filter(
        id=step.id, tenant_id=step.tenant_id, state=AccountStep.State.PENDING, called_at=None
    )
    if not waiting.update(
        state=AccountStep.State.WITHDRAWN, words=words, finished_at=timezone.now()
    ):
        raise Conflict("It is being done, or is over: it cannot be withdrawn any more.")
    write_audit(
        STEP_WITHDRAWN,
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=step.tenant_id,
        object_kind="account_step",
        object_id=step.id,
        reason=reason,
        incident=str(step.incident_id),
        kind=step.kind,
        target=step.target,
    )
    announce_incident(step.tenant_id, step.incident_id)


def can_undo(step: AccountStep) -> bool:
    """It was done by us, there is a way back, and nobody has gone it."""
    if step.kind not in UNDONE_BY or step.state != AccountStep.State.VERIFIED:
        return False
    back = AccountStep.objects.filter(tenant=step.tenant_id, undoes=step)
    return not back.exclude(state__in=_DID_NOT).exists()


def _order(
    incident: Incident,
    mailbox: Mailbox,
    kind: str,
    target: str,
    label: str,
    actor: Person,
    reason: str,
) -> AccountStep:
    try:
        with transaction.atomic():
            step: AccountStep = AccountStep.objects.create(
                tenant_id=incident.tenant_id,
                incident=incident,
                mailbox=mailbox,
                kind=kind,
                target=target,
                label=label,
                reason=reason,
                asked_by=actor.name,
                asked_by_id=actor.id,
            )
    except IntegrityError as error:
        raise Conflict("This step is being done already.") from error
    write_audit(
        ORDERED,
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=incident.tenant_id,
        object_kind="account_step",
        object_id=step.id,
        reason=reason,
        incident=str(incident.id),
        mailbox=mailbox.address,
        kind=kind,
        target=target,
    )
    want_work(incident.tenant_id, QUEUE)
    announce_incident(incident.tenant_id, incident.id)
    return step


def steps_of(incident: Incident) -> Sequence[AccountStep]:
    """Newest first."""
    rows = AccountStep.objects.filter(tenant=incident.tenant_id, incident=incident)
    return list(rows.select_related("mailbox").order_by("-asked_at", "-id"))
