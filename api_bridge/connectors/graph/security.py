"""What Microsoft Defender says of delivered mail, out of its alerts.  Pure.

An alert's evidence is of some fifty kinds; those that are mails say whom they reached, and how sure
Defender is of each (learn.microsoft.com/graph/api/resources/security-analyzedmessageevidence,
against Microsoft's metadata of 2026-08-20).  Alerts of other products name no mails of their own.
"""

from __future__ import annotations

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
    """One for each mail that an alert names and condemns; none of an alert that a person of the
    client has called false.
    """
    at, alert_id = time_of(alert, "createdDateTime"), text_of(alert, "id")
    if at is None or not alert_id or text_of(alert, "classification").lower() == FALSE_ALARM:
        return []
    kind = text_of(alert, "title")[:200] or text_of(alert, "category")[:200] or "alert of Defender"
    found = []
    for number, evidence in enumerate(list_of(alert, "evidence")):
        verdict = _verdict(evidence)
        recipient = plain_address(text_of(evidence, "recipientEmailAddress"))
        message_id = text_of(evidence, "internetMessageId").strip()
        if verdict is None or not recipient or "@" not in message_id:
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
            )
        )
    return found


def _verdict(evidence: Json) -> Verdict | None:
    """None for what is no mail, and for a mail that Defender does not condemn."""
    if text_of(evidence, "@odata.type").lower() != MAIL_EVIDENCE:
        return None
    said = text_of(evidence, "verdict").lower()
    if said not in ("malicious", "suspicious"):
        return None
    named = {word.lower().replace(" ", "") for word in words_of(evidence, "threats")}
    worst = next((verdict for name, verdict in THREATS if name in named), None)
    return worst if worst and said == "malicious" else Verdict.SUSPICIOUS
