"""The named signs that an account is in other hands, their weights, and what they come to.

Weights are in points; a client's sensitivity says how many it takes (``THRESHOLDS``).  At the usual
one no single sign is enough but a burst of mail: each other has an innocent form, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from incidents.models import AccountSign, Incident

# Signs that lie further apart are not added up.
WINDOW = timedelta(days=14)
MOST_POINTS = 35
LOW, NORMAL, HIGH = "low", "normal", "high"
THRESHOLDS = {LOW: 100, NORMAL: 60, HIGH: 40}


@dataclass(frozen=True, slots=True)
class Kind:
    weight: int
    words: str


SIGNS = {
    "forward_outside": Kind(50, "Mail goes on to an address outside"),
    "hides_money": Kind(50, "A rule hides mail about money or security"),
    "hides_mail": Kind(30, "A rule hides mail"),
    "new_delegate": Kind(30, "Somebody else may open the mailbox"),
    "mail_grant": Kind(40, "An application may read or send its mail"),
    "new_country": Kind(20, "A sign-in from a country that is new for it"),
    "far_sign_in": Kind(50, "Two sign-ins too far apart for one person"),
    "risky_sign_in": Kind(30, "A sign-in that the mail host held risky"),
    "risky_user": Kind(40, "The mail host holds the account to be at risk"),
    "mfa_after_risk": Kind(40, "Ways to sign in were changed after a suspicious sign-in"),
    "mfa_added": Kind(10, "A way to sign in was added"),
    "mfa_removed": Kind(20, "A way to sign in was made weaker"),
    "recovery_changed": Kind(20, "The ways to get it back were changed"),
    "blocked_sign_in": Kind(20, "Somebody else knew its password and was stopped"),
    "burst": Kind(60, "Far more mail than it ever sends"),
    "stopped": Kind(60, "The gateway stopped it from sending"),
}


def points_of(signs: Sequence[AccountSign]) -> int:
    return sum(sign.weight for sign in signs)


def severity_part(signs: Sequence[AccountSign]) -> dict[str, Any] | None:
    """What they add to the incident's points; None where there are none."""
    if not signs:
        return None
    n = len(signs)
    return {
        "code": "signs",
        "points": min(points_of(signs) // 4, MOST_POINTS),
        "text": f"{n} sign{'' if n == 1 else 's'} of other hands",
    }


def title_by_signs(signs: Sequence[AccountSign]) -> str:
    """Of an incident that no mail belongs to: its gravest sign."""
    gravest = max(signs, key=lambda sign: (sign.weight, sign.at))
    words = SIGNS[gravest.code].words if gravest.code in SIGNS else "something is off"
    return f"An account at risk: {words[0].lower()}{words[1:]}"


def signs_of(incident: Incident) -> list[AccountSign]:
    """Newest first."""
    rows = AccountSign.objects.filter(tenant=incident.tenant_id, incident=incident)
    return list(rows.order_by("-at", "-id"))
