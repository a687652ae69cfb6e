"""Does a client's access still stand?  Asked hourly, and at once when a layer goes blind.

Each loss, and each that is coming, is a finding of the client (incidents/findings.py): one open
health incident for each kind.  What is found again settles itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from api_bridge import connectors
from api_bridge.access.delegations import ask_google, google_accounts, keep_delegation
from api_bridge.access.models import AppRegistration, Grant, Purpose
from api_bridge.access.permissions import missing
from api_bridge.access.proof import Token, fetch_token
from api_bridge.access.relationships import WARNED_BEFORE, of_relationships, related
from api_bridge.errors import AuthExpired, BridgeError
from api_bridge.models import Connection, MailboxSync
from api_bridge.runtime import wire_connection
from api_bridge.sight import why_blind
from incidents.findings import Trouble, note_findings
from incidents.renewals import resume_waiting
from tenants.doors import ClaimedWork
from tenants.models import Mailbox, Tenant
from tenants.work import work_scope

CODES_OF_OURS = ("gdap", "push", "refused")
CODES = ("consent", "permission", "secret", *CODES_OF_OURS)
EVERY, AGAIN = timedelta(hours=1), timedelta(minutes=5)
NAMED = 5
_OF_CREDENTIALS = frozenset({"bad_credentials", "credentials_expired"})


@dataclass(frozen=True, slots=True)
class _Asked:
    """One purpose of a connection, ready to be asked for.  ``grant_id`` None: the connection has an
    application of its own, which does everything.
    """

    connection_id: UUID
    purpose: str
    grant_id: UUID | None
    wired: connectors.Connection | None


def look(claimed: ClaimedWork) -> datetime | None:
    """All connections of the client; answers when to look again, None: there are none."""
    with work_scope(claimed):
        asked, delegated = _asked(), google_accounts()
        has_connection = Connection.objects.exists()
    if not has_connection:
        return None
    answers = [(each, _token_of(each)) for each in asked]
    delegations = [ask_google(each) for each in delegated]
    with work_scope(claimed):
        for each, answer in answers:
            _keep(claimed.tenant_id, each, answer)
        troubles = _troubles(answers)
        for delegation in delegations:
            troubles += keep_delegation(claimed.tenant_id, delegation)
        tenant = Tenant.objects.get(id=claimed.tenant_id)
        is_whole = all(isinstance(answer, Token | AuthExpired) for _, answer in answers)
        is_whole = is_whole and all(each.is_whole for each in delegations)
        # Where the authority did not answer, nothing is known of what it would have said.
        note_findings(tenant, CODES if is_whole else CODES_OF_OURS, troubles)
    return timezone.now() + (EVERY if is_whole else AGAIN)


def _asked() -> list[_Asked]:
    found = []
    for row in Connection.objects.filter(kind=Connection.Kind.GRAPH):
        if not row.by_registrations:
            found.append(_Asked(row.id, Purpose.DETECT, None, wire_connection(row)))
            continue
        for grant in Grant.objects.filter(connection=row).order_by("purpose"):
            try:
                wired = wire_connection(row, grant.purpose)
            except AuthExpired:
                wired = None
            found.append(_Asked(row.id, grant.purpose, grant.id, wired))
    return found


def _token_of(asked: _Asked) -> Token | BridgeError:
    if asked.wired is None:
        label = Purpose(asked.purpose).label
        return AuthExpired(
            f"There is no app registration for “{label}” any more.", code="bad_credentials"
        )
    try:
        return fetch_token(asked.wired)
    except BridgeError as error:
        return error


def _keep(tenant_id: int, asked: _Asked, answer: Token | BridgeError) -> None:
    """What was seen of a grant, or of what an application of the connection's own may do.  An
    authority that does not answer says nothing of it.
    """
    if asked.grant_id is None:
        if isinstance(answer, Token):
            rows = Connection.objects.filter(id=asked.connection_id)
            rows.update(own_roles=list(answer.roles))
        return
    grants, now = Grant.objects.filter(id=asked.grant_id), timezone.now()
    _note_registration(asked, answer)
    if isinstance(answer, Token):
        was_lost = grants.exclude(lost_at=None).exists()
        grants.update(roles=list(answer.roles), checked_at=now, lost_at=None, trouble="")
        if was_lost:
            resume_waiting(tenant_id)
    elif isinstance(answer, AuthExpired):
        grants.update(checked_at=now, trouble=str(answer))
        grants.filter(lost_at=None).update(lost_at=now)


def _note_registration(asked: _Asked, answer: Token | BridgeError) -> None:
    """Whether its secret is taken stands with the provider's registration, too."""
    rows = AppRegistration.objects.filter(purpose=asked.purpose)
    if isinstance(answer, Token):
        rows.exclude(trouble="").update(trouble="")
    elif isinstance(answer, AuthExpired) and answer.code in _OF_CREDENTIALS:
        rows.exclude(trouble=str(answer)).update(trouble=str(answer))


def _troubles(answers: list[tuple[_Asked, Token | BridgeError]]) -> list[Trouble]:
    found: list[Trouble] = []
    for asked, answer in answers:
        if isinstance(answer, Token):
            found += _of_roles(asked, answer)
        elif isinstance(answer, AuthExpired):
            found.append(_of_refusal(asked, answer))
    found += _of_blindness(_told_of(answers))
    found += [*_of_refused_mailboxes(), *_of_pushes()]
    everything = [*found, *_of_secrets(), *of_relationships()]
    return list({(each.code, each.key): each for each in everything}.values())


def _of_roles(asked: _Asked, token: Token) -> list[Trouble]:
    purposes = (asked.purpose,) if asked.grant_id else (Purpose.DETECT, Purpose.REMEDIATE)
    return [
        Trouble(
            code="permission",
            key=f"{purpose}/{need.name}",
            words=f"{need.name} ({Purpose(purpose).label}) is not granted. {need.without}",
        )
        for purpose in purposes
        for need in missing(purpose, token.roles)
        if not need.is_extra
    ]


def _of_refusal(asked: _Asked, error: AuthExpired) -> Trouble:
    label = Purpose(asked.purpose).label
    if error.code in _OF_CREDENTIALS:
        words = f"The secret or certificate of “{label}” is refused: {error} Enter a new one."
        return Trouble(code="secret", key=f"{asked.purpose}/refused", words=words)
    words = f"“{label}” is no longer granted: {error} Send the client's admin the consent link."
    return Trouble(code="consent", key=asked.purpose, words=words)


def _told_of(answers: list[tuple[_Asked, Token | BridgeError]]) -> set[UUID]:
    """Connections of which it is told already why they cannot read.  What is missing for acting, or
    at another host, is no such reason.
    """
    told = set()
    for asked, answer in answers:
        if asked.purpose != Purpose.DETECT:
            continue
        lacks = missing(Purpose.DETECT, answer.roles) if isinstance(answer, Token) else []
        if isinstance(answer, AuthExpired) or any(not need.is_extra for need in lacks):
            told.add(asked.connection_id)
    return told


def _of_blindness(told: set[UUID]) -> list[Trouble]:
    """A layer that cannot read although tokens are given, unless its cause is told already."""
    return [
        Trouble(
            code="consent",
            key=f"blind/{row.id}",
            words=f"{row.get_kind_display()} is not read: {why_blind(row)} {row.last_error}",
        )
        for row in Connection.objects.exclude(blind_since=None).order_by("id")
        if row.id not in told
    ]


def _of_refused_mailboxes() -> list[Trouble]:
    """Of connections that see: mailboxes that the mail host refuses to us while others are read."""
    seeing = MailboxSync.objects.filter(connection__blind_since=None)
    denied = seeing.filter(mailbox__state=Mailbox.State.BLIND).order_by("mailbox__address")
    addresses = list(denied.values_list("mailbox__address", flat=True))
    if not addresses:
        return []
    rest = f" and {len(addresses) - NAMED} more" if len(addresses) > NAMED else ""
    words = (
        f"The mail host refuses Bailey these mailboxes: {', '.join(addresses[:NAMED])}{rest}. Their"
        " mail is not seen. Look there for an access policy or role scope that leaves them out, or"
        " for another password."
    )
    return [Trouble(code="refused", key="mailboxes", words=words)]


def _of_secrets() -> list[Trouble]:
    """Those that end within thirty days, of registrations that this client has granted, and of the
    one that watches over its relationships.
    """
    limit = timezone.now() + WARNED_BEFORE
    used = Q(client_id__in=set(Grant.objects.values_list("client_id", flat=True)))
    if related().exists():
        used |= Q(purpose=Purpose.PARTNER)
    return [
        Trouble(
            code="secret",
            key=f"{row.purpose}/end",
            words=f"The secret or certificate of “{row.get_purpose_display()}” ends on"
            f" {row.expires_at:%-d %B %Y}. Make a new one at Microsoft and enter it before.",
            ends_at=row.expires_at,
        )
        for row in AppRegistration.objects.filter(used, expires_at__lte=limit)
    ]


def _of_pushes() -> list[Trouble]:
    """Orders that stood and cannot be renewed; mail is then found by asking, half a minute late.
    An IMAP server takes none: there it is listened to (idle.py), for so long at a time.
    """
    ordered = MailboxSync.objects.exclude(connection__kind=Connection.Kind.IMAP)
    failing = ordered.exclude(push_error="").exclude(push_expires_at=None)
    rows = failing.select_related("mailbox").order_by("push_expires_at")
    first = rows.first()
    if first is None:
        return []
    words = (
        f"{rows.count()} mailboxes, {first.mailbox.address} first: {first.push_error} New mail is"
        " still found by asking, up to half a minute later."
    )
    return [Trouble(code="push", key="orders", words=words, ends_at=first.push_expires_at)]
