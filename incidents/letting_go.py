"""Many kept copies let go at once, of one client or of several, with one exception for each client.

``let_all_go(…)``         a job for each client and layer, each with its result
``foresee_letting_go(…)`` what the same order would come to at each client; nothing of it stays
``kept_copies(incident)`` what of an incident the gateway holds, or was taken out of mailboxes

What holds for one copy (incidents/held.py) holds for each of them: rights, exception, the look
after five minutes.  docs/held-mail.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.allowed import allow_copy
from incidents.gateway_asked import ExceptionMade, ExceptionWish
from incidents.layers import gateway_layer
from incidents.lessons import Act, teach_from_held
from incidents.models import Delivery, Incident, Intent, Job
from incidents.models.mail import Place
from incidents.release_rights import check_may_release
from incidents.remediation import copies_of, release_copies, start_job
from tenants.audit import Actor
from tenants.errors import Conflict, DomainError, WrongInput
from tenants.ids import new_id
from tenants.models import Person, Tenant

MOST = 200
KEPT = (Place.HOLD, Place.QUARANTINE)


def kept_copies(incident: Incident) -> list[Delivery]:
    """At most ``MOST``."""
    return [copy for copy in copies_of(incident) if copy.place in KEPT][:MOST]


def let_all_go(
    *,
    copies: Sequence[Delivery],
    actor: Person | Actor,
    reason: str = "",
    is_false_alarm: bool = False,
    exception: ExceptionWish | None = None,
) -> list[Job]:
    """Each to its recipient, from whichever layer keeps it; answers the jobs, which share a group.

    ``exception``: one entry for each client that all of its copies fit.  What one client's part
    refuses is that client's failed job; of one client alone it is raised: ``NotAllowed``,
    ``Conflict`` where nothing is kept any more, ``WrongInput``, ``Objections``.
    """
    by_client = _by_client(copies, reason, exception)
    part = _Part(actor, reason.strip(), is_false_alarm, exception, new_id())
    if len(by_client) == 1:
        return part.carry_out(copies)
    return part.carry_out_each(by_client)


@dataclass(frozen=True, slots=True)
class PartForeseen:
    """One client's part of an order: ``released`` by the gateway and ``given_back`` to mailboxes,
    in copies; ``refused`` says why the others, or all, would not go, "": all would.
    """

    tenant: Tenant
    released: int
    given_back: int
    refused: str


def foresee_letting_go(
    *,
    copies: Sequence[Delivery],
    actor: Person | Actor,
    reason: str = "",
    is_false_alarm: bool = False,
    exception: ExceptionWish | None = None,
) -> list[PartForeseen]:
    """The order is given, read and taken back, its exceptions and their rehearsals with it.

    Raises ``WrongInput`` where the order itself is wrong; what a client refuses stands in its part.
    """
    by_client = _by_client(copies, reason, exception)
    part = _Part(actor, reason.strip(), is_false_alarm, exception, new_id())
    tenants = {copy.tenant_id: copy.tenant for copy in copies}
    with transaction.atomic():
        jobs = part.carry_out_each(by_client)
        found = [
            _read(tenants[id_], [job for job in jobs if job.tenant_id == id_]) for id_ in tenants
        ]
        transaction.set_rollback(True)
    return sorted(found, key=lambda each: each.tenant.name)


def _read(tenant: Tenant, jobs: Sequence[Job]) -> PartForeseen:
    """What stands after the order; a copy can have failed already, as no gate holds it."""
    copies, why = Counter[str](), [job.error for job in jobs if job.error]
    intents = Intent.objects.filter(tenant=tenant, job__in=jobs)
    for action, state, error in intents.values_list("action", "state", "error"):
        if state == Intent.State.FAILED:
            why.append(error)
        else:
            copies[action] += 1
    return PartForeseen(tenant, copies["release"], copies["restore"], " ".join(dict.fromkeys(why)))


def _by_client(
    copies: Sequence[Delivery], reason: str, exception: ExceptionWish | None
) -> dict[int, list[Delivery]]:
    """Raises ``WrongInput``."""
    if not copies:
        raise WrongInput("Choose at least one mail.")
    if len(copies) > MOST:
        raise WrongInput(f"At most {MOST} mails in one order.")
    if exception is not None and not reason.strip():
        raise WrongInput("Say why: the exception is shown with its reason.")
    by_client: dict[int, list[Delivery]] = defaultdict(list)
    for copy in copies:
        by_client[copy.tenant_id].append(copy)
    return by_client


class _Part:
    """One client's part of the order."""

    def __init__(
        self,
        actor: Person | Actor,
        reason: str,
        is_false_alarm: bool,
        exception: ExceptionWish | None,
        group_id: UUID,
    ) -> None:
        self._actor, self._reason, self._group_id = actor, reason, group_id
        self._is_false_alarm, self._exception = is_false_alarm, exception

    def carry_out_each(self, by_client: Mapping[int, Sequence[Delivery]]) -> list[Job]:
        """What one client refuses is its failed job."""
        jobs: list[Job] = []
        # In the order in which all take them: two such orders never wait for each other.
        for tenant_id in sorted(by_client):
            try:
                jobs += self.carry_out(by_client[tenant_id])
            except DomainError as error:
                jobs.append(self.failed(tenant_id, error))
        return jobs

    @transaction.atomic
    def carry_out(self, copies: Sequence[Delivery]) -> list[Job]:
        kept = _still_kept(copies)
        if not kept:
            raise Conflict("None of these mails is kept any more.")
        check_may_release(kept, self._actor)
        made = self._except(kept)
        detail = {"exception": str(made.rule_id)} if made else {}
        held = [copy for copy in kept if copy.place == Place.HOLD]
        pulled = [copy for copy in kept if copy.place == Place.QUARANTINE]
        jobs = []
        if held:
            if self._is_false_alarm:
                teach_from_held(held, Act.FALSE_ALARM, self._actor)
            jobs.append(
                release_copies(
                    held,
                    actor=self._actor,
                    reason=self._reason,
                    group_id=self._group_id,
                    detail=detail,
                )
            )
        if pulled:
            jobs.append(self._give_back(pulled, detail))
        if made is not None:
            gateway_layer().note_release(made.rule_id, jobs[0].id)
        return jobs

    def _except(self, copies: Sequence[Delivery]) -> ExceptionMade | None:
        """Before the mails go on their way: the mailbox layer may meet them at once."""
        if self._exception is None:
            return None
        made = gateway_layer().make_exception(
            deliveries=copies, wish=self._exception, reason=self._reason, actor=self._actor
        )
        for copy in copies:
            allow_copy(copy, made)
        return made

    def _give_back(self, copies: Sequence[Delivery], detail: dict[str, Any]) -> Job:
        job = start_job(
            Job.Kind.RESTORE,
            "restore",
            copies,
            None,
            actor=self._actor,
            reason=self._reason,
            group_id=self._group_id,
            detail=detail,
        )
        if not Intent.objects.filter(tenant=job.tenant_id, job=job).exists():
            raise Conflict("Somebody else is giving them back already.")
        return job

    def failed(self, tenant_id: int, error: DomainError) -> Job:
        """Beside those that could be done, with the reason."""
        job: Job = Job.objects.create(
            tenant_id=tenant_id,
            kind=Job.Kind.RELEASE,
            state=Job.State.FAILED,
            group_id=self._group_id,
            requested_by_id=self._actor.id,
            requested_by=self._actor.name,
            reason=self._reason,
            error=str(error),
            finished_at=timezone.now(),
        )
        return job


def _still_kept(copies: Sequence[Delivery]) -> list[Delivery]:
    """As they are now: others may have decided about some of them since the page was shown."""
    rows = Delivery.objects.filter(
        tenant_id=copies[0].tenant_id, id__in=[copy.id for copy in copies], place__in=KEPT
    )
    return list(rows.select_related("tenant", "message").order_by("received_at", "id"))
