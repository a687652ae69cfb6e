"""Opening content of a mail: a right, a reason, and a record that the client sees.

The record is committed with the response's scope, before the first byte is sent.
"""

from __future__ import annotations

from incidents.evidence import read_evidence
from incidents.models import ContentAccess, Message
from tenants.audit import write_audit
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.models import Person

OPENED = "incidents.content.opened"
SHORTEST_REASON = 5


class OriginalNotKept(Conflict):
    """The bytes are still in a mailbox only: fetch them first (``acquire_original``)."""

    code = "original_not_kept"


def check_may_open(*, message: Message, person: Person) -> None:
    """Raises ``NotAllowed``: the person lacks the right, or the client has withdrawn it."""
    if not person.may_open_content:
        raise NotAllowed("You may see what is known about this mail, not its content.")
    if not message.tenant.body_access_allowed:
        raise NotAllowed(f"{message.tenant.name} has withdrawn access to the content of its mail.")


def open_original(
    *, message: Message, person: Person, what: str, reason: str, detail: str = ""
) -> bytes:
    """The mail's bytes, after the record is written.

    ``what`` is one of ``ContentAccess.What``.  Raises ``NotAllowed``, ``WrongInput`` without a
    reason, ``OriginalNotKept`` where the bytes have to be fetched first.
    """
    check_may_open(message=message, person=person)
    if len(reason.strip()) < SHORTEST_REASON:
        raise WrongInput("Say why you open this mail; the client will see it.")
    if not message.evidence:
        raise OriginalNotKept("The original is still in the mailbox: fetch it first.")
    ContentAccess.objects.create(
        tenant_id=message.tenant_id,
        message=message,
        person_id=person.id,
        person_name=person.name,
        what=what,
        detail=detail[:300],
        reason=reason.strip(),
    )
    write_audit(
        OPENED,
        actor=person,
        provider_id=person.provider_id,
        tenant_id=message.tenant_id,
        object_kind="message",
        object_id=message.id,
        reason=reason.strip(),
        what=what,
        part=detail,
    )
    return read_evidence(tenant_id=message.tenant_id, digest=message.evidence)


def has_opened(*, message: Message, person: Person) -> ContentAccess | None:
    """This person's latest access to this mail, so that the page can offer its reason again."""
    return (
        ContentAccess.objects.filter(message=message, person_id=person.id).order_by("-at").first()
    )
