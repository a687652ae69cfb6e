"""What a call costs, and how much may be spent.

Google counts quota units since 2026-05-01 (contract A.12; developers.google.com/gmail/api/reference
/quota): 6,000 a minute for each user, 1,200,000 for each project.  Whether a call on a person's
behalf counts for her or for the service account is not settled; here it counts for her.
"""

from __future__ import annotations

from api_bridge.limits import Quota

GET_PROFILE = 1
LIST_HISTORY = 2
LIST_MESSAGES = 5
GET_MESSAGE = 20
MODIFY = 5
WATCH = 100
STOP = 50
LIST_LABELS = 1
CREATE_LABEL = 5
READ_SETTING = 1
# Creating and deleting a filter; of the others no number is published.
CHANGE_SETTING = 5

# A full bucket and a minute's flow together are what Google allows in a minute.
USER = Quota(concurrent=10, per_s=90.0, burst=600.0)
PROJECT = Quota(concurrent=200, per_s=18_000.0, burst=120_000.0)
# Directory, Alert Center and Pub/Sub count calls: 2,400 a minute for the narrowest of them.
OTHER_API = Quota(concurrent=10, per_s=20.0, burst=400.0)
OTHER_CALL = 1
