"""Who opened a link in a mail, by Google's log of Gmail.  Calls Google: never inside a scope.

Every record is of one event, ``delivery``; ``event_info.mail_event_type`` says what happened: 15, a
link of the mail was clicked, 16, one in an attachment that was looked at.  A filter may name it in
full; ``startTime`` and ``endTime`` are needed, 30 days apart at most.  The mail is named by
``message_info.rfc2822_message_id``.  Sources: developers.google.com/workspace/admin/reports/v1/
appendix/activity/gmail for the event, support.google.com/a/answer/12384955 for the names of the
mail's fields, read 2026-11-30.  Editions without this log tell of nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from api_bridge.accounts.google_read import (
    Activity,
    activity_at,
    activity_id,
    actor_of,
    parameters,
    read_log,
)
from api_bridge.accounts.spans import Log
from api_bridge.connectors import VendorVerdict
from api_bridge.connectors.google.client import entries_of
from api_bridge.connectors.google.two_accounts import AccountCalls
from incidents.mail.addresses import normal_address

APPLICATION = "gmail"
ENGINE = "google-gmail-log"
TYPE, MESSAGE_ID = "event_info.mail_event_type", "message_info.rfc2822_message_id"
CLICKED = {
    "15": "a link in it was opened",
    "16": "a link in an attachment of it was opened",
}
LONGEST_SPAN = timedelta(days=29)


def read_clicks(client: AccountCalls, since: datetime, now: datetime) -> Log[VendorVerdict]:
    """Oldest first.  Raises ``BridgeError``."""
    since = max(since, now - LONGEST_SPAN)
    logs = [
        read_log(client, APPLICATION, since, now, filters=f"{TYPE}=={number}") for number in CLICKED
    ]
    return Log(
        clicks_of([each for log in logs for each in log.entries]),
        min(log.until for log in logs),
        any(log.is_cut for log in logs),
    )


def clicks_of(activities: Sequence[Activity]) -> list[VendorVerdict]:
    found = [click for each in activities for click in _clicks(each)]
    return sorted(found, key=lambda each: (each.at, each.key))


def _clicks(activity: Activity) -> Iterator[VendorVerdict]:
    """Nothing of a record that does not say when, by whom and in which mail."""
    at, who = activity_at(activity), actor_of(activity)
    if at is None or not who:
        return
    for event in entries_of(activity, "events"):
        said = parameters(event)
        message_id = str(said.get(MESSAGE_ID, "")).strip()
        words = CLICKED.get(str(said.get(TYPE, "")))
        if words is None or "@" not in message_id:
            continue
        yield VendorVerdict(
            key=f"gmail/{activity_id(activity, 'time')}/{activity_id(activity, 'uniqueQualifier')}",
            kind=words,
            verdict=None,
            at=at,
            recipient=who,
            internet_message_id=f"<{message_id.strip('<>')}>",
            subject=str(said.get("message_info.subject", ""))[:500],
            sender=normal_address(str(said.get("message_info.source.from_header_address", ""))),
            clicked_at=at,
        )
