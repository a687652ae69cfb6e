"""The named signs that an account is in other hands, their weights, and what they come to.

Weights are in points; a client's sensitivity says how many it takes (``THRESHOLDS``).  At the usual
one no single sign is enough but a burst of mail: each other has an innocent form, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_noop as _n

from incidents.models import AccountSign, Incident
from incidents.words import Mark

# Signs that lie further apart are not added up.
WINDOW = timedelta(days=14)
MOST_POINTS = 35
# How the title of an incident begins that no mail belongs to.
BY_SIGNS = "An account at risk: "
LOW, NORMAL, HIGH = "low", "normal", "high"
THRESHOLDS = {LOW: 100, NORMAL: 60, HIGH: 40}


@dataclass(frozen=True, slots=True)
class Kind:
    """``mark``: of the sentence that a sign of this kind is: what the mail host has on record as it
    stands there is observed; what is held against what was before is derived; what the mail host
    holds of it is assessed.
    """

    weight: int
    words: str
    mark: Mark = Mark.OBSERVED


SIGNS = {
    "forward_outside": Kind(50, _n("Mail goes on to an address outside")),
    "hides_money": Kind(50, _n("A rule hides mail about money or security"), Mark.DERIVED),
    "hides_mail": Kind(30, _n("A rule hides mail"), Mark.DERIVED),
    "new_delegate": Kind(30, _n("Somebody else may open the mailbox")),
    "mail_grant": Kind(40, _n("An application may read or send its mail")),
    "new_country": Kind(20, _n("A sign-in from a country that is new for it"), Mark.DERIVED),
    "far_sign_in": Kind(50, _n("Two sign-ins too far apart for one person"), Mark.DERIVED),
    "risky_sign_in": Kind(30, _n("A sign-in that the mail host held risky"), Mark.ASSESSED),
    "risky_user": Kind(40, _n("The mail host holds the account to be at risk"), Mark.ASSESSED),
    "mfa_after_risk": Kind(
        40, _n("Ways to sign in were changed after a suspicious sign-in"), Mark.DERIVED
    ),
    "mfa_added": Kind(10, _n("A way to sign in was added")),
    "mfa_removed": Kind(20, _n("A way to sign in was made weaker")),
    "recovery_changed": Kind(20, _n("The ways to get it back were changed")),
    "blocked_sign_in": Kind(20, _n("Somebody else knew its password and was stopped")),
    "burst": Kind(60, _n("Far more mail than it ever sends"), Mark.DERIVED),
    "stopped": Kind(60, _n("The gateway stopped it from sending")),
}

# Of what an account sent, not of somebody in its mailbox.
OF_SENDING = ("stopped", "burst")


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
    return f"{BY_SIGNS}{words[0].lower()}{words[1:]}"


def signs_of(incident: Incident) -> list[AccountSign]:
    """Newest first."""
    rows = AccountSign.objects.filter(tenant=incident.tenant_id, incident=incident)
    return list(rows.order_by("-at", "-id"))
