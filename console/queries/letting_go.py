"""Many kept copies as somebody asks about them: whose they are, what follows for each client."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from incidents.foresight import ForeseenTogether, foresee_all, why_exception_fails
from incidents.letting_go import KEPT, MOST
from incidents.models import Delivery
from incidents.release_rights import rights_of, role_of
from seg_bridge.both_layers import LIKE, ExceptionWay, ways_for
from seg_bridge.models import GatewayRule
from tenants.errors import WrongInput
from tenants.models import Person, Tenant

MAIL = str(GatewayRule.Match.MAIL)


@dataclass(frozen=True, slots=True)
class ClientPart:
    """One client's copies.  ``not_foreseen``: so many of them nobody looked at beforehand;
    ``cautions``: why an exception would not help as it is.
    """

    client: Tenant
    copies: list[Delivery]
    seen: list[ForeseenTogether]
    not_foreseen: int
    ways: list[ExceptionWay]
    cautions: list[str]


@dataclass(frozen=True, slots=True)
class ReleaseAllQuestion:
    """``not_hers``: copies that the policy keeps from this person, each with its sentence."""

    parts: list[ClientPart]
    not_hers: list[tuple[Delivery, str]]

    @property
    def copies(self) -> int:
        return sum(len(part.copies) for part in self.parts)

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Which exceptions fit some client's copies: one entry a client."""
        kinds = []
        codes = {MAIL if way.match == MAIL else LIKE for part in self.parts for way in part.ways}
        if MAIL in codes:
            kinds.append((MAIL, "Each client's one mail only"))
        if LIKE in codes:
            kinds.append((LIKE, "Mail like it: by who signed or sent all of them"))
        return kinds


def chosen_copies(sent: Iterable[str]) -> list[Delivery]:
    """Those of these ids that are in sight and kept.  Raises ``WrongInput``."""
    ids = []
    for each in dict.fromkeys(sent):
        try:
            ids.append(UUID(each))
        except ValueError as error:
            raise WrongInput("Choose mails from the list.") from error
    if len(ids) > MOST:
        raise WrongInput(f"At most {MOST} mails in one order.")
    rows = Delivery.objects.filter(id__in=ids, place__in=KEPT).select_related("tenant", "message")
    return list(rows.order_by("tenant__name", "received_at", "id"))


def release_all_question(copies: Sequence[Delivery], person: Person) -> ReleaseAllQuestion:
    """Needs a scope that names the provider."""
    role, rights = role_of(person), rights_of(copies)
    hers = [copy for copy in copies if role in rights[copy.id].roles]
    others = [
        (copy, rights[copy.id].sentence) for copy in copies if role not in rights[copy.id].roles
    ]
    by_client: dict[Tenant, list[Delivery]] = {}
    for copy in hers:
        by_client.setdefault(copy.tenant, []).append(copy)
    return ReleaseAllQuestion([_part(*each) for each in by_client.items()], others)


def _part(client: Tenant, copies: list[Delivery]) -> ClientPart:
    seen, left = foresee_all(copies)
    own = {copy.id: [each.what for each in seen if each.example.id == copy.id] for copy in copies}
    cautions = {why_exception_fails(copy, own[copy.id]) for copy in copies} - {""}
    return ClientPart(client, copies, seen, left, ways_for(copies), sorted(cautions))
