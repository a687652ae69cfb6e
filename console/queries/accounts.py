"""What pages and the API say of accounts in other hands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Max, Sum

from api_bridge.accounts.differences import name_of, what_it_does
from api_bridge.accounts.models import (
    AccountLook,
    AccountStep,
    AccountTerms,
    MailboxSnapshot,
    SignIn,
)
from api_bridge.accounts.shapes import AccountState, Settings
from api_bridge.accounts.steps import (
    Offer,
    can_undo,
    can_withdraw,
    mailbox_of,
    offers_for,
    steps_of,
)
from api_bridge.accounts.terms import EFFECT, terms_of, weights
from api_bridge.models import Connection
from console.queries.blindness import Blind, Blindness
from incidents.access import access_one
from incidents.models import AccountSign, Incident
from incidents.signs import SIGNS, THRESHOLDS, WINDOW, points_of, signs_of
from tenants.models import Mailbox, Person, Tenant

SHOWN = 50


@dataclass(frozen=True, slots=True)
class SignRow:
    sign: AccountSign
    name: str


@dataclass(frozen=True, slots=True)
class StepRow:
    step: AccountStep
    can_undo: bool
    can_withdraw: bool

    @property
    def tone(self) -> str:
        if self.step.state in (AccountStep.State.VERIFIED, AccountStep.State.ALREADY):
            return "good"
        if self.step.state == AccountStep.State.WITHDRAWN:
            return ""
        return "crit" if self.step.state == AccountStep.State.FAILED else "warn"


@dataclass(frozen=True, slots=True)
class OfferRow:
    """``why_not``: why this person cannot order it, "": she can."""

    offer: Offer
    why_not: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCase:
    """Of an account's incident.  ``mailbox`` None: no mail host knows it; nothing can be done."""

    mailbox: Mailbox | None
    signs: list[SignRow]
    points: int
    offers: list[OfferRow]
    steps: list[StepRow]

    @property
    def missing(self) -> str:
        """The first thing that is missing for a step, "" where all can be done."""
        return next((row.offer.missing for row in self.offers if row.offer.missing), "")


def account_case(incident: Incident, reader: Person) -> AccountCase | None:
    """None for an incident that is not about an account."""
    if incident.kind != Incident.Kind.ACCOUNT:
        return None
    signs = signs_of(incident)
    is_lead = reader.role == Person.Role.LEAD
    return AccountCase(
        mailbox=mailbox_of(incident),
        signs=[_sign_row(sign) for sign in signs],
        points=points_of(signs),
        offers=[
            OfferRow(each, each.missing or ("" if is_lead else each.leads))
            for each in offers_for(incident)
        ],
        steps=[
            StepRow(step, can_undo(step), can_withdraw(step, reader)) for step in steps_of(incident)
        ],
    )


def _sign_row(sign: AccountSign) -> SignRow:
    return SignRow(sign, SIGNS[sign.code].words if sign.code in SIGNS else sign.code)


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of setting, each thing in words.  ``lines`` None: it could not be read so far."""

    title: str
    lines: list[str] | None
    none: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxPage:
    mailbox: Mailbox
    blind: Blind
    parts: list[Part]
    history: list[MailboxSnapshot]
    sign_ins: list[SignIn]
    signs: list[SignRow]
    look: AccountLook | None


def mailbox_page(mailbox: Mailbox) -> MailboxPage:
    mine: dict[str, Any] = {"tenant": mailbox.tenant_id, "mailbox": mailbox}
    history = list(MailboxSnapshot.objects.filter(**mine).order_by("-taken_at", "-id")[:SHOWN])
    signs = AccountSign.objects.filter(tenant=mailbox.tenant_id, mailbox=mailbox.address)
    return MailboxPage(
        mailbox=mailbox,
        blind=Blindness([mailbox.tenant_id]).of(mailbox.tenant_id),
        parts=parts_of(Settings.from_json(history[0].content)) if history else [],
        history=history,
        sign_ins=list(SignIn.objects.filter(**mine).order_by("-at", "-id")[:20]),
        signs=[_sign_row(each) for each in signs.order_by("-at", "-id")[:SHOWN]],
        look=AccountLook.objects.filter(tenant=mailbox.tenant_id).order_by("id").first(),
    )


def parts_of(settings: Settings) -> list[Part]:
    rules = settings.rules
    forwarding = settings.forwarding
    passed_on = []
    if forwarding and forwarding.is_enabled:
        copy = "a copy stays" if forwarding.keeps_copy else "no copy stays"
        passed_on = [f"All mail goes on to {forwarding.address}; {copy}."]
    delegates, grants, methods = settings.delegates, settings.grants, settings.methods
    return [
        Part(
            "Rules",
            None
            if rules is None
            else [
                f"{name_of(rule)} {what_it_does(rule)}"
                f"{'' if rule.is_enabled else ' (switched off)'}."
                for rule in rules
            ],
            "No rule.",
        ),
        Part("Forwarding", passed_on, "Mail is not passed on, as far as the mail host shows."),
        Part(
            "Delegates",
            None if delegates is None else [each.address for each in delegates],
            "Nobody else may open it.",
        ),
        Part(
            "Applications",
            None
            if grants is None
            else [
                f"{each.app_name or each.app_id}: {', '.join(each.scopes) or 'no scope'}"
                for each in grants
            ],
            "No application may act for this person.",
        ),
        Part(
            "Ways to sign in",
            None if methods is None else [f"{each.kind} {each.detail}".strip() for each in methods],
            "A password and nothing else.",
        ),
        *([] if settings.state is None else [Part("Account", _state_lines(settings.state), "")]),
    ]


def _state_lines(state: AccountState) -> list[str]:
    """As the mail host's directory has it."""
    why = f" ({state.why_suspended})" if state.why_suspended else ""
    said = [
        f"Suspended{why}." if state.is_suspended else "Not suspended.",
        f"2-step verification is {'on' if state.has_two_steps else 'off'}.",
    ]
    if state.is_admin:
        said.append("An administrator's.")
    for what, value in (("address", state.recovery_email), ("phone", state.recovery_phone)):
        if value:
            said.append(f"Recovery {what}: {value}.")
    return said


@dataclass(frozen=True, slots=True)
class WatchedAccount:
    address: str
    points: int
    last_at: datetime
    mailbox_id: UUID | None
    incident: Incident | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsPage:
    client: Tenant
    blind: Blind
    terms: AccountTerms
    effect: str
    threshold: int
    may_set: bool
    looks: list[AccountLook]
    has_connection: bool
    accounts: list[WatchedAccount]
    changes: list[MailboxSnapshot]
    weights: list[tuple[str, int]]
    window_days: int


def accounts_page(client: Tenant, reader: Person) -> AccountsPage:
    terms = terms_of(client)
    looks = AccountLook.objects.filter(tenant=client).select_related("connection")
    changes = MailboxSnapshot.objects.filter(tenant=client).exclude(changes=[])
    return AccountsPage(
        client=client,
        blind=Blindness([client.id]).of(client.id),
        terms=terms,
        effect=EFFECT[terms.sensitivity],
        threshold=THRESHOLDS[terms.sensitivity],
        may_set=reader.role == Person.Role.LEAD,
        looks=list(looks.order_by("id")),
        has_connection=Connection.objects.filter(tenant=client).exists(),
        accounts=_accounts(client),
        changes=list(changes.select_related("mailbox").order_by("-taken_at", "-id")[:SHOWN]),
        weights=weights(),
        window_days=WINDOW.days,
    )


def _accounts(client: Tenant) -> list[WatchedAccount]:
    """With any sign, the newest first."""
    rows = (
        AccountSign.objects.filter(tenant=client)
        .order_by()
        .values("mailbox")
        .annotate(points=Sum("weight"), last_at=Max("at"))
        .order_by("-last_at", "mailbox")[:SHOWN]
    )
    addresses = [row["mailbox"] for row in rows]
    found = Mailbox.objects.filter(tenant=client, address__in=addresses)
    ids = dict(found.values_list("address", "id"))
    incidents = Incident.objects.filter(
        tenant=client, kind=Incident.Kind.ACCOUNT, sender__in=addresses, merged_into=None
    )
    newest = {each.sender: each for each in incidents.order_by("number")}
    return [
        WatchedAccount(
            row["mailbox"],
            row["points"],
            row["last_at"],
            ids.get(row["mailbox"]),
            newest.get(row["mailbox"]),
        )
        for row in rows
    ]


def access_mailbox(mailbox_id: UUID) -> Mailbox:
    return access_one(Mailbox.objects.select_related("tenant"), mailbox_id)


def access_step(step_id: UUID | str) -> AccountStep:
    rows = AccountStep.objects.select_related("tenant", "incident", "mailbox")
    return access_one(rows, step_id)


def access_sign(sign_id: UUID) -> AccountSign:
    return access_one(AccountSign.objects.select_related("tenant", "incident"), sign_id)
