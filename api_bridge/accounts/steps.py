"""Steps of a response to an account in other hands: which there are, and ordering one.

Each is an order of its own with a result of its own (respond.py carries it out).  It needs the
registration *account response*; where that is missing, what is missing is said instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from api_bridge.access.models import Grant, Purpose
from api_bridge.access.permissions import NEEDS
from api_bridge.accounts.behind import mailboxes_behind
from api_bridge.accounts.differences import name_of, what_it_does
from api_bridge.accounts.models import AccountStep, MailboxSnapshot
from api_bridge.accounts.shapes import Settings
from api_bridge.accounts.work import QUEUE
from api_bridge.models import Connection
from incidents.announce import announce_incident
from incidents.models import Incident
from tenants.audit import write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Mailbox, Person
from tenants.work import want_work

ORDERED = "api_bridge.account_step.ordered"
Kind = AccountStep.Kind
# Kind → permission it needs, what it does to the person, whether it can be taken back.
IMPACT = {
    Kind.REVOKE_SESSIONS: (
        "User.RevokeSessions.All",
        "Everybody who is signed in as this person is signed out, she too; what is open works for"
        " up to an hour more. Cannot be taken back, and need not: she signs in again.",
    ),
    Kind.DISABLE: (
        "User.EnableDisableAccount.All",
        "Nobody can sign in as this person any more: no mail, no files, no meetings, until it is"
        " switched on again. Mail still arrives. Reversible.",
    ),
    Kind.ENABLE: (
        "User.EnableDisableAccount.All",
        "This person can sign in again, and so can whoever has her password.",
    ),
    Kind.NEW_PASSWORD: (
        "User-PasswordProfile.ReadWrite.All",
        "The next sign-in asks for a new password. Whoever knows the old one may be the one who"
        " chooses it: end its sessions, and switch signing in off until you reach the person.",
    ),
    Kind.DISABLE_RULE: (
        "MailboxSettings.ReadWrite",
        "The rule acts on no further mail; what it has moved stays where it is. Reversible.",
    ),
    Kind.ENABLE_RULE: (
        "MailboxSettings.ReadWrite",
        "The rule acts on new mail again, exactly as it was.",
    ),
    Kind.REVOKE_GRANT: (
        "DelegatedPermissionGrant.ReadWrite.All",
        "The application can no longer act for this person; what it holds works for up to an hour"
        " more. Not reversible here: she would have to consent anew.",
    ),
}
UNDONE_BY = {Kind.DISABLE: Kind.ENABLE, Kind.DISABLE_RULE: Kind.ENABLE_RULE}
_DID = (AccountStep.State.VERIFIED, AccountStep.State.ALREADY)
_OF_ACCOUNT = (Kind.REVOKE_SESSIONS, Kind.DISABLE, Kind.NEW_PASSWORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A step that can be ordered.  ``missing`` "": it can; else what is missing."""

    kind: str
    target: str
    label: str
    impact: str
    missing: str

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
    """Steps about the account, then about each rule and grant of its newest settings.

    Empty where it is about no account, or about one that Microsoft 365 does not have.
    """
    if incident.kind != Incident.Kind.ACCOUNT:
        return []
    mailbox = mailbox_of(incident)
    connection = _connection(incident.tenant_id)
    if mailbox is None or connection is None:
        return []
    if not mailboxes_behind(incident.tenant_id, connection.id).filter(id=mailbox.id).exists():
        return []
    wanted = [(kind, "", "") for kind in _OF_ACCOUNT]
    done: set[tuple[str, str]] = set()
    newest = MailboxSnapshot.objects.filter(tenant=incident.tenant_id, mailbox=mailbox)
    row = newest.order_by("-taken_at", "-id").first()
    if row is not None:
        wanted += _of_settings(Settings.from_json(row.content))
        done = _done_since(mailbox, row.taken_at)
    return [
        Offer(
            kind=kind,
            target=target,
            label=label,
            impact=IMPACT[kind][1],
            missing=_missing(connection, kind),
        )
        for kind, target, label in wanted
        if (kind, target) not in done
    ]


def _done_since(mailbox: Mailbox, at: datetime) -> set[tuple[str, str]]:
    """What settings of that time do not show yet: rules and grants that steps have taken away."""
    steps = AccountStep.objects.filter(
        tenant=mailbox.tenant_id, mailbox=mailbox, finished_at__gt=at, state__in=_DID
    )
    found: set[tuple[str, str]] = set()
    for step in steps.exclude(target="").order_by("finished_at"):
        if step.kind == Kind.ENABLE_RULE:
            found.discard((Kind.DISABLE_RULE, step.target))
        else:
            found.add((step.kind, step.target))
    return found


def _of_settings(settings: Settings) -> Iterable[tuple[AccountStep.Kind, str, str]]:
    for rule in settings.rules or ():
        if rule.is_enabled and rule.definition.get("isReadOnly") is not True:
            label = f"{name_of(rule)} {what_it_does(rule)}"
            yield Kind.DISABLE_RULE, rule.id, label[:300]
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


def _connection(tenant_id: int) -> Connection | None:
    rows = Connection.objects.filter(tenant_id=tenant_id, kind=Connection.Kind.GRAPH)
    found: Connection | None = rows.first()
    return found


def _missing(connection: Connection, kind: AccountStep.Kind) -> str:
    """A sentence, "" where nothing is.  An application of its own is asked when it is called."""
    if not connection.by_registrations:
        return ""
    grant = Grant.objects.filter(
        tenant_id=connection.tenant_id, connection=connection, purpose=Purpose.RESPOND
    ).first()
    if grant is None:
        return "The client has not consented to “Account response”."
    if grant.lost_at is not None:
        return f"The client's consent to “Account response” is lost: {grant.trouble}"
    for name in (IMPACT[kind][0], "User.Read.All"):
        need = next(each for each in NEEDS[Purpose.RESPOND] if each.name == name)
        if not need.is_met(grant.roles):
            return f"{name} is not granted. {need.without}"
    return ""


@transaction.atomic
def order_step(
    *, incident: Incident, kind: str, target: str, actor: Person, reason: str = ""
) -> AccountStep:
    """A worker does it within seconds.  Raises ``Conflict`` or ``WrongInput``."""
    offer = offer_of(incident, kind, target)
    if offer.missing:
        raise Conflict(offer.missing)
    mailbox = mailbox_of(incident)
    assert mailbox is not None  # there is an offer
    return _order(incident, mailbox, offer.kind, target, offer.label, actor, reason)


@transaction.atomic
def undo_step(*, step: AccountStep, actor: Person, reason: str = "") -> AccountStep:
    """Takes a step back, from what was kept before it.  Raises ``Conflict``."""
    if not can_undo(step):
        raise Conflict("This step cannot be taken back, or was already.")
    connection = _connection(step.tenant_id)
    kind = UNDONE_BY[Kind(step.kind)]
    missing = _missing(connection, kind) if connection else "No Microsoft 365 is connected."
    if missing:
        raise Conflict(missing)
    made = _order(step.incident, step.mailbox, kind, step.target, step.label, actor, reason)
    AccountStep.objects.filter(id=made.id).update(undoes=step, before=step.before)
    return made


def can_undo(step: AccountStep) -> bool:
    """It was done by us, there is a way back, and nobody has gone it."""
    if step.kind not in UNDONE_BY or step.state != AccountStep.State.VERIFIED:
        return False
    back = AccountStep.objects.filter(tenant=step.tenant_id, undoes=step)
    return not back.exclude(state=AccountStep.State.FAILED).exists()


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
    tenant_id, incident_id = incident.tenant_id, incident.id
    transaction.on_commit(lambda: announce_incident(tenant_id, incident_id))
    return step


def steps_of(incident: Incident) -> Sequence[AccountStep]:
    """Newest first."""
    rows = AccountStep.objects.filter(tenant=incident.tenant_id, incident=incident)
    return list(rows.select_related("mailbox").order_by("-asked_at", "-id"))
