"""What waits to be done by gates and for held mail, called off after a restore
(tenants/standstill.py).
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from incidents.models import ClientWord
from seg_bridge.models import GateCommand
from seg_bridge.onboarding.records import TrialMail
from seg_bridge.policies.models import PolicyPushItem
from seg_bridge.policies.push import UNMADE
from tenants.standstill import CALLED_OFF

BY_WHOM = "Bailey, after a restore"


def call_off_commands(tenant_id: int, now: datetime) -> int:
    """A gate that did one of them all the same says so, and its word counts."""
    rows = GateCommand.objects.filter(tenant_id=tenant_id, ok=None)
    return rows.update(ok=False, done_at=now, detail=CALLED_OFF, stopped_by=BY_WHOM)


def call_off_pushes(tenant_id: int, now: datetime) -> int:
    rows = PolicyPushItem.objects.filter(tenant_id=tenant_id, state__in=UNMADE)
    return rows.update(state=PolicyPushItem.State.STOPPED, cause=CALLED_OFF, changed_at=now)


def call_off_trials(tenant_id: int, now: datetime) -> int:
    rows = TrialMail.objects.filter(tenant_id=tenant_id, state=TrialMail.State.WAITING)
    return rows.update(state=TrialMail.State.FAILED, reply=CALLED_OFF, sent_at=now)


def leave_wishes_to_people(tenant_id: int, now: datetime) -> int:
    """Wishes for held mail that nobody has looked at: Bailey answers none by the policy."""
    rows = ClientWord.objects.filter(
        tenant_id=tenant_id, kind=ClientWord.Kind.RELEASE, settled_at=None, scanned_at=None
    )
    return rows.update(scanned_at=now, scan={"why": CALLED_OFF, "advice": "unclear"})


def go_on_numbering(highest: int) -> None:
    """Commands get numbers that no gate has seen yet."""
    if not highest:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval('seg_bridge_command_seq',"
            " greatest(%s, nextval('seg_bridge_command_seq')))",
            [highest],
        )
