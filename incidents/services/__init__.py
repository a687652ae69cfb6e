"""What people do with incidents.  Each function: access has been checked, audit, announce.

``states`` take, assign, triage, resolve, share; ``waiting`` pauses; ``quiet`` snooze, mute,
suppressions; ``comments`` and calls; ``tasks``; ``many`` the same for many incidents; ``views``.
"""

from incidents.services.states import (
    assign_incident,
    contain_incident,
    reopen_incident,
    resolve_incident,
    share_incident,
    take_incident,
    triage_incident,
    unshare_incident,
)

__all__ = [
    "assign_incident",
    "contain_incident",
    "reopen_incident",
    "resolve_incident",
    "share_incident",
    "take_incident",
    "triage_incident",
    "unshare_incident",
]
