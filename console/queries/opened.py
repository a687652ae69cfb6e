"""What somebody has just opened: the bytes again, against the record of that opening."""

from __future__ import annotations

import atexit
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from uuid import UUID

from django.utils import timezone

from incidents.content import check_may_open
from incidents.evidence import read_evidence
from incidents.mail.facts import MailFacts
from incidents.mail.reader import MailReader
from incidents.models import ContentAccess
from tenants.errors import NotThere
from tenants.models import Person

VALID_FOR = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Opened:
    access: ContentAccess
    raw: bytes

    def facts(self) -> MailFacts:
        """Read in a process that can be killed."""
        return _reader().read(self.raw)


def read_opened(*, message_id: UUID, access_id: UUID, person: Person) -> Opened:
    """The content of an opening that is fresh and this person's own.

    Raises ``NotThere`` for any other: an old link, or somebody else's, opens nothing.
    ``NotAllowed`` where the right is gone meanwhile.
    """
    access = (
        ContentAccess.objects.select_related("message", "message__tenant")
        .filter(
            id=access_id,
            message=message_id,
            person_id=person.id,
            at__gte=timezone.now() - VALID_FOR,
        )
        .first()
    )
    if access is None:
        raise NotThere("This opening is over. Open the mail again and say why.")
    check_may_open(message=access.message, person=person)
    raw = read_evidence(tenant_id=access.tenant_id, digest=access.message.evidence)
    return Opened(access, raw)


@cache
def _reader() -> MailReader:
    reader = MailReader(workers=1)
    atexit.register(reader.close)
    return reader
