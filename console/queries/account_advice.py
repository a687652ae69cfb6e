"""What is recommended at an account's incident: one thing, by what was done already.

1. ask the person, who alone knows whether it was her;
2. end the login by which stopped mails were submitted, unless the stop was lifted.  Where all that
   speaks for other hands is what was sent, and all of it came by such logins, nobody else was in
   the account: go on at 5;
3. what keeps an intruder in: sessions, and the rules, forwarding, delegates and applications that
   are signs.  What a person took back is hers to judge, and not recommended again;
4. when that is done and read back, the password: whoever is still signed in would choose it;
5. when all of that is done, give back what was taken away: signing in, and sending at last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q
from django.urls import reverse

from api_bridge.accounts.models import AccountStep
from api_bridge.accounts.steps import (
    UNDONE_BY,
    Offer,
    can_undo,
    offers_for,
    undo_offer,
)
from console.queries.advising import Advice, question_of
from incidents.account_told import changes_told
from incidents.campaigns.moving import lineage
from incidents.models import AccountSign, CallNote, Incident
from incidents.signs import OF_SENDING
from incidents.story.account import begins_at
from seg_bridge.outbound.behind import is_all_by_logins, logins_behind, stops_of
from seg_bridge.outbound.models import SenderStop, SubmissionLogin

Kind, State = AccountStep.Kind, AccountStep.State
_DONE = (State.VERIFIED, State.ALREADY)
# The sign that makes a setting one to act on → the step; the others may be the person's own.
_BY_SIGN = {
    Kind.DISABLE_RULE: ("rule", ("hides_money", "hides_mail", "forward_outside")),
    Kind.REVOKE_GRANT: ("grant", ("mail_grant",)),
    Kind.REMOVE_DELEGATE: ("address", ("new_delegate",)),
    Kind.FORWARDING_OFF: ("address", ("forward_outside",)),
}
_WHILE_OFF = (
    "The next sign-in asks for a new password. Signing in is off: nobody chooses one before you"
    " switch it on again."
)
_ADDED = "New: way to sign in: "
_AT_HOST = "At the mail host first: have its sessions ended and its password renewed."


def account_advice(incident: Incident) -> Advice:
    ids = lineage(incident)
    stops = list(stops_of(incident.tenant_id, ids))
    stop = next((each for each in stops if each.lifted_at is None), None)
    # Whoever lifted it knew of the login; when it comes to send as before it is stopped again.
    was_let_go = bool(stops) and stop is None
    logins = logins_behind(incident.tenant_id, ids)
    login = next((each for each in logins if each.ended_at is None), None)
    if not CallNote.objects.filter(tenant=incident.tenant_id, incident__in=ids).exists():
        return _call(incident, stop, login)
    if login is not None and not was_let_go:
        return _end_login(incident, login)
    signs = list(AccountSign.objects.filter(tenant=incident.tenant_id, incident__in=ids))
    steps = _steps_of(incident, ids)
    is_of_sending = all(sign.code in OF_SENDING for sign in signs)
    is_by_login = is_of_sending and is_all_by_logins(incident.tenant_id, ids)
    offers = [] if is_by_login else offers_for(incident)
    wanted = [each for each in offers if _is_wanted(each, ids, signs, steps)]
    # Whoever is still signed in would choose the password.
    wanted.sort(key=lambda each: (each.kind == Kind.NEW_PASSWORD, bool(each.target)))
    under_way = [step for step in steps if step.state in AccountStep.OPEN]
    if offer := _next_of(wanted, under_way):
        before = wanted[: wanted.index(offer)] if offer.kind == Kind.NEW_PASSWORD else []
        return _shut_out(incident, offer, steps, _missing(offers, before))
    if under_way:
        return _wait(under_way)
    missing = "" if is_by_login else _missing(offers, wanted)
    return _give_back(incident, stop, steps, missing, has_login=bool(logins))


def _call(incident: Incident, stop: SenderStop | None, login: SubmissionLogin | None) -> Advice:
    effect = "Ask whether it was the person herself. If not, have the password of "
    effect += f"{incident.sender} renewed and its sessions ended."
    if login is not None:
        effect = f"Ask whether the person herself sent them. They came by {_named(login)}: if it"
        effect += " was not she, a lead ends it."
    if stop is not None:
        effect += " It cannot send until somebody lifts the stop."
    return Advice("Call the contact", effect, question_of(incident, "call"), "phone")


def _end_login(incident: Incident, login: SubmissionLogin) -> Advice:
    text = f"The stopped mails came by {_named(login)}: whoever has its secret sends in"
    effect = f"{text} {incident.tenant.name}'s name. A lead ends it; what uses it gets another."
    href = reverse("submission_login_end", args=[login.id])
    return Advice("End the login", effect, href, "x")


def _shut_out(
    incident: Incident, offer: Offer, steps: Sequence[AccountStep], missing: str
) -> Advice:
    """``missing``: what comes before it and cannot be done from here, "" where nothing does."""
    query = urlencode({"kind": offer.kind, "target": offer.target})
    is_while_off = offer.kind == Kind.NEW_PASSWORD and _switched_off(steps) is not None
    impact = _WHILE_OFF if is_while_off else offer.impact
    mine = (each for each in steps if (each.kind, each.target) == (offer.kind, offer.target))
    last = next(mine, None)
    failed = f"The last try failed: {last.words}" if last and last.state == State.FAILED else ""
    said = (missing, failed, impact, offer.leads, _added_ways(incident))
    effect = " ".join(filter(None, said))
    return Advice(offer.words, effect, f"{question_of(incident, 'step')}?{query}", "shield")


def _wait(under_way: Sequence[AccountStep]) -> Advice:
    """Nothing to order: what comes next depends on what comes of these."""
    names = ", ".join(dict.fromkeys(f"“{step.get_kind_display()}”" for step in under_way))
    effect = f"Ordered and not read back yet: {names}. What comes next is said here then."
    return Advice("Wait for what is being done", effect, "", "clock")


def _give_back(
    incident: Incident,
    stop: SenderStop | None,
    steps: Sequence[AccountStep],
    missing: str,
    *,
    has_login: bool,
) -> Advice:
    """``missing``: what could not be done from here, "" where all was."""
    off = _switched_off(steps)
    way_back = undo_offer(off) if off is not None else None
    if off is not None and way_back is not None and not way_back.missing:
        effect = "Signing in is off. Switch it on once the person has a new password and nobody"
        effect += " else has it."
        said = (effect, way_back.leads, missing, _added_ways(incident))
        href = reverse("account_step_undo", args=[off.id])
        return Advice("Switch signing in on again", " ".join(filter(None, said)), href, "undo-2")
    if off is not None:
        still = f"Signing in is still off. {way_back.missing if way_back else ''}".strip()
        missing = f"{missing} {still}".strip()
    if stop is not None:
        effect = "It is stopped until somebody lifts that."
        if has_login:
            effect += " The login by which the mails came has ended."
        href = reverse("sender_stop_lift", args=[stop.id])
        effect = f"{effect} {missing}".strip() + " Held mail stays held."
        return Advice("Let it send again", effect, href, "undo-2")
    effect = missing or "The person was asked, and what is offered here was done."
    return Advice("Resolve", effect, question_of(incident, "resolve"), "check")


def _named(login: SubmissionLogin) -> str:
    return f"the login {login.name} ({login.purpose})"


def _steps_of(incident: Incident, ids: Collection[UUID]) -> list[AccountStep]:
    """About its mailbox, the newest first: of its own, and of any other that are under way."""
    rows = AccountStep.objects.filter(
        Q(incident__in=ids) | Q(state__in=AccountStep.OPEN),
        tenant=incident.tenant_id,
        mailbox__address=incident.sender,
    )
    return list(rows.select_related("mailbox").order_by("-asked_at", "-id"))


def _is_wanted(
    offer: Offer, ids: Collection[UUID], signs: Sequence[AccountSign], steps: Sequence[AccountStep]
) -> bool:
    """It shuts an intruder out, was not done and is not under way; whether it can be or not."""
    mine = [step for step in steps if (step.kind, step.target) == (offer.kind, offer.target)]
    if offer.kind == Kind.DISABLE or any(step.state in AccountStep.OPEN for step in mine):
        return False
    if not offer.target:
        return not any(step.incident_id in ids and _is_done(step) for step in mine)
    last = _last_done(steps, offer.kind, offer.target)
    is_taken_back = last is not None and last.kind != offer.kind
    return not is_taken_back and _is_a_sign(offer, signs)


def _is_done(step: AccountStep) -> bool:
    # That sessions ended some hosts show days later, and asking twice proves no more.
    is_unproven = step.state == State.UNPROVEN and step.kind == Kind.REVOKE_SESSIONS
    return step.state in _DONE or is_unproven


def _last_done(steps: Sequence[AccountStep], kind: str, target: str) -> AccountStep | None:
    """Of it and its way back."""
    both = (kind, UNDONE_BY.get(Kind(kind)))
    return next(
        (each for each in steps if each.kind in both and each.target == target and _is_done(each)),
        None,
    )


def _next_of(wanted: Sequence[Offer], under_way: Sequence[AccountStep]) -> Offer | None:
    offer = next((each for each in wanted if not each.missing), None)
    if offer is not None and offer.kind == Kind.NEW_PASSWORD and under_way:
        return None
    return offer


def _switched_off(steps: Sequence[AccountStep]) -> AccountStep | None:
    """By which nobody can sign in now, with a way back where one of them has any."""
    last = _last_done(steps, Kind.DISABLE, "")
    if last is None or last.kind == Kind.ENABLE:
        return None
    return next((each for each in steps if each.kind == Kind.DISABLE and can_undo(each)), last)


def _missing(offers: Sequence[Offer], wanted: Sequence[Offer]) -> str:
    """``wanted``: what is left of it, none of which can be done from here."""
    if not offers:
        return _AT_HOST
    left = ", ".join(f"“{each.text}”" for each in wanted)
    return f"At the mail host first: {left}. {wanted[0].missing}" if wanted else ""


def _is_a_sign(offer: Offer, signs: Sequence[AccountSign]) -> bool:
    what, codes = _BY_SIGN[Kind(offer.kind)]
    targets = {str(sign.raw.get(what, "")).lower() for sign in signs if sign.code in codes}
    return offer.target.lower() in targets


def _added_ways(incident: Incident) -> str:
    """Ways to sign in that came with the signs stay, and nothing here takes them away."""
    since = begins_at(incident)
    told = changes_told(incident.tenant_id, incident.sender, since, incident.resolved_at)
    ways = [
        words.removeprefix(_ADDED).rstrip(".")
        for change in told
        for words in change.changes
        if words.startswith(_ADDED)
    ]
    if not ways:
        return ""
    which = ", ".join(ways)
    return f"Take away at the mail host, unless it is the person's own: {which}. Bailey cannot."
