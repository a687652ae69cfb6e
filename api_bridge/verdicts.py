"""What the mail host's own protection said of delivered mail, as observations of layer ``vendor``,
and what people reported with its button.

It is asked again for some days back each time: the same word makes the same row, so nothing is
counted twice and no cursor can be lost.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from api_bridge.connectors import Capability, Connector, ReadsVerdicts, VendorVerdict
from api_bridge.errors import BridgeError
from api_bridge.models import Connection, MailboxSync
from incidents.intake import record
from incidents.observations import Observation, Reason
from incidents.userreports.alerts import report_of_alert
from incidents.userreports.taking import TakenReport, take_reports
from incidents.words import Layer
from tenants.doors import ClaimedWork
from tenants.models import Mailbox
from tenants.work import work_scope

log = logging.getLogger(__name__)

LINK_OPENED = "link_opened"
EVERY, LOOK_BACK = timedelta(minutes=20), timedelta(days=3)
EARLY = timedelta(minutes=1)
ENGINES = {
    Connection.Kind.GOOGLE: "google-alert-center",
    Connection.Kind.GRAPH: "microsoft-defender",
}


def tell_verdicts(claimed: ClaimedWork, connection_id: UUID, connector: Connector) -> None:
    """If it is time.  Never raises a ``BridgeError``: without this scope the mailboxes are read all
    the same.
    """
    if Capability.VENDOR_VERDICTS not in connector.capabilities:
        return
    if not isinstance(connector, ReadsVerdicts):
        raise TypeError("the connector promises verdicts and cannot read them")
    now = timezone.now()
    with work_scope(claimed):
        # Asked for in the turns that look at exposed copies: the next of them may come a bit early.
        due = Connection.objects.filter(id=connection_id, verdicts_due_at__lte=now + EARLY)
        if not due.update(verdicts_due_at=now + EVERY):
            return
    try:
        said = connector.verdicts(timezone.now() - LOOK_BACK)
    except BridgeError as error:
        log.warning("verdicts of the mail host of connection %s: %s", connection_id, error)
        return
    with work_scope(claimed):
        kind = Connection.objects.values_list("kind", flat=True).get(id=connection_id)
        rows = MailboxSync.objects.filter(connection_id=connection_id).select_related("mailbox")
        known = _of_ours([row.mailbox for row in rows], said)
        told = [(address, each) for address, each in known if not each.is_report]
        _record(claimed.tenant_id, kind, told, ENGINES.get(Connection.Kind(kind), kind))
        take_reports(
            claimed.tenant_id,
            [_report(address, each) for address, each in known if each.is_report],
        )


def tell_clicks(
    mailboxes: Sequence[Mailbox], connection_id: UUID, said: Sequence[VendorVerdict], engine: str
) -> None:
    """That links were opened, by a log of the host (api_bridge/accounts): a record that is read
    again makes the same row.  ``mailboxes``: all of the connection's.  Must run in the client's
    scope.
    """
    if told := _of_ours(mailboxes, said):
        kind = Connection.objects.values_list("kind", flat=True).get(id=connection_id)
        _record(mailboxes[0].tenant_id, kind, told, engine)


def _of_ours(
    mailboxes: Sequence[Mailbox], said: Sequence[VendorVerdict]
) -> list[tuple[str, VendorVerdict]]:
    """What is said of these, each with its mailbox's address."""
    ours = {name: box.address for box in mailboxes for name in (box.address, *box.aliases)}
    return [(ours[each.recipient], each) for each in said if each.recipient in ours]


def _record(
    tenant_id: int, kind: str, told: Sequence[tuple[str, VendorVerdict]], engine: str
) -> None:
    record([_observation(tenant_id, kind, address, each, engine) for address, each in told])


def _report(address: str, said: VendorVerdict) -> TakenReport:
    return report_of_alert(
        alert_id=said.key,
        message_id=said.internet_message_id,
        recipient=address,
        reported_at=said.at,
    )


def _observation(
    tenant_id: int, kind: str, address: str, said: VendorVerdict, engine: str
) -> Observation:
    reason = Reason("vendor_verdict", f"The mail host said of this mail: {said.kind}.", said.kind)
    click = {}
    if said.clicked_at is not None:
        text = "The mail host saw that a link in this mail was opened."
        reason = Reason(LINK_OPENED, text, said.clicked_url)
        click = {"clicked_at": said.clicked_at.isoformat()}
    return Observation(
        tenant_id=tenant_id,
        layer=Layer.VENDOR,
        source=f"vendor:{kind}",
        source_key=said.key,
        observed_at=said.at,
        recipient=address,
        internet_message_id=said.internet_message_id,
        verdict=said.verdict,
        reasons=(reason,),
        engine=engine,
        detail={"subject": said.subject, "sender": said.sender, **click},
    )
