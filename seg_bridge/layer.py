"""The gateway as the incident model asks for it (incidents/layers.py)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from incidents.gateway_asked import (
    ExceptionMade,
    ExceptionWish,
    LessonWish,
    ReleaseRight,
    RepairForecast,
)
from incidents.layers import Entries, Judged
from incidents.models import Delivery
from seg_bridge import both_layers, changes
from seg_bridge.commands import order_releases
from seg_bridge.held.policy import HeldPolicies
from seg_bridge.held.rights import release_rights
from seg_bridge.learning import orders
from seg_bridge.learning.consent import may_learn
from seg_bridge.models import Rehearsal
from tenants.audit import Actor
from tenants.models import Person, Tenant


class Gateway:
    """Writes rules and commands in the caller's scope and transaction."""

    def release(
        self, *, delivery_ids: list[UUID], intent_ids: list[UUID], released_by: str
    ) -> None:
        order_releases(delivery_ids=delivery_ids, intent_ids=intent_ids, released_by=released_by)

    def entries_for_both(self, tenant_id: int) -> Entries:
        return both_layers.entries_of(tenant_id)

    def make_exception(
        self,
        *,
        deliveries: Sequence[Delivery],
        wish: ExceptionWish,
        reason: str,
        actor: Person | Actor,
    ) -> ExceptionMade:
        return both_layers.make_exception(
            deliveries=deliveries, wish=wish, reason=reason, actor=actor
        )

    def exceptions_among(self, rule_ids: Collection[UUID]) -> dict[UUID, ExceptionMade]:
        return both_layers.exceptions_among(rule_ids)

    def note_release(self, rule_id: UUID, job_id: UUID) -> None:
        both_layers.note_release(rule_id, job_id)

    def foresee(self, delivery: Delivery) -> Judged:
        return both_layers.foresee(delivery)

    def release_rights(self, copies: Sequence[Delivery]) -> dict[UUID, ReleaseRight]:
        return release_rights(copies)

    def language_for(self, tenant_id: int, address: str) -> str:
        policy = HeldPolicies.of([tenant_id]).policy(tenant_id, address)
        return str(policy["digest.language"].value)

    def block_sender(
        self,
        *,
        tenant_id: int,
        sender: str,
        reason: str,
        owner_id: UUID | None,
        owner_name: str,
        expires_at: datetime | None,
        incident_id: UUID | None,
        despite: bool = False,
    ) -> UUID:
        rule = changes.block_sender(
            tenant=Tenant.objects.get(id=tenant_id),
            sender=sender,
            reason=reason,
            actor=Actor(owner_name, owner_id),
            expires_at=expires_at,
            incident_id=incident_id,
            despite=despite,
        )
        return rule.id

    def rehearse_repair(
        self, *, tenant_id: int, repair: dict[str, Any], actor: Person | Actor
    ) -> RepairForecast:
        tenant = Tenant.objects.get(id=tenant_id)
        wish = {"do": repair["action"], **{name: repair.get(name) for name in _OF_A_RULE}}
        kept = changes.rehearse_wish(wish=wish, tenants=[tenant], actor=actor)
        # To remove an entry for all clients is rehearsed for all of them; any of them may object.
        own = next(each for each in kept if each.tenant_id == tenant_id)
        return RepairForecast(own.id, own.counts, tuple(s for each in kept for s in each.stops))

    def carry_out_repair(
        self,
        *,
        rehearsal_id: UUID,
        actor: Person | Actor,
        reason: str,
        incident_id: UUID | None,
    ) -> UUID:
        batch = Rehearsal.objects.values("batch").get(id=rehearsal_id)
        (rule,) = changes.save_change(
            rehearsals=list(Rehearsal.objects.filter(**batch)),
            actor=actor,
            reason=reason,
            despite=True,
            incident_id=incident_id,
        )
        return rule.id

    def learns(self, tenant_id: int) -> bool:
        return may_learn(tenant_id)

    def teach(
        self,
        wishes: Sequence[LessonWish],
        *,
        tenant_id: int,
        because: str,
        incident_id: UUID | None,
        actor: Person | Actor,
    ) -> None:
        decision = orders.Decision(
            tenant_id=tenant_id, because=because, incident_id=incident_id, actor=actor
        )
        orders.teach(wishes, decision)

    def take_back_lessons(
        self, *, tenant_id: int, incident_id: UUID, because: str, actor: Person | Actor
    ) -> None:
        orders.take_back(
            orders.Decision(
                tenant_id=tenant_id, because=because, incident_id=incident_id, actor=actor
            )
        )

    def after_fetching(self, *, tenant_id: int, message_id: UUID, problem: str) -> None:
        orders.after_fetching(tenant_id=tenant_id, message_id=message_id, problem=problem)


_OF_A_RULE = ("kind", "match", "value", "recipient", "days", "rule_id")
