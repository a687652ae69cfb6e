"""Two stories of accounts: one that somebody else signs in to, one whose login sends spam.

Lukas of Globex is the one from whose mailbox a lure goes to his colleagues (stories.py); the login
of a plotter at Acme sends in Malte's name until the gateway stops it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formataddr
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from console.demo import letters, world
from console.demo.mails import AccountAct, DemoMail, Pen
from console.demo.world import CLIENTS

TAKEN, MISUSED = CLIENTS[1].address("lukas"), CLIENTS[0].address("malte")
ELSEWHERE_IP = "203.0.113.77"
SPAMS = 6  # one more than Acme's terms allow of condemned mails
_AT_HOME = {
    "ipAddress": "192.0.2.200",
    "appDisplayName": "Outlook",
    "location": {
        "city": "Berlin",
        "countryOrRegion": "DE",
        "geoCoordinates": {"latitude": 52.52, "longitude": 13.4},
    },
}
_ELSEWHERE = {
    "ipAddress": ELSEWHERE_IP,
    "appDisplayName": "Outlook on the web",
    "location": {
        "city": "Hanoi",
        "countryOrRegion": "VN",
        "geoCoordinates": {"latitude": 21.03, "longitude": 105.85},
    },
}
HIDING_RULE = {
    "displayName": ".",
    "conditions": {"subjectContains": ["salary", "phish", "password"]},
    "actions": {"moveToFolder": "conversationhistory", "markAsRead": True},
}
_APPLICATION = "5a1e50c0-0000-4000-8000-0000000000c0"


def usual_account() -> dict[str, Any]:
    """Lukas's sign-ins of the days before, as the mail host has them on record."""
    return {
        "sign_ins": [
            {
                **_AT_HOME,
                "id": str(uuid5(NAMESPACE_DNS, f"{hours_ago}.{TAKEN}")),
                "createdDateTime": _ago(hours=hours_ago),
            }
            for hours_ago in (50, 27, 3)
        ]
    }


def taken_account() -> dict[str, Any]:
    """What somebody does who has his password: signs in, stays, and reads along."""
    return {
        "sign_ins": [{**_ELSEWHERE, "createdDateTime": _ago(minutes=6)}],
        "methods": [
            {
                "@odata.type": "#microsoft.graph.phoneAuthenticationMethod",
                "id": "3179e48a-750b-4051-897c-87b9720928f7",
                "phoneNumber": "+84 900000077",
                "phoneType": "alternateMobile",
            }
        ],
        "audits": [
            {
                "activityDisplayName": "User registered security info",
                "activityDateTime": _ago(minutes=4),
                "initiatedBy": {"user": {"userPrincipalName": TAKEN}},
            }
        ],
        "grants": [
            {
                "id": "lukas-mail-archive",
                "clientId": _APPLICATION,
                "scope": "Mail.ReadWrite Mail.Send offline_access",
            }
        ],
        "applications": {_APPLICATION: "Fast Mail Archive"},
    }


def _ago(**since: float) -> str:
    return (datetime.now(UTC) - timedelta(**since)).strftime("%Y-%m-%dT%H:%M:%SZ")


class AccountStories(Pen):
    def account_taken(self) -> AccountAct:
        return AccountAct("an account in other hands", "taken", TAKEN)

    def account_answered(self) -> Iterator[AccountAct]:
        """Nobody waits for the next look: the lure came from his mailbox."""
        story, ana, mo = "an account in other hands", world.ANALYST, world.LEAD
        contact = CLIENTS[1].contact
        yield AccountAct(story, "look", TAKEN)
        yield AccountAct(story, "take", TAKEN)
        for kind, reason in (
            ("disable", "“Updated salary bands” went from his mailbox to three colleagues."),
            ("revoke_sessions", "Whoever signed in from Hanoi may still be signed in."),
            ("disable_rule", "It hides what his colleagues answer to “Updated salary bands”."),
        ):
            yield AccountAct(story, "step", TAKEN, reason, ana, kind=kind)
        said = "Lukas is in Berlin. Rule, application and phone +84 900000077 are not his."
        yield AccountAct(story, "call", TAKEN, said, ana, contact=contact)
        reason = "Lukas does not know the application."
        yield AccountAct(story, "step", TAKEN, reason, mo, kind="revoke_grant")

    def outbound_spam(self) -> Iterator[DemoMail]:
        """The gateway stops the sender at the fifth; the last one is refused."""
        acme = CLIENTS[0]
        author = formataddr((acme.box("malte").name, MISUSED))
        for number in range(SPAMS):
            recipient = f"office@{world.SPAMMED[number % len(world.SPAMMED)]}"
            yield DemoMail(
                story="spam on its way out",
                way="out",
                mail_from=MISUSED,
                recipients=(recipient,),
                raw=self._write(letters.SPAM[0], author, [recipient], None, name="Friend"),
                client_ip=ELSEWHERE_IP,
                helo="plotter",
            )

    def stop_answered(self) -> Iterator[AccountAct]:
        """The stop stays: whoever reads the story may lift it."""
        story = "a sender is stopped"
        yield AccountAct(story, "take", MISUSED)
        said = "Malte wrote none of them. The plotter's password is on a label at the machine."
        yield AccountAct(story, "call", MISUSED, said, world.ANALYST, contact=CLIENTS[0].contact)
        yield AccountAct(story, "end_login", MISUSED, by=world.LEAD)
