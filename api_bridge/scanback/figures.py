"""How far a look back is and what it came to, in numbers that add up: page, API and report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count
from django.utils import timezone

from api_bridge.scanback.models import ScanBack, ScanBackFinding, ScanBackMailbox
from incidents.layers import BlindLayer, blind_layers
from incidents.words import Verdict

# The worst first: in this order they stand.
KINDS = (
    Verdict.MALWARE,
    Verdict.BEC,
    Verdict.PHISH,
    Verdict.SUSPICIOUS,
    Verdict.SPAM,
    Verdict.UNSCANNABLE,
)
# With less of it read a rate says nothing.
ENOUGH = 0.02


@dataclass(frozen=True, slots=True)
class Figures:
    """``estimated``: mails in all, None: nothing is known; ``ends_at`` None: not known, or over.
    ``found``: condemned mails by kind; ``unread`` mails could not be read, ``skipped`` not even be
    named by the mail host's list.
    """

    run: ScanBack
    rows: list[ScanBackMailbox]
    found_in: dict[str, int]
    found: dict[str, int]
    mails: int
    estimated: int | None
    ends_at: datetime | None
    unread: int
    skipped: int
    blind: list[BlindLayer]

    @property
    def done(self) -> int:
        return sum(row.state == ScanBackMailbox.State.DONE for row in self.rows)

    @property
    def left(self) -> list[ScanBackMailbox]:
        """Mailboxes that were not read to the end."""
        return [row for row in self.rows if row.state != ScanBackMailbox.State.DONE]

    @property
    def total_found(self) -> int:
        return sum(self.found.values())

    @property
    def is_whole(self) -> bool:
        """Everything that was to be looked at was: only then "nothing" means nothing."""
        return not self.left and not self.unread and not self.skipped and not self.blind


def figures_of(run: ScanBack) -> Figures:
    """Needs the client's scope."""
    rows = list(
        ScanBackMailbox.objects.filter(tenant=run.tenant_id, run=run)
        .select_related("mailbox")
        .order_by("mailbox__address")
    )
    counted = (
        ScanBackFinding.objects.filter(tenant=run.tenant_id, run=run)
        .order_by()
        .values_list("mailbox", "verdict")
        .annotate(number=Count("*"))
    )
    by_kind: Counter[str] = Counter()
    by_mailbox: Counter[str] = Counter()
    for mailbox_id, verdict, number in counted:
        by_kind[verdict] += number
        if verdict != Verdict.UNSCANNABLE:
            by_mailbox[str(mailbox_id)] += number
    unread = by_kind.pop(Verdict.UNSCANNABLE, 0)
    mails = sum(row.mails for row in rows)
    estimated = _estimated(run, rows)
    return Figures(
        run=run,
        rows=rows,
        found_in=dict(by_mailbox),
        found={kind: by_kind[kind] for kind in KINDS if by_kind[kind]},
        mails=mails,
        estimated=estimated,
        ends_at=_end(run, mails, estimated),
        unread=unread,
        skipped=sum(row.skipped for row in rows),
        blind=[each for each in blind_layers(run.tenant_id) if each.layer == "mailbox"],
    )


def _estimated(run: ScanBack, rows: list[ScanBackMailbox]) -> int | None:
    """Of each mailbox: what was read where it is done, else what was expected, or its density so
    far where that is more.  At most what was agreed.
    """
    total = 0
    for row in rows:
        whole_s = (row.until - run.since).total_seconds()
        read_s = (row.until - row.reached_at).total_seconds()
        if row.state == ScanBackMailbox.State.DONE:
            total += row.mails
        elif whole_s > 0 and read_s / whole_s >= ENOUGH:
            total += max(row.mails, round(row.mails * whole_s / read_s))
        elif row.estimated is None:
            return None
        else:
            total += max(row.mails, row.estimated)
    return min(total, run.most_mails)


def _end(run: ScanBack, mails: int, estimated: int | None) -> datetime | None:
    """By the speed so far, within what an hour may hold."""
    if run.state != ScanBack.State.RUNNING or estimated is None or not mails:
        return None
    now = timezone.now()
    lasted_s = max(1.0, (now - run.asked_at).total_seconds())
    per_s = min(mails / lasted_s, run.mails_per_hour / 3600)
    return now + timedelta(seconds=max(0, estimated - mails) / per_s)
