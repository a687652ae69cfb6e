"""Reports of Gmail's own button, as Google's Alert Center tells of them.

Source: Alert Center API v1beta1, ``MailPhishing`` (alerts of the type *User reported phishing*) and
``GmailMessageInfo``: https://developers.google.com/admin-sdk/alertcenter/reference/alert-types
"""

from __future__ import annotations

from datetime import datetime

from incidents.models import UserReport
from incidents.userreports.letter import storable
from incidents.userreports.taking import TakenReport


def report_of_alert(
    *, alert_id: str, message_id: str, recipient: str, reported_at: datetime
) -> TakenReport:
    """What ``take_reports`` takes, for one mail of an alert.

    ``message_id`` is the mail's Message-ID, ``recipient`` in whose mailbox it lies and who pressed:
    Google itself says so, and the report is from one of the client's people where it has such a
    mailbox.
    Raises ``ValueError`` without a time zone.
    """
    if reported_at.tzinfo is None:
        raise ValueError("reported_at needs a time zone")
    whom = recipient.lower()
    name = message_id.strip()
    if name and not name.startswith("<"):
        name = f"<{name}>"
    return TakenReport(
        source_key=storable(f"gmail-alert/{alert_id}/{name}/{whom}")[:600],
        way=UserReport.Way.GMAIL.value,
        reporter=storable(whom)[:320],
        reported_at=reported_at,
        said=UserReport.Said.PHISH.value,
        trust=UserReport.Trust.OWN.value,
        original_id=storable(name)[:998],
    )
