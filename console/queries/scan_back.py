"""A look back as its page shows it: how far it is, what it found, the lists behind numbers."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from api_bridge.models import MailboxSync, ScanBack
from api_bridge.scanback.figures import KINDS, Figures, figures_of
from api_bridge.scanback.pulling import Found, found_of
from api_bridge.scanback.services import newest_run, run_of
from console.queries.blindness import Blind, Blindness
from incidents.access import access_one
from incidents.models import Report
from incidents.models.mail import Verdict
from tenants.errors import NotThere
from tenants.models import Tenant

MOST_SHOWN = 500
ALL = "all"


@dataclass(frozen=True, slots=True)
class KindRow:
    kind: str
    label: str
    number: int


@dataclass(frozen=True, slots=True)
class ScanBackPage:
    """``figures`` None: nobody has looked back yet."""

    client: Tenant
    blind: Blind
    figures: Figures | None
    kinds: list[KindRow]
    earlier: list[ScanBack]
    reports: list[Report]
    watched: int

    @property
    def run(self) -> ScanBack | None:
        return self.figures.run if self.figures else None

    @property
    def is_moving(self) -> bool:
        return self.run is not None and self.run.state == ScanBack.State.RUNNING


def scan_back_page(client: Tenant, run_id: UUID | None = None) -> ScanBackPage:
    """Of the newest run, or of this one.  Raises ``NotThere``."""
    run = run_of(client.id, run_id) if run_id else newest_run(client.id)
    if run_id and run is None:
        raise NotThere
    figures = figures_of(run) if run else None
    return ScanBackPage(
        client=client,
        blind=Blindness([client.id]).of(client.id),
        figures=figures,
        kinds=_kinds(figures) if figures else [],
        earlier=list(ScanBack.objects.filter(tenant=client).order_by("-asked_at")[1:10]),
        reports=list(
            Report.objects.filter(tenant=client, kind=Report.Kind.FOUND)
            .defer("document")
            .select_related("tenant")
            .order_by("-created_at")[:10]
        ),
        watched=MailboxSync.objects.filter(tenant=client).count(),
    )


def _kinds(figures: Figures) -> list[KindRow]:
    """What was found by kind; those that could not be read stand by themselves."""
    return [KindRow(kind, Verdict(kind).label, n) for kind, n in figures.found.items()]


@dataclass(frozen=True, slots=True)
class FoundPage:
    """The list behind a number; ``more``: there are more than are shown."""

    run: ScanBack
    client: Tenant
    title: str
    found: list[Found]
    more: bool


def access_run(run_id: UUID | str) -> ScanBack:
    run: ScanBack = access_one(ScanBack.objects.select_related("tenant"), run_id)
    return run


def found_page(run: ScanBack, figure: str) -> FoundPage:
    """``figure``: ``all``, or a verdict.  Raises ``NotThere``."""
    if figure != ALL and figure not in KINDS:
        raise NotThere
    found = found_of(run, verdict="" if figure == ALL else figure, most=MOST_SHOWN + 1)
    if figure == ALL:
        found = [each for each in found if each.finding.verdict != Verdict.UNSCANNABLE]
        title = "All that was found"
    else:
        title = str(Verdict(figure).label)
    return FoundPage(
        run=run,
        client=run.tenant,
        title=title,
        found=found[:MOST_SHOWN],
        more=len(found) > MOST_SHOWN,
    )
