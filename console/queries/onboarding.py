"""How far a client is on its way behind the gateway, and what is still to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from api_bridge.models import Connection
from console.lib.cursor import PAGE
from console.queries.trace import Trace, trace_of
from incidents.models import Delivery
from seg_bridge.models import DomainCheck, Gate, GateClient, PolicyLayer, TrialMail
from seg_bridge.onboarding.look import owner_record
from seg_bridge.sight import GATE_SILENT_AFTER
from seg_bridge.snapshot import section_of
from tenants.models import Domain, Mailbox, Tenant

TRIALS_SHOWN = 5
TRACE_COMES_WITHIN = timedelta(minutes=2)
_NOT_LOOKED = {"state": "", "words": "Not looked at yet.", "found": []}


@dataclass(frozen=True, slots=True)
class DomainRow:
    """``owner`` and ``mx`` as ``DomainCheck.found`` has them; ``record`` is the TXT record's name
    and text, empty before the first look was asked for.
    """

    domain: Domain
    mailboxes: int
    check: DomainCheck | None
    owner: dict[str, Any]
    mx: dict[str, Any]
    record: tuple[str, str]


@dataclass(frozen=True, slots=True)
class GateRow:
    """``is_current``: the gate follows what stands on this page; ``is_silent``: nobody knows."""

    link: GateClient
    is_current: bool
    is_silent: bool
    addresses: list[str]


@dataclass(frozen=True, slots=True)
class TrialRow:
    trial: TrialMail
    trace: Trace | None
    is_moving: bool


@dataclass(frozen=True, slots=True)
class Step:
    """``state``: ``done``, ``todo``, or ``note`` for what works as it is, or cannot be seen."""

    key: str
    title: str
    state: str


@dataclass(frozen=True, slots=True)
class OnboardPage:
    client: Tenant
    domains: list[DomainRow]
    mailboxes: int
    connection: Connection | None
    layer: PolicyLayer | None
    gates: list[GateRow]
    trials: list[TrialRow]
    is_looking: bool
    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def is_moving(self) -> bool:
        """Something changes by itself within seconds: the page asks again."""
        return (
            self.is_looking
            or any(one.is_moving for one in self.trials)
            or any(not one.is_current and not one.is_silent for one in self.gates)
        )

    @property
    def looks(self) -> dict[str, str]:
        """Step → how its button stands out: the first one that waits for a person leads on.  Gates
        follow by themselves; before anybody watches the MX records must have been seen.
        """
        order = ("domains", "recipients", "trial", "mx", "behind")
        first = next((key for key in order if self.steps[key].state == "todo"), "")
        return {first: "primary"}

    @property
    def done(self) -> int:
        return sum(step.state == "done" for step in self.steps.values())


def gates_of(client: Tenant) -> QuerySet[Gate]:
    serving = GateClient.objects.filter(tenant=client).values("gate_id")
    return Gate.objects.filter(id__in=serving).order_by("name")


def somebody_of(client: Tenant) -> str:
    """An address for the test mail; "" where none is listed."""
    first = _present(client).order_by("created_at", "address").first()
    return first.address if first else ""


def recipients_page(client: Tenant, q: str, after: str) -> tuple[list[Mailbox], int, str]:
    """``PAGE`` of the addresses behind ``after``, how many there are in all, and the last one where
    more follow, else "".
    """
    found = _present(client)
    if q:
        found = found.filter(Q(address__icontains=q) | Q(display_name__icontains=q))
    total = found.count()
    boxes = list(found.filter(address__gt=after).order_by("address")[: PAGE + 1])
    return boxes[:PAGE], total, boxes[PAGE - 1].address if len(boxes) > PAGE else ""


def onboard_page(client: Tenant) -> OnboardPage:
    checks = {one.domain_id: one for one in DomainCheck.objects.filter(tenant=client)}
    page = OnboardPage(
        client=client,
        domains=_domains(client, checks),
        mailboxes=_present(client).count(),
        connection=Connection.objects.filter(tenant=client).first(),
        layer=PolicyLayer.objects.filter(tenant=client, level="client").first(),
        gates=_gates(client, checks),
        trials=_trials(client),
        is_looking=any(_is_due(one) for one in checks.values()),
    )
    page.steps.update(_steps(page))
    return page


def _present(client: Tenant) -> QuerySet[Mailbox]:
    return Mailbox.objects.filter(tenant=client).exclude(state=Mailbox.State.GONE)


def _domains(client: Tenant, checks: dict[Any, DomainCheck]) -> list[DomainRow]:
    boxes = dict(_present(client).order_by().values_list("domain").annotate(n=Count("*")))
    rows = []
    for domain in Domain.objects.filter(tenant=client).order_by("name"):
        check = checks.get(domain.id)
        found = check.found if check else {}
        rows.append(
            DomainRow(
                domain=domain,
                mailboxes=boxes.get(domain.id, 0),
                check=check,
                owner=found.get("owner", _NOT_LOOKED),
                mx=found.get("mx", _NOT_LOOKED),
                record=owner_record(domain.name, check.token) if check else ("", ""),
            )
        )
    return rows


def _gates(client: Tenant, checks: dict[Any, DomainCheck]) -> list[GateRow]:
    digest = section_of(client.id)
    silent_before = timezone.now() - GATE_SILENT_AFTER
    addresses: dict[str, list[str]] = {}
    for check in checks.values():
        addresses |= check.found.get("gates", {})
    links = GateClient.objects.filter(tenant=client).select_related("gate")
    return [
        GateRow(
            link=link,
            is_current=link.in_force == digest,
            is_silent=(link.gate.last_seen_at or link.gate.created_at) < silent_before,
            addresses=addresses.get(link.gate.hostname, []),
        )
        for link in links.order_by("gate__hostname")
    ]


def _trials(client: Tenant) -> list[TrialRow]:
    newest = TrialMail.objects.filter(tenant=client).select_related("gate").order_by("-asked_at")
    rows = []
    for trial in newest[:TRIALS_SHOWN]:
        copy = (
            Delivery.objects.filter(
                tenant=client,
                recipient=trial.recipient,
                message__internet_message_id=trial.internet_message_id,
                received_at__gte=trial.asked_at - timedelta(hours=1),
            )
            .select_related("message", "tenant")
            .first()
        )
        is_open = trial.state in ("waiting", "sending", "taken") and copy is None
        is_fresh = trial.asked_at > timezone.now() - TRACE_COMES_WITHIN
        rows.append(TrialRow(trial, trace_of(copy) if copy else None, is_open and is_fresh))
    return rows


def _is_due(check: DomainCheck) -> bool:
    return check.wanted_at is not None and check.wanted_at <= timezone.now()


def _steps(page: OnboardPage) -> dict[str, Step]:
    active = [row for row in page.domains if row.domain.is_active]
    has_recipients = bool(active) and all(row.mailboxes or row.domain.asks_hop for row in active)
    is_sent = any(row.trace is not None for row in page.trials)
    is_told = bool(active) and all(row.mx["state"] == "seen" for row in active)
    found = (
        ("domains", "Domains and mail hosts", _state(bool(active))),
        ("recipients", "Recipients", _state(has_recipients)),
        ("policy", "Policy to begin with", "done" if page.layer else "note"),
        ("gates", "In force at the gates", _state(bool(page.gates) and _are_current(page.gates))),
        ("trial", "A test mail", _state(is_sent)),
        # Nobody sees it from outside; a mail past the gates shows that it is missing.
        ("connector", "The mail host takes mail from the gates only", "note"),
        ("mx", "MX records", _state(is_told)),
        (
            "behind",
            "Watch for mail around the gateway",
            _state(page.client.protected_since is not None),
        ),
    )
    return {key: Step(key, title, state) for key, title, state in found}


def _state(is_done: bool) -> str:
    return "done" if is_done else "todo"


def _are_current(gates: list[GateRow]) -> bool:
    return all(row.is_current for row in gates)
