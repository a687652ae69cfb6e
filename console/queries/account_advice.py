"""What is recommended at an account's incident: one thing, by what was done already.

1. ask the person, who alone knows whether it was her;
2. end the login by which stopped mails were submitted;
3. what keeps an intruder in: sessions, and the rules, forwarding, delegates and applications that
   are signs; then the password;
4. give back what was taken away: sending, signing in.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from django.urls import reverse

from api_bridge.accounts.models import AccountStep
from api_bridge.accounts.steps import Offer, can_undo, offers_for, steps_of
from console.queries.advising import Advice, question_of
from incidents.account_told import changes_told
from incidents.models import AccountSign, CallNote, Incident
from incidents.signs import WINDOW
from seg_bridge.outbound.behind import logins_behind, stops_of
from seg_bridge.outbound.models import SenderStop, SubmissionLogin

Kind = AccountStep.Kind
_DONE = (AccountStep.State.VERIFIED, AccountStep.State.ALREADY)
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


def account_advice(incident: Incident) -> Advice:
    stop = _standing_stop(incident)
    logins = logins_behind(incident.tenant_id, [incident.id])
    login = next((each for each in logins if each.ended_at is None), None)
    if not CallNote.objects.filter(tenant=incident.tenant_id, incident=incident).exists():
        return _call(incident, stop, login)
    if login is not None:
        text = f"The stopped mails came by {_named(login)}: whoever has its secret sends in"
        effect = f"{text} {incident.tenant.name}'s name. A lead ends it; what uses it gets another."
        return Advice("End the login", effect, _outbound(incident), "x")
    if stop is not None and logins:
        effect = "It is stopped until somebody lifts that. The login by which the mails came"
        return _let_send(stop, f"{effect} has ended.")
    steps = steps_of(incident)
    if offer := _next_step(incident, steps):
        query = urlencode({"kind": offer.kind, "target": offer.target})
        impact = _WHILE_OFF if _is_off(offer, steps) else offer.impact
        effect = f"{impact} {_added_ways(incident)}".strip()
        return Advice(offer.words, effect, f"{question_of(incident, 'step')}?{query}", "shield")
    if stop is not None:
        return _let_send(stop, "It is stopped until somebody lifts that.")
    off = next((each for each in steps if each.kind == Kind.DISABLE and can_undo(each)), None)
    if off is not None:
        effect = "Signing in is off. Switch it on once the person has a new password and nobody"
        effect += f" else has it. {_added_ways(incident)}"
        href = reverse("account_step_undo", args=[off.id])
        return Advice("Switch signing in on again", effect.strip(), href, "undo-2")
    effect = "The person was asked, and what is offered here was done."
    return Advice("Resolve", effect, question_of(incident, "resolve"), "check")


def _call(incident: Incident, stop: SenderStop | None, login: SubmissionLogin | None) -> Advice:
    effect = "Ask whether it was the person herself. If not, have the password of "
    effect += f"{incident.sender} renewed and its sessions ended."
    if login is not None:
        effect = f"Ask whether the person herself sent them. They came by {_named(login)}: if it"
        effect += " was not she, a lead ends it."
    if stop is not None:
        effect += " It cannot send until somebody lifts the stop."
    return Advice("Call the contact", effect, question_of(incident, "call"), "phone")


def _let_send(stop: SenderStop, effect: str) -> Advice:
    href = reverse("sender_stop_lift", args=[stop.id])
    return Advice("Let it send again", f"{effect} Held mail stays held.", href, "undo-2")


def _named(login: SubmissionLogin) -> str:
    return f"the login {login.name} ({login.purpose})"


def _outbound(incident: Incident) -> str:
    return reverse("client_outbound", args=[incident.tenant.slug])


def _standing_stop(incident: Incident) -> SenderStop | None:
    found = stops_of(incident.tenant_id, [incident.id])
    return next((each for each in found if each.lifted_at is None), None)


def _next_step(incident: Incident, steps: Sequence[AccountStep]) -> Offer | None:
    done = {step.kind for step in steps if step.state in _DONE or step.state in AccountStep.OPEN}
    signs = list(AccountSign.objects.filter(tenant=incident.tenant_id, incident=incident))
    wanted = [
        offer
        for offer in offers_for(incident)
        if not offer.missing and offer.kind != Kind.DISABLE
        if (_is_a_sign(offer, signs) if offer.target else offer.kind not in done)
    ]
    # The password last: whoever is still signed in would choose it.
    wanted.sort(key=lambda offer: (offer.kind == Kind.NEW_PASSWORD, bool(offer.target)))
    return next(iter(wanted), None)


def _is_off(offer: Offer, steps: Sequence[AccountStep]) -> bool:
    """The password is asked for while nobody can sign in."""
    off = any(each.kind == Kind.DISABLE and can_undo(each) for each in steps)
    return off and offer.kind == Kind.NEW_PASSWORD


def _is_a_sign(offer: Offer, signs: Sequence[AccountSign]) -> bool:
    what, codes = _BY_SIGN[Kind(offer.kind)]
    targets = {str(sign.raw.get(what, "")).lower() for sign in signs if sign.code in codes}
    return offer.target.lower() in targets


def _added_ways(incident: Incident) -> str:
    """Ways to sign in that came with the signs stay, and nothing here takes them away."""
    since = incident.first_seen_at - WINDOW
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
