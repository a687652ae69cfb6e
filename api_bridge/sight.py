"""Since when the mailboxes of a client cannot be read.  Read in the caller's scope."""

from __future__ import annotations

from django.db.models import Exists, F, OuterRef, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n

from api_bridge.models import Connection, Grant, MailboxSync, Purpose
from incidents.layers import BlindLayer
from tenants.models import Mailbox

NOT_GRANTED = "The client has not consented to “Remediate”: Bailey may read its mail, not move it."
LOST = "The client's consent to “Remediate” is lost: its mail can be read, not moved."

_STATES = {
    Connection.State.NEEDS_CONSENT: _n("Consent is missing."),
    Connection.State.CREDENTIALS_EXPIRED: _n("Secret or certificate is not accepted."),
    Connection.State.GONE: _n("The cloud tenant does not exist."),
    Connection.State.NOT_TRUSTED: _n(
        "The mail host's certificate is not accepted: whoever runs the mail host renews it, or its"
        " authority is named with the connection."
    ),
    Connection.State.NOT_ALLOWED: _n(
        "Bailey may not call the mail host's address: whoever runs Bailey allows it, or the"
        " connection names another."
    ),
    Connection.State.NO_LOGIN: _n(
        "The mail host offers no protected way to sign in that Bailey knows: whoever runs the mail"
        " host switches one on."
    ),
}


def may_act() -> Q:
    """Connections that may move mail: by an application of their own, or by the client's consent
    to “Remediate”.
    """
    granted = Grant.objects.filter(
        connection=OuterRef("pk"), purpose=Purpose.REMEDIATE, lost_at=None
    )
    return Q(by_registrations=False) | Q(Exists(granted))


def why_not_acting(tenant_id: int) -> str:
    """Why the mailbox layer moves no mail of this client, in a sentence; "": it does, or the
    client has no mailbox layer.
    """
    connections = Connection.objects.filter(tenant=tenant_id)
    if not connections.exists() or connections.filter(may_act()).exists():
        return ""
    was_granted = Grant.objects.filter(tenant=tenant_id, purpose=Purpose.REMEDIATE).exists()
    return LOST if was_granted else NOT_GRANTED


def is_catching_up(tenant_id: int) -> bool:
    """The layer sees again, and some mailbox that can be read was not read to its end since."""
    rows = MailboxSync.objects.filter(
        tenant=tenant_id,
        connection__blind_since=None,
        connection__seeing_since__isnull=False,
        mailbox__state=Mailbox.State.ACTIVE,
        failures=0,
    )
    since = F("connection__seeing_since")
    return rows.filter(Q(caught_up_at=None) | Q(caught_up_at__lt=since)).exists()


def why_blind(connection: Connection) -> str:
    """In a sentence.  A connection that still counts as connected gets no answer."""
    if connection.state in ("", Connection.State.ACTIVE):
        return _("The mail host does not answer us.")
    return _(_STATES[Connection.State(connection.state)])


def mailbox_blindness(tenant_id: int) -> BlindLayer | None:
    connection = (
        Connection.objects.filter(tenant=tenant_id, blind_since__isnull=False)
        .only("id", "tenant_id", "state", "blind_since")
        .order_by("blind_since")
        .first()
    )
    return blindness_of(connection) if connection is not None else None


def blindness_of(connection: Connection) -> BlindLayer | None:
    """None: this one sees."""
    if connection.blind_since is None:
        return None
    return BlindLayer(
        layer="mailbox",
        name=_("The mailbox layer"),
        since=connection.blind_since,
        why=why_blind(connection),
    )
