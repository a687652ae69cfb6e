"""Which signs a mailbox's settings and its account's sign-ins give.  Pure.

Weights stand in incidents/signs.py.  Words of money and security: what intruders' rules look for in
published cases (docs/mailbox-layer.md names them); folders: those that Outlook makes by itself and
nobody opens, in English, German and French.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from api_bridge.accounts.differences import name_of, what_it_does
from api_bridge.accounts.shapes import (
    DIRECTORY_AUDITS,
    AppGrant,
    RiskyUser,
    SeenAudit,
    SeenSignIn,
    Settings,
    grant_key,
    rule_digest,
)
from api_bridge.connectors import Delegate, MailboxRule
from incidents.accounts import Sign

MONEY_WORDS = (
    *("invoice", "payment", "wire", "transfer", "bank", "iban", "swift", "remittance", "payroll"),
    *("salary", "purchase order", "vendor", "docusign", "rechnung", "zahlung", "überweisung"),
    *("konto", "mahnung", "gehalt", "facture", "paiement", "virement", "banque", "salaire"),
    *("phish", "hack", "fraud", "scam", "spam", "virus", "suspicious", "password", "helpdesk"),
    *("unusual", "security", "betrug", "passwort", "verdächtig", "fraude", "mot de passe"),
)
QUIET_FOLDERS = frozenset(
    {
        *("rss feeds", "rss subscriptions", "rss-feeds", "rss-abonnements", "flux rss"),
        *("conversation history", "aufgezeichnete unterhaltungen", "unterhaltungsverlauf"),
        *("historique des conversations", "sync issues", "synchronisierungsprobleme", "conflicts"),
        *("notes", "notizen", "journal", "archive", "archiv", "archives", "deleted items"),
        *("gelöschte elemente", "éléments supprimés", "junk email", "junk-e-mail"),
        *("courrier indésirable", "trash", "spam", "clutter", "outbox", "postausgang"),
    }
)
FASTEST_KMH = 900.0
FAR_KM = 500.0
# Fewer sign-ins say nothing of where somebody usually is.
ENOUGH_SIGN_INS = 3
SUSPICIOUS_BEFORE = timedelta(hours=24)
# Microsoft's words; and Google's, which has one.
RISKY = frozenset({"medium", "high"})
SUSPICIOUS = "suspicious"
# Changes of how somebody proves who she is weigh more soon after a suspicious sign-in.
_WAYS = frozenset({"mfa_added", "mfa_removed", "recovery_changed"})


def of_settings(
    before: Settings | None, after: Settings, *, own_domains: Collection[str], at: datetime,
    source: str,
) -> list[Sign]:  # fmt: skip
    """Signs of all that stands now; what stood before gives the same key again and counts once.

    ``before``: of the last look; a thing that is not in it has come since, or come back.
    """
    found: list[Sign] = []
    known = (
        {rule_digest(rule) for rule in (before.rules or ()) if rule.is_enabled} if before else ()
    )
    for rule in after.rules or ():
        if rule.is_enabled:
            is_again = before is not None and rule_digest(rule) not in known
            found += _of_rule(rule, own_domains, at, source, is_again=is_again)
    forwarding = after.forwarding
    if forwarding and forwarding.is_enabled and _is_outside(forwarding.address, own_domains):
        copy = "" if forwarding.keeps_copy else ", and the mailbox keeps no copy"
        found.append(
            Sign(
                code="forward_outside",
                key=f"forwarding:{forwarding.address.lower()}",
                words=f"All its mail goes on to {forwarding.address}{copy}.",
                source=source,
                at=at,
                raw={"address": forwarding.address, "keeps_copy": forwarding.keeps_copy},
                is_again=before is not None and before.forwarding != forwarding,
            )
        )
    if before is not None:
        # Who had access before the first look is the client's own arrangement.
        found += _of_delegates(before.delegates, after.delegates, at, source)
        found += _of_grants(before.grants, after.grants, at, source)
    return found


def _of_rule(
    rule: MailboxRule,
    own_domains: Collection[str],
    at: datetime,
    source: str,
    *,
    is_again: bool,
) -> Iterable[Sign]:
    def sign(code: str, words: str) -> Sign:
        return Sign(
            code=code,
            key=f"rule:{rule_digest(rule)}",
            words=words,
            source=source,
            at=at,
            raw={"rule": rule.id, **rule.definition},
            is_again=is_again,
        )

    said = f"{name_of(rule)} {what_it_does(rule)}."
    outside = [each for each in rule.forward_to if _is_outside(each, own_domains)]
    if outside:
        yield sign("forward_outside", said)
    if hides(rule):
        money = any(word in value.lower() for _, value in rule.criteria for word in MONEY_WORDS)
        yield sign("hides_money" if money else "hides_mail", said)


def hides(rule: MailboxRule) -> bool:
    """It takes mail to where nobody looks: deleted, or in a folder that nobody opens."""
    quiet = rule.moves_to.strip().lower() in QUIET_FOLDERS
    gone = rule.skips_inbox and rule.marks_read and not rule.moves_to
    return rule.deletes or quiet or gone


def _is_outside(address: str, own_domains: Collection[str]) -> bool:
    domain = address.strip().lower().rpartition("@")[2]
    return bool(domain) and domain not in own_domains


def _of_delegates(
    before: Sequence[Delegate] | None, after: Sequence[Delegate] | None, at: datetime, source: str
) -> Iterable[Sign]:
    if before is None or after is None:
        return
    known = {each.address.lower() for each in before}
    for each in after:
        if each.address.lower() not in known:
            yield Sign(
                code="new_delegate",
                key=f"delegate:{each.address.lower()}",
                words=f"{each.address} may read and send as this mailbox.",
                source=source,
                at=at,
                raw={"address": each.address, "is_active": each.is_active},
                is_again=True,
            )


def _of_grants(
    before: Sequence[AppGrant] | None, after: Sequence[AppGrant] | None, at: datetime, source: str
) -> Iterable[Sign]:
    if before is None or after is None:
        return
    known = {(each.app_id, scope) for each in before for scope in each.mail_scopes}
    for each in after:
        new = [scope for scope in each.mail_scopes if (each.app_id, scope) not in known]
        if new:
            stays = "; it stays when the password is changed" if each.stays else ""
            yield Sign(
                code="mail_grant",
                key=grant_key(each.app_id, new),
                words=f"Application “{each.app_name or each.app_id}” was given"
                f" {', '.join(new)}{stays}.",
                source=source,
                at=at,
                raw={"grant": each.id, "app_id": each.app_id, "scopes": list(each.scopes)},
                is_again=True,
            )


class Place(Protocol):
    """Where somebody was, as ``SeenSignIn`` and the kept row both have it."""

    @property
    def at(self) -> datetime: ...

    @property
    def country(self) -> str: ...

    @property
    def city(self) -> str: ...

    @property
    def latitude(self) -> float | None: ...

    @property
    def longitude(self) -> float | None: ...


def of_sign_in(seen: SeenSignIn, known: Sequence[Place]) -> list[Sign]:
    """``known``: the account's sign-ins before it, oldest first."""

    def sign(code: str, words: str) -> Sign:
        return Sign(
            code=code,
            key=f"sign-in:{seen.external_id}",
            words=words,
            source="Sign-ins",
            at=seen.at,
            raw=seen.raw,
        )

    found = []
    by = f" by {seen.app}" if seen.app else ""
    countries = {each.country for each in known if each.country}
    if seen.country and len(known) >= ENOUGH_SIGN_INS and seen.country not in countries:
        usual = ", ".join(sorted(countries)) or "unknown places"
        words = f"Signed in from {seen.place} ({seen.ip}){by}; before it was {usual}."
        found.append(sign("new_country", words))
    far = _too_far(known[-1], seen) if known else None
    if far is not None:
        km, hours = far
        last = known[-1]
        was = ", ".join(filter(None, (last.city, last.country)))
        words = f"Signed in from {seen.place} ({seen.ip}){by}, {km:,.0f} km from {was}"
        found.append(sign("far_sign_in", f"{words} {_span(hours)} before."))
    held = f"held the sign-in from {seen.place} ({seen.ip}){by}"
    if seen.risk in RISKY:
        found.append(sign("risky_sign_in", f"Microsoft {held} a {seen.risk} risk."))
    elif seen.risk == SUSPICIOUS:
        found.append(sign("risky_sign_in", f"Google {held} suspicious."))
    return found


def _span(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{max(1, round(hours * 60))} minutes"


def _too_far(last: Place, seen: SeenSignIn) -> tuple[float, float] | None:
    """Kilometres and hours between two sign-ins, where no aeroplane makes it; else None."""
    ends = (last.latitude, last.longitude, seen.latitude, seen.longitude)
    if any(each is None for each in ends):
        return None
    km = _distance_km(*(float(each or 0.0) for each in ends))
    hours = abs((seen.at - last.at).total_seconds()) / 3600
    return (km, hours) if km >= FAR_KM and km > FASTEST_KMH * hours else None


def _distance_km(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Great circle, by the haversine formula; the earth as a ball of 6,371 km."""
    phi_a, phi_b = math.radians(lat_a), math.radians(lat_b)
    half = math.sin((phi_b - phi_a) / 2) ** 2
    half += math.cos(phi_a) * math.cos(phi_b) * math.sin(math.radians(lon_b - lon_a) / 2) ** 2
    return 2 * 6371.0 * math.asin(math.sqrt(min(1.0, half)))


def of_audit(seen: SeenAudit, suspicious: Sequence[datetime]) -> Sign:
    """``suspicious``: when the account signed in in a way that gave a sign."""
    within = [
        at
        for at in suspicious
        if seen.code in _WAYS and timedelta(0) <= seen.at - at <= SUSPICIOUS_BEFORE
    ]
    by = f" by {seen.by}" if seen.by else ""
    # As Microsoft calls it; Google's records are put into words of ours.
    what = f"“{seen.what}”" if seen.source == DIRECTORY_AUDITS else seen.what
    words = f"{what}{by}"
    if within:
        hours = (seen.at - max(within)).total_seconds() / 3600
        words += f", {_span(hours)} after a suspicious sign-in"
    return Sign(
        code="mfa_after_risk" if within else seen.code,
        key=seen.key or f"audit:{seen.external_id}",
        words=f"{words}.",
        source=seen.source,
        at=seen.at,
        raw=seen.raw,
    )


def of_risky_user(seen: RiskyUser) -> Sign:
    why = f": {seen.detail}" if seen.detail not in ("", "none") else ""
    return Sign(
        code="risky_user",
        key=f"risk:{seen.user_id}:{seen.at.isoformat()}",
        words=f"Microsoft holds the account to be at {seen.level} risk{why}.",
        source="Risky users",
        at=seen.at,
        raw=seen.raw,
    )
