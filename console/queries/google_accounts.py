"""To which service accounts a client's admin delegates at Google, and what each is for."""

from __future__ import annotations

from dataclasses import dataclass

from api_bridge.access.models import OF_CLIENTS, Purpose, ServiceAccount
from api_bridge.access.permissions import google_scopes, needs_of
from api_bridge.access.service_accounts import delegated_clients, service_account


@dataclass(frozen=True, slots=True)
class DelegatedTo:
    """One service account and the scopes that it is for, as the Admin console takes them.
    ``client_id`` "": not entered yet, it stands in the key.
    """

    client_id: str
    purposes: tuple[str, ...]
    scopes: str
    trouble: str = ""

    @property
    def labels(self) -> list[str]:
        return [str(Purpose(each).label) for each in self.purposes]


def delegated_to(own_client_id: str = "") -> list[DelegatedTo]:
    """The accounts of a connection at Google, whose own is ``own_client_id``.  Needs a scope of the
    provider.
    """
    apart = service_account(Purpose.RESPOND)
    first = tuple(str(each) for each in OF_CLIENTS if apart is None or each != Purpose.RESPOND)
    found = [DelegatedTo(own_client_id, first, google_scopes(*first))]
    if apart is not None:
        respond = str(Purpose.RESPOND)
        scopes = google_scopes(respond)
        found.append(DelegatedTo(apart.client_id, (respond,), scopes, apart.trouble))
    return found


@dataclass(frozen=True, slots=True)
class GoogleAccountRow:
    """The provider's own service account at Google.  ``account`` None: a client's one does all."""

    purpose: str
    label: str
    account: ServiceAccount | None
    clients: int
    scopes: list[str]


def google_account_row() -> GoogleAccountRow:
    purpose = Purpose.RESPOND
    account = service_account(purpose)
    return GoogleAccountRow(
        purpose=purpose,
        label=str(purpose.label),
        account=account,
        clients=len(delegated_clients(account)) if account else 0,
        scopes=[need.short for need in needs_of("google", purpose)],
    )
