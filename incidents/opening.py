"""When an incident opens, what joins it, and keeping it true to the facts.

An incident opens when a person must decide, or copies are or were exposed (docs/architecture.md);
mail that a layer settled alone stays a countable fact.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.utils import timezone

from incidents import prevalence
from incidents.allowed import let_be, without_allowed
from incidents.announce import announce_incident
from incidents.assessment import (
    EXPOSED,
    IN_MAILBOX,
    RANK,
    Assessment,
    assess,
    copies_within_reach,
    kind_part,
    newest_of,
    queue_rank,
    severity_of,
)
from incidents.campaigns.evidence import Mail
from incidents.campaigns.joining import follow_campaigns
from incidents.campaigns.ledger import write_links
from incidents.campaigns.moving import next_number
from incidents.campaigns.nights import next_night
from incidents.campaigns.store import mails_of, rarity_of, remember_traits
from incidents.campaigns.words import say_joined
from incidents.codes import COUNTS, CROSS_LAYER
from incidents.disagreements import follow_incident, follow_mails, settle_all
from incidents.grouping import (
    become_one,
    find_incidents,
    remember_keys,
)
from incidents.holding import take_turn
from incidents.late_copies import follow_orders
from incidents.ledger import note_incident
from incidents.models import (
    AccountSign,
    Delivery,
    Edge,
    GroupKey,
    Incident,
    IncidentMessage,
    Message,
)
from incidents.models.mail import Outcome, Place
from incidents.modes import QUEUE
from incidents.proposals import follow_condemned
from incidents.services.acts import done
from incidents.services.quiet import follow_quiet
from incidents.services.states import REOPENED
from incidents.services.waiting import note_resolved
from incidents.signs import severity_part, signs_of, title_by_signs
from incidents.sla.reckoning import reckon
from incidents.story.clues import clues_of
from incidents.titles import KIND_WORDS, title_without_mail
from incidents.words import LET_THROUGH, THREATS, Verdict, is_threat
from tenants.audit import BAILEY, write_audit
from tenants.models import Mailbox, Tenant
from tenants.work import want_work

# So many mails a health incident takes, for each that joins has all others looked at again.
HEALTH_TAKES = 2_000
# Their kind is what they are about, whatever their mails are held to be; no content joins them.
NOT_GROUPED = (Incident.Kind.HEALTH, Incident.Kind.ACCOUNT)


def assess_messages(tenant: Tenant, message_ids: Collection[Any]) -> list[Mail]:
    """Open, join and refresh the incidents of these messages.  Must run in the client's scope.

    Answers which of them were placed into incidents of threats.
    """
    if not message_ids:
        return []
    messages = list(
        Message.objects.filter(id__in=message_ids)
        .order_by("first_seen_at", "id")
        .prefetch_related("deliveries")
    )
    members = {
        member.message_id: member.incident
        for member in IncidentMessage.objects.select_related("incident").filter(
            message__in=message_ids
        )
    }
    known_by_keys = set(
        GroupKey.objects.filter(message__in=message_ids).values_list("message_id", flat=True)
    )
    take_turn(tenant.id)
    allowed = let_be([copy for message in messages for copy in message.deliveries.all()])
    touched: set[Any] = set()
    to_place: list[Message] = []
    for message in messages:
        threat = must_open([copy for copy in message.deliveries.all() if copy.id not in allowed])
        known = members.get(message.id)
        if threat and (known is None or _leave_health(message, known, touched)):
            to_place.append(message)
        elif known is not None:
            touched.add(known.id)
            if known.kind == Incident.Kind.HEALTH and not _came_around(message):
                # The gateway's account came late: it had passed this mail after all.
                IncidentMessage.objects.filter(message=message).delete()
            is_grouped = known.kind not in NOT_GROUPED
            if is_grouped and message.fingerprint and message.id not in known_by_keys:
                to_place.append(message)  # its facts came only now
        elif _came_around(message):
            touched.add(_note_bypass(tenant, message).id)
    mails = mails_of(to_place)
    placed = place_messages(tenant, to_place, mails)
    for incident in Incident.objects.filter(id__in=touched | placed, merged_into=None).order_by(
        "id"
    ):
        refresh_incident(incident)
    follow_mails(tenant, message_ids)
    follow_campaigns(tenant, mails)
    return mails


def _came_around(message: Message) -> bool:
    return any(copy.is_bypass for copy in message.deliveries.all())


def _leave_health(message: Message, known: Incident, touched: set[Any]) -> bool:
    """First only a bypass, now a threat: it gets an incident of its own."""
    if known.kind != Incident.Kind.HEALTH:
        return False
    if IncidentMessage.objects.filter(incident=known).count() == 1:
        Incident.objects.filter(id=known.id).update(kind=Incident.Kind.SUSPICIOUS)
    else:
        IncidentMessage.objects.filter(message=message).delete()
    touched.add(known.id)
    return True


def place_messages(tenant: Tenant, messages: Sequence[Message], mails: Sequence[Mail]) -> set[Any]:
    """Give each threat its incident; answers the ids of the incidents that changed.

    ``mails``: the same messages, to compare.

    Where it shows that two incidents are one, they become one, unless people treat them as two.
    """
    changed: set[Any] = set()
    rarity = rarity_of(tenant.id, mails)
    for message, mail in zip(messages, mails, strict=True):
        found = find_incidents(message, mail, rarity)
        member = IncidentMessage.objects.select_related("incident").filter(message=message).first()
        incident = member.incident if member is not None else None
        for each in found:
            if incident is None:
                incident = each.incident
                add_message(incident, message, say_joined(each.link))
            elif incident.id == each.incident.id:
                continue
            else:
                joined = become_one(incident, each.incident, "One mail belongs to both.")
                if joined is None:
                    continue
                incident = joined
            write_links(tenant.id, Edge.Level.GROUP, [each.link], prevalence.total_messages())
            changed.add(incident.id)
        if incident is None:
            incident = open_incident(
                tenant, message, Incident.Kind.SUSPICIOUS, "The incident opened with this mail."
            )
        remember_keys(incident, message, mail)
        changed.add(incident.id)
    remember_traits(tenant.id, mails)
    if messages:
        want_work(tenant.id, "regroup", at=next_night(timezone.now()))
    return changed


def _note_bypass(tenant: Tenant, message: Message) -> Incident:
    """One finding, one open incident, until a person decides (docs/decisions/0013)."""
    reason = "It reached a mailbox without passing the gateway."
    incident = open_bypass(tenant)
    if incident is None or incident.memberships.count() >= HEALTH_TAKES:
        return open_incident(tenant, message, Incident.Kind.HEALTH, reason)
    add_message(incident, message, reason)
    return incident


def open_bypass(tenant: Tenant) -> Incident | None:
    """The client's open incident of mail around the gateway, None where there is none."""
    health = Incident.objects.filter(
        tenant=tenant, kind=Incident.Kind.HEALTH, finding="", merged_into=None
    ).exclude(state=Incident.State.RESOLVED)
    return health.order_by("-number").first()


_WORSE_THAN_SPAM = frozenset(THREATS) - {Verdict.SPAM}


def must_open(copies: Sequence[Delivery]) -> bool:
    """Does a person have to decide, or is or was a copy of a threat within somebody's reach?"""
    for copy in copies:
        in_mailbox = copy.place in IN_MAILBOX or copy.was_exposed
        junked_spam = (
            copy.mailbox_verdict == Verdict.SPAM
            and copy.place == Place.JUNK
            and not copy.was_exposed
        )
        if is_threat(copy.mailbox_verdict) and in_mailbox and not junked_spam:
            return True
        delivered = copy.outcome in (*LET_THROUGH, Outcome.UNKNOWN)
        if delivered and copy.gateway_verdict in _WORSE_THAN_SPAM:
            return True
        if delivered and copy.person_verdict in _WORSE_THAN_SPAM:
            return True
    outcomes = {copy.outcome for copy in copies if copy.gateway_at}
    threatening = any(is_threat(copy.gateway_verdict) for copy in copies)
    return threatening and Outcome.HELD in outcomes and bool(outcomes & {*LET_THROUGH})


def open_incident(tenant: Tenant, message: Message, kind: str, reason: str) -> Incident:
    incident = Incident.objects.create(
        tenant=tenant,
        number=next_number(tenant.id),
        title=KIND_WORDS[kind],
        subject=" ".join(message.subject.split())[:300],
        kind=kind,
        severity=Incident.Severity.LOW,
        first_seen_at=message.first_seen_at,
        last_seen_at=message.last_seen_at,
    )
    add_message(incident, message, reason)
    write_audit(
        "incidents.incident.opened",
        actor=BAILEY,
        provider_id=tenant.provider_id,
        tenant_id=tenant.id,
        object_kind="incident",
        object_id=incident.id,
    )
    return incident


def add_message(incident: Incident, message: Message, reason: str) -> None:
    IncidentMessage.objects.create(
        tenant_id=incident.tenant_id, incident=incident, message=message, reason=reason
    )


def refresh_incident(incident: Incident) -> None:
    """Recompute everything that follows from the facts, and tell whoever looks at it."""
    # Locked and read anew: people act on it at the same time.
    incident.refresh_from_db(from_queryset=Incident.objects.select_for_update())
    if incident.finding:
        return  # no mail is in it (incidents/findings.py)
    # What the mails said of themselves is large, and was put to use when they were placed.
    messages = list(Message.objects.filter(memberships__incident=incident).defer("facts"))
    signs = signs_of(incident) if incident.kind == Incident.Kind.ACCOUNT else []
    if signs and not messages:
        _follow_signs(incident, signs)
        return
    if not messages:
        settle_all(incident)
        _close_empty(incident)
        return
    copies = list(Delivery.objects.filter(message__in=messages))
    vips = frozenset(Mailbox.objects.filter(is_vip=True).values_list("address", flat=True))
    was_exposed, was_grave = incident.counts.get("in_inbox", 0), incident.severity_rank
    clues = clues_of(newest_of(messages), copies)
    found = assess(
        messages,
        copies,
        vip_addresses=vips,
        kept_kind=incident.kind if incident.kind in NOT_GROUPED else "",
        clues=clues,
    )
    _set_facts(incident, found, messages, signs)
    was_open, resolved_at = incident.is_open, incident.resolved_at
    to_mind = without_allowed(copies)
    _follow_exposure(incident, was_exposed, was_grave, to_mind)
    marks = follow_incident(incident, messages, to_mind)
    old = {"found_by_looking_back"} if clues.is_old else set()
    codes = {*found.cross_layer, *marks, *old}
    incident.cross_layer = [code for code in CROSS_LAYER if code in codes]
    follow_orders(incident, to_mind)
    follow_condemned(incident, to_mind)
    follow_quiet(incident)
    was_opened = incident.is_open and not was_open
    if was_opened and resolved_at is not None:
        note_resolved(incident, resolved_at)
    reckon(incident)
    incident.save()
    if was_opened:
        want_work(incident.tenant_id, QUEUE)
        note_incident(incident)
        done(incident, REOPENED, BAILEY, "More of it came into an inbox.")
    announce_incident(incident.tenant_id, incident.id)


def _set_facts(
    incident: Incident,
    found: Assessment,
    messages: Sequence[Message],
    signs: Sequence[AccountSign],
) -> None:
    """What follows from its mails, and from the signs of its account, if it is about one."""
    for name in (
        *("kind", "severity", "severity_parts", "cross_layer", "counts"),
        *("title", "subject", "sender"),
    ):
        if name != "sender" or incident.kind != Incident.Kind.ACCOUNT:
            setattr(incident, name, getattr(found, name))
    if part := severity_part(signs):
        incident.severity_parts = [*found.severity_parts, part]
        incident.severity = severity_of(incident.severity_parts)
    incident.gateway_verdict = found.gateway_verdict
    incident.mailbox_verdict = found.mailbox_verdict
    incident.severity_rank = RANK[Incident.Severity(incident.severity)]
    incident.queue_rank = found.queue_rank
    seen = [(each.first_seen_at, each.last_seen_at) for each in messages]
    seen += [(sign.at, sign.at) for sign in signs]
    incident.first_seen_at = min(first for first, _ in seen)
    incident.last_seen_at = max(last for _, last in seen)


def _follow_signs(incident: Incident, signs: Sequence[AccountSign]) -> None:
    """An account's incident that no mail belongs to: it stands on its signs alone."""
    part = severity_part(signs)
    incident.severity_parts = [kind_part(incident.kind), *([part] if part else [])]
    incident.severity = severity_of(incident.severity_parts)
    incident.severity_rank = RANK[Incident.Severity(incident.severity)]
    incident.title, incident.subject = title_by_signs(signs), ""
    incident.counts = dict.fromkeys(COUNTS, 0)
    incident.cross_layer = []
    incident.queue_rank = queue_rank(incident.kind, incident.counts, ())
    incident.first_seen_at = min(sign.at for sign in signs)
    incident.last_seen_at = max(sign.at for sign in signs)
    follow_quiet(incident)
    reckon(incident)
    incident.save()
    announce_incident(incident.tenant_id, incident.id)


def _close_empty(incident: Incident) -> None:
    """Its mail went elsewhere; its number was given out and its history stays."""
    if incident.is_merged:
        return
    incident.state, incident.resolved_at = Incident.State.RESOLVED, timezone.now()
    incident.cause = incident.cause or "Its mail went to another incident."
    incident.counts = dict.fromkeys(COUNTS, 0)
    incident.title = title_without_mail(incident.kind)
    incident.due_at, incident.due_for = None, ""
    incident.quiet, incident.quiet_until = "", None
    incident.waiting_since, incident.waiting_for = None, ""
    incident.campaign = None
    incident.save(
        update_fields=[
            *("title", "state", "resolved_at", "cause", "counts", "due_at", "due_for", "quiet"),
            *("quiet_until", "waiting_since", "waiting_for", "campaign"),
        ]
    )


def _follow_exposure(
    incident: Incident, was_exposed: int, was_grave: int, to_mind: Sequence[Delivery]
) -> None:
    """A new copy in an inbox reopens what was closed as a threat, and what was closed as harmless
    where it makes it graver; nothing within reach contains the rest.

    ``to_mind``: its copies but for those that an exception lets be.
    """
    reach = len(copies_within_reach(to_mind))
    if incident.state == Incident.State.RESOLVED:
        confirmed = incident.classification == Incident.Classification.TRUE_POSITIVE
        speaks_against = confirmed or incident.severity_rank > was_grave
        if speaks_against and sum(copy.place in EXPOSED for copy in to_mind) > was_exposed:
            # Nobody's, it needs somebody: triaged, it would stand in nobody's queue.
            is_owned = incident.owner_id is not None
            incident.state = Incident.State.TRIAGED if is_owned else Incident.State.NEW
            incident.resolved_at = None
    elif not reach and incident.counts["removed"]:
        incident.state = Incident.State.CONTAINED
    elif incident.state == Incident.State.CONTAINED and reach:
        # What Bailey alone had contained needs a person now.
        seen = incident.triaged_at is not None
        incident.state = Incident.State.TRIAGED if seen else Incident.State.NEW
