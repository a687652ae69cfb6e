"""What a canonical pass would change, said before it is done and accepted by a person.

Evidence carries the version of the rules that found it.  While evidence of an older version stands,
the nightly pass of newer rules changes nothing by itself: it writes down what it would do, and does
it once a person has said so.  A person may ask for the same at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from incidents.campaigns.evidence import VERSION
from incidents.campaigns.looking import Look, by_cluster, look
from incidents.campaigns.nights import next_night
from incidents.campaigns.words import say_all
from incidents.models import Campaign, Edge, Recomputation
from tenants.audit import BAILEY, Actor, write_audit
from tenants.errors import Conflict, WrongInput
from tenants.models import Person, Tenant
from tenants.work import want_work

ASKED = "incidents.recomputation.asked"
ACCEPTED = "incidents.recomputation.accepted"
REFUSED = "incidents.recomputation.refused"
QUEUE = "regroup"
MOST_LINES = 500
SHORTEST_REASON = 5

Line = dict[str, str]
"""``kind``: split, merge or campaign; ``text``: a sentence."""


def waits_for_a_person(tenant: Tenant) -> bool:
    """Whether evidence of older rules stands and nobody has accepted what the newer ones would do.

    Needs the client's scope.
    """
    if VERSION == 1:
        return False
    accepted = Recomputation.objects.filter(tenant=tenant, version=VERSION, is_accepted=True)
    older = Edge.objects.filter(tenant=tenant, act=Edge.Act.LINK, version__lt=VERSION)
    return older.exists() and not accepted.exists()


def show_what_would_change(tenant: Tenant) -> Recomputation | None:
    """Reckon what was asked for, or what newer rules would do; None where there is nothing to show.

    Needs the client's scope; holds nothing.
    """
    rows = Recomputation.objects.filter(tenant=tenant)
    wanted = rows.filter(decided_at=None).first()
    if wanted is None and waits_for_a_person(tenant) and not rows.filter(version=VERSION).exists():
        wanted = _new(tenant, BAILEY)
    if wanted is None or wanted.shown_at is not None:
        return None
    now = timezone.now()
    lines = list(what_would_change(look(tenant, now)))
    wanted.version, wanted.shown_at = VERSION, now
    wanted.counts = dict(Counter(line["kind"] for line in lines))
    wanted.lines = lines[:MOST_LINES]
    wanted.save(update_fields=["version", "shown_at", "counts", "lines"])
    return wanted


def left_to_read_until(tenant: Tenant) -> datetime | None:
    """What is shown and not decided is not done before the next night, whoever asks for a pass
    meanwhile; None where nothing waits to be read.  Needs the client's scope.
    """
    shown = Recomputation.objects.filter(tenant=tenant, decided_at=None).first()
    if shown is None or shown.shown_at is None:
        return None
    until = next_night(shown.shown_at)
    return until if timezone.now() < until else None


def what_would_change(seen: Look) -> Iterator[Line]:
    """A line for each incident that would be parted, each that would be joined, and each campaign
    that would be another.
    """
    parts: dict[UUID, Counter[UUID]] = {}
    for mail_id, incident_id in seen.members.items():
        parts.setdefault(incident_id, Counter())[seen.found.group_of[mail_id]] += 1
    for incident_id in _by_number(seen, parts):
        sizes = sorted(parts[incident_id].values(), reverse=True)
        if len(sizes) > 1:
            number = seen.incidents[incident_id].number
            mails = say_all([str(size) for size in sizes])
            yield _line("split", f"#{number} would become {len(sizes)} incidents of {mails} mails.")
    for ids in by_cluster(seen.found.group_of, seen.members).values():
        if len(ids) > 1:
            yield _line("merge", f"{_numbers(seen, ids)} would be one incident.")
    yield from _campaigns(seen)


def _campaigns(seen: Look) -> Iterator[Line]:
    clusters = by_cluster(seen.found.campaign_of, seen.members)
    homes: dict[Campaign, int] = Counter(
        campaign
        for ids in clusters.values()
        for campaign in {seen.incidents[each].campaign for each in ids} - {None}
    )
    for campaign in sorted(homes, key=lambda each: each.number):
        if homes[campaign] > 1:
            yield _line("campaign", f"Campaign {campaign.number} would be parted.")
    for ids in clusters.values():
        campaigns = {seen.incidents[each].campaign for each in ids}
        known = sorted(each.number for each in campaigns if each is not None)
        free = [each for each in ids if seen.incidents[each].campaign_id is None]
        if len(known) > 1:
            said = say_all([str(number) for number in known])
            yield _line("campaign", f"Campaigns {said} would be one.")
        elif len(ids) > 1 and not known:
            yield _line("campaign", f"{_numbers(seen, ids)} would be a campaign.")
        elif known and len(ids) == 1:
            yield _line("campaign", f"{_numbers(seen, ids)} would leave campaign {known[0]}.")
        elif known and free:
            yield _line("campaign", f"{_numbers(seen, free)} would join campaign {known[0]}.")


def _line(kind: str, text: str) -> Line:
    return {"kind": kind, "text": text}


def _numbers(seen: Look, ids: Iterable[UUID]) -> str:
    return say_all([f"#{seen.incidents[each].number}" for each in _by_number(seen, ids)])


def _by_number(seen: Look, ids: Iterable[UUID]) -> list[UUID]:
    return sorted(ids, key=lambda each: seen.incidents[each].number)


@transaction.atomic
def ask_recomputation(*, tenant: Tenant, actor: Person) -> Recomputation:
    """Have it reckoned anew what a pass would change; an open question is asked again."""
    Recomputation.objects.filter(tenant=tenant, decided_at=None).update(shown_at=None)
    found = Recomputation.objects.filter(tenant=tenant, decided_at=None).first()
    found = found or _new(tenant, actor)
    _audit(found, ASKED, actor)
    want_work(tenant.id, QUEUE)
    return found


@transaction.atomic
def decide_recomputation(
    *, asked: Recomputation, actor: Person, is_accepted: bool, reason: str
) -> None:
    """Accepted, a pass makes incidents and campaigns what these rules say; refused, all stays.

    Raises ``WrongInput`` without a reason, ``Conflict`` where it is not reckoned or was decided.
    """
    if len(reason.strip()) < SHORTEST_REASON:
        raise WrongInput("Say in a few words why.")
    open_rows = Recomputation.objects.filter(id=asked.id, decided_at=None)
    done = open_rows.exclude(shown_at=None).update(
        is_accepted=is_accepted,
        decided_at=timezone.now(),
        decided_by=actor.name,
        decided_by_id=actor.id,
        reason=reason.strip(),
    )
    if not done:
        raise Conflict("This was decided already, or is reckoned anew: look at it again.")
    asked.reason = reason.strip()
    _audit(asked, ACCEPTED if is_accepted else REFUSED, actor)
    want_work(asked.tenant_id, QUEUE)


def _new(tenant: Tenant, who: Person | Actor) -> Recomputation:
    return Recomputation.objects.create(
        tenant=tenant,
        version=VERSION,
        asked_by=who.name,
        asked_by_id=who.id,
        asked_at=timezone.now(),
    )


def _audit(asked: Recomputation, action: str, actor: Person) -> None:
    detail: dict[str, Any] = {"version": asked.version, "counts": asked.counts}
    write_audit(
        action,
        actor=actor,
        provider_id=actor.provider_id,
        tenant_id=asked.tenant_id,
        object_kind="recomputation",
        object_id=asked.id,
        reason=asked.reason,
        **detail,
    )
