"""What Microsoft Defender says of delivered mail, out of its alerts.  Pure.

An alert's evidence is of some fifty kinds; those that are mails say whom they reached, and how sure
Defender is of each (learn.microsoft.com/graph/api/resources/security-analyzedmessageevidence,
against Microsoft's metadata of 2026-08-20).  Alerts of other products name no mails of their own.

Two of Microsoft's alert policies tell of a link that somebody opened (learn.microsoft.com/purview/
alert-policies, read 2026-11-30; they need Safe Links and Defender for Office 365 Plan 2).
"""

from __future__ import annotations

from datetime import datetime

from api_bridge.connectors import VendorVerdict
from api_bridge.connectors.graph.mapping import (
    Json,
    list_of,
    plain_address,
    text_of,
    time_of,
    words_of,
)
from incidents.words import Verdict

MAIL_EVIDENCE = "#microsoft.graph.security.analyzedmessageevidence"
USER_EVIDENCE = "#microsoft.graph.security.userevidence"
URL_EVIDENCE = "#microsoft.graph.security.urlevidence"
CLICKS = frozenset(
    {
        "a potentially malicious url click was detected",
        "a user clicked through to a potentially malicious url",
    }
)
LONGEST_URL = 2_000
# What Defender calls a threat, in small letters without blanks; the worst of a mail counts.
THREATS = (
    ("malware", Verdict.MALWARE),
    ("highconfphish", Verdict.PHISH),
    ("phish", Verdict.PHISH),
    ("phishing", Verdict.PHISH),
    ("zapphish", Verdict.PHISH),
    ("spam", Verdict.SPAM),
)
FALSE_ALARM = "falsepositive"


def verdicts_of(alert: Json) -> list[VendorVerdict]:
    """One for each mail that an alert names and condemns, or of which it says that a link was
    opened; none of an alert that a person of the client has called false.
    """
    at, alert_id = time_of(alert, "createdDateTime"), text_of(alert, "id")
    if at is None or not alert_id or text_of(alert, "classification").lower() == FALSE_ALARM:
        return []
    kind = text_of(alert, "title")[:200] or text_of(alert, "category")[:200] or "alert of Defender"
    clicked = _Clicks(alert, at)
    found = []
    for number, evidence in enumerate(list_of(alert, "evidence")):
        if not _is(evidence, MAIL_EVIDENCE):
            continue
        verdict = _verdict(evidence)
        recipient = plain_address(text_of(evidence, "recipientEmailAddress"))
        message_id = text_of(evidence, "internetMessageId").strip()
        clicked_at = clicked.when(recipient)
        if not (verdict or clicked_at) or not recipient or "@" not in message_id:
            continue
        sender = evidence.get("p2Sender")
        found.append(
            VendorVerdict(
                key=f"{alert_id}/{text_of(evidence, 'networkMessageId') or number}/{recipient}",
                kind=kind,
                verdict=verdict,
                at=at,
                recipient=recipient,
                internet_message_id=f"<{message_id.strip('<>')}>",
                subject=text_of(evidence, "subject")[:500],
                sender=text_of(sender, "emailAddress")[:320] if isinstance(sender, dict) else "",
                clicked_at=clicked_at,
                clicked_url=clicked.url if clicked_at else "",
            )
        )
    return found


class _Clicks:
    """Who opened a link, by an alert: the people that it names; where it names one recipient alone,
    the copy in that mailbox, whoever reads it there.
    """

    def __init__(self, alert: Json, created_at: datetime) -> None:
        all_of_it = list_of(alert, "evidence")
        self._is_one = text_of(alert, "title").strip().lower() in CLICKS
        self._at = time_of(alert, "firstActivityDateTime") or created_at
        accounts = [each.get("userAccount") for each in all_of_it if _is(each, USER_EVIDENCE)]
        self._people = {
            plain_address(text_of(account, "userPrincipalName"))
            for account in accounts
            if isinstance(account, dict)
        }
        mails = [each for each in all_of_it if _is(each, MAIL_EVIDENCE)]
        whom = {plain_address(text_of(each, "recipientEmailAddress")) for each in mails}
        if len(whom) == 1:
            self._people |= whom
        urls = (text_of(each, "url") for each in all_of_it if _is(each, URL_EVIDENCE))
        self.url = next(filter(None, urls), "")[:LONGEST_URL]

    def when(self, recipient: str) -> datetime | None:
        return self._at if self._is_one and recipient in self._people else None


def _is(evidence: Json, kind: str) -> bool:
    return text_of(evidence, "@odata.type").lower() == kind


def _verdict(evidence: Json) -> Verdict | None:
    """None for a mail that Defender does not condemn."""
    said = text_of(evidence, "verdict").lower()
    if said not in ("malicious", "suspicious"):
        return None
    named = {word.lower().replace(" ", "") for word in words_of(evidence, "threats")}
    worst = next((verdict for name, verdict in THREATS if name in named), None)
    return worst if worst and said == "malicious" else Verdict.SUSPICIOUS
