"""Releases that are looked at later, as pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet
from django.urls import reverse
from django.utils import timezone

from incidents.looks_words import NextStep, next_step
from incidents.models import Job, Message, ReleaseLook
from seg_bridge.models import GatewayRule

MOST, MOST_LISTED = 50, 10
LATELY = timedelta(days=7)
Outcome = ReleaseLook.Outcome
_TONES = {
    Outcome.KEPT: "good",
    Outcome.MOVED: "info",
    Outcome.NO_LAYER: "high",
    Outcome.BLIND: "high",
    Outcome.NOT_SEEN: "high",
    Outcome.JUNKED: "high",
    Outcome.DELETED: "high",
    Outcome.PULLED: "crit",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRow:
    """``href`` leads to the next step, "" where that is a form or nothing; ``exception`` to the
    entry that was made with the release, "" without one.  ``mail``: say which mail it is about.
    """

    look: ReleaseLook
    word: str
    tone: str
    text: str
    step: NextStep
    href: str
    exception: str
    mail: bool


def looks_of_message(message: Message) -> list[LookRow]:
    found = ReleaseLook.objects.filter(tenant=message.tenant_id, delivery__message=message)
    return _rows(found, has_mail=False)


def looks_of_jobs(jobs: Sequence[Job]) -> list[LookRow]:
    """What did not stay first; at most ``MOST``."""
    tenants = {job.tenant_id for job in jobs}
    found = ReleaseLook.objects.filter(tenant__in=tenants, intent__job__in=jobs)
    rows = _rows(found, has_mail=True)
    return sorted(rows, key=lambda row: row.tone == "good")


def not_kept_lately() -> list[LookRow]:
    """Of all clients in sight: what did not stay where it was put, by each copy's last look."""
    since = timezone.now() - LATELY
    later = ReleaseLook.objects.filter(
        tenant=OuterRef("tenant"), delivery=OuterRef("delivery"), id__gt=OuterRef("id")
    )
    gone = ReleaseLook.objects.filter(~Exists(later), done_at__gte=since).exclude(
        outcome__in=(Outcome.KEPT, Outcome.NO_LAYER)
    )
    return _rows(gone, has_mail=True, most=MOST_LISTED)


def _rows(found: QuerySet[ReleaseLook], *, has_mail: bool, most: int = MOST) -> list[LookRow]:
    whole = found.select_related("delivery__message", "delivery__tenant", "intent")
    looks = list(whole.order_by("-id")[:most])
    values = _values_of(look.rule_id for look in looks)
    return [_row(look, values, has_mail=has_mail) for look in looks]


def _values_of(rule_ids: Iterable[UUID | None]) -> dict[UUID, str]:
    ids = {each for each in rule_ids if each}
    if not ids:
        return {}
    return dict(GatewayRule.objects.filter(id__in=ids).values_list("id", "value"))


def _row(look: ReleaseLook, values: dict[UUID, str], *, has_mail: bool) -> LookRow:
    step = next_step(look)
    return LookRow(
        look=look,
        word=look.get_outcome_display() if look.outcome else "Not looked at yet",
        tone=_TONES.get(Outcome(look.outcome), "info") if look.outcome else "info",
        text=look.words or f"Bailey looks whether it is still there {_when(look)}.",
        step=step,
        href=_href(look, step.code),
        exception=_exception(look, values),
        mail=has_mail,
    )


def _when(look: ReleaseLook) -> str:
    return f"at {look.due_at:%H:%M} UTC"


def _href(look: ReleaseLook, code: str) -> str:
    client = look.delivery.tenant.slug
    match code:
        case "release_again":
            return reverse("held_release", args=[look.delivery_id])
        case "trace":
            return reverse("trace", args=[look.delivery_id])
        case "interference":
            return reverse("client_interference", args=[client])
        case "connection":
            return reverse("client", args=[client])
    return ""


def _exception(look: ReleaseLook, values: dict[UUID, str]) -> str:
    if look.rule_id not in values:
        return ""
    asked = {"client": look.delivery.tenant.slug, "state": "all", "q": values[look.rule_id]}
    return f"{reverse('rules')}?{urlencode(asked)}#row-{look.rule_id}"
