"""What people did, and Bailey for them: jobs, rules, answers, openings of mail, the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Min, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n

from incidents.campaigns.moving import lineage
from incidents.models import (
    Attachment,
    CallNote,
    ContentAccess,
    Delivery,
    Incident,
    Intent,
    Job,
    Message,
    Observation,
    ReleaseLook,
)
from incidents.story.lines import Line, Names, Tone, all_copies, number, some_copies
from incidents.story.reading import read_and_did
from incidents.story.sender import Client
from tenants.models import AuditEntry
from tenants.scope import Role, current_scope

MOST = 100
_ASKED = {
    Incident.Kind.BEC: "Whether money was sent is not known.",
    Incident.Kind.PHISH: "Whether a password was given is not known.",
    Incident.Kind.ACCOUNT: "Whether a password was given is not known.",
    Incident.Kind.MALWARE: "Whether the file was opened is not known.",
}
_JOBS = {
    Job.Kind.PULL: (
        _n("%(by)s pulled %(copies)s."),
        _n("%(by)s is pulling %(copies)s."),
        _n("%(by)s tried to pull %(copies)s."),
        "Reversible.",
    ),
    Job.Kind.RESTORE: (
        _n("%(by)s restored %(copies)s."),
        _n("%(by)s is restoring %(copies)s."),
        _n("%(by)s tried to restore %(copies)s."),
        "",
    ),
    Job.Kind.RELEASE: (
        _n("%(by)s released %(copies)s."),
        _n("%(by)s is releasing %(copies)s."),
        _n("%(by)s tried to release %(copies)s."),
        "",
    ),
}
_AUDIT = {
    "incidents.incident.opened": "opened this incident.",
    "incidents.incident.assigned": "took it.",
    "incidents.incident.state_changed": "marked it as {after}.",
    "incidents.incident.resolved": "resolved it.",
    "incidents.incident.reopened": "reopened it.",
    "incidents.incident.shared": "shared it with the client.",
    "incidents.incident.unshared": "withdrew it from the client.",
    "incidents.incident.ticket_changed": "entered ticket {after}.",
    "incidents.incident.waiting": "stopped the clocks.",
    "incidents.incident.answered": "let the clocks run again.",
    "incidents.incident.quieted": "put it aside.",
    "incidents.incident.woken": "brought it back.",
    "incidents.incident.merged": "made it one with #{other}.",
    "incidents.incident.split": "split some mail off into #{other}.",
    "incidents.incident.mail_moved": "moved some mail to #{other}.",
    "incidents.herd.noted": "would have pulled {copies} (dry run of the herd rule).",
    "incidents.herd.left": "left it to a person, although the herd rule was met.",
    "incidents.incident.regrouping_undone": "took back the regrouping with #{other}.",
}


_OPENED = {
    ContentAccess.What.TEXT: _n("%(who)s opened the text of the mail."),
    ContentAccess.What.HTML: _n("%(who)s opened the HTML view."),
    ContentAccess.What.PICTURE: _n("%(who)s opened the picture."),
    ContentAccess.What.ATTACHMENT: _n("%(who)s opened the attachment."),
    ContentAccess.What.ORIGINAL: _n("%(who)s opened the original mail."),
}


def reply_lines(
    incident: Incident,
    copies: Sequence[Delivery],
    seen: Mapping[Any, Sequence[Observation]],
    names: Names,
) -> Iterator[Line]:
    """Who opened a link of it and who answered it; who passed it on: ``chain.py``."""
    asked = _ASKED.get(Incident.Kind(incident.kind), "Seen in the sent items.")
    for copy in copies:
        if copy.clicked_at is not None:
            yield Line(
                at=copy.clicked_at,
                lane="person",
                lead=_("%(who)s opened a link in it.") % {"who": names.of(copy.recipient)},
                text="The mail host saw it when the link was opened.",
                source=f"observation:{copy.clicked_by}",
                recipients=(copy.recipient,),
                names_them=True,
                tone=Tone.ALARM,
            )
        if copy.replied_at is not None:
            is_first = read_and_did(copy, seen.get(copy.id, ()), copy.replied_at)
            did = _("%(who)s read it and replied.") if is_first else _("%(who)s replied.")
            yield Line(
                at=copy.replied_at,
                lane="person",
                lead=did % {"who": names.of(copy.recipient)},
                text=asked,
                source=f"observation:{copy.replied_by}",
                recipients=(copy.recipient,),
                names_them=True,
            )


def look_lines(copies: Sequence[Delivery], names: Names) -> Iterator[Line]:
    """Whether released copies are still where they were put.  None in the portal, which does not
    read the provider's own steps.
    """
    if current_scope().role is Role.PORTAL:
        return
    looks = ReleaseLook.objects.filter(delivery__in=copies, looked_at__isnull=False)
    for look in looks.select_related("delivery", "intent").order_by("looked_at")[:MOST]:
        assert look.looked_at is not None
        whom = look.delivery.recipient
        proof = f" Delivered: {look.get_proof_display().lower()}." if look.proof else ""
        what = "putting it back" if look.intent.action == "restore" else "the release"
        after = f"Looked at after {what} by {look.released_by}:"
        found = look.get_outcome_display()
        yield Line(
            at=look.looked_at,
            lane="mailbox",
            lead=f"{after} {found[:1].lower()}{found[1:]}.",
            text=f"{look.words}{proof}",
            source=f"look:{look.id}",
            recipients=(whom,),
            names_them=True,
        )


def job_lines(incident: Incident, copies: Sequence[Delivery]) -> Iterator[Line]:
    """Jobs on the incident, and those on one of its copies alone: a release of held mail."""
    of_copies = Intent.objects.filter(delivery__in=copies, job__incident=None)
    jobs = Job.objects.filter(Q(incident=incident) | Q(id__in=of_copies.values("job_id")))
    looked_at_next = _next_looks(copies)
    for job in jobs.order_by("created_at")[:MOST]:
        words = _JOBS.get(Job.Kind(job.kind))
        if words is None:
            continue
        done, doing, tried, note = words
        did = tried if job.state == Job.State.FAILED else done if job.is_over else doing
        n, over = job.counts.get("copies", 0), sum(job.counts.get(s, 0) for s in Intent.OVER)
        which = all_copies(n) if n == len(copies) else some_copies(n)
        failed = job.counts.get(Intent.State.FAILED, 0)
        texts = [note]
        if not job.is_over and n:
            texts.append(f"{number(over) if over else 'None'} of {n} done so far.")
        if who := job.detail.get("stopped_by"):
            left = f" {number(failed)} not done." if failed else ""
            texts.append(f"{who} stopped it.{left}")
        elif failed:
            texts.append(f"{number(failed)} failed.")
        why = f"Reason: {job.reason.rstrip('.')}." if job.reason else ""
        at = looked_at_next.get(job.id)
        look = f"Next look at {at:%H:%M} UTC." if at else ""
        yield Line(
            at=job.created_at,
            lane="action",
            lead=_(did) % {"by": job.requested_by, "copies": which},
            text=" ".join(filter(None, (*texts, why, look))),
            source=f"job:{job.id}",
            names_them=True,
            text_for_client=" ".join(filter(None, (*texts, look))),
        )


def _next_looks(copies: Sequence[Delivery]) -> dict[UUID, datetime]:
    """Pull → when its copies are looked at again, whether they are still gone."""
    due = Intent.objects.filter(delivery__in=copies, action="pull", state=Intent.State.VERIFIED)
    due = due.exclude(checks_left=[]).order_by()
    return dict(due.values("job_id").annotate(at=Min("due_at")).values_list("job_id", "at"))


def rule_lines(incident: Incident, client: Client) -> Iterator[Line]:
    """Entries that were written for this incident.  The gateway keeps them, in its own room."""
    if current_scope().role is Role.PORTAL:
        return
    for rule in incident.gateway_rules.order_by("created_at")[:MOST]:
        is_block = rule.kind == "block"
        does = "Holds all mail" if is_block else "Lets mail through"
        until = f" until {rule.expires_at:%-d %B}" if rule.expires_at else ""
        whom = rule.recipient or client.name
        at = "of the host" if rule.match == "client_ip" else "from"
        yield Line(
            at=rule.created_at,
            lane="gateway",
            lead=f"{does} {at} {rule.value} for {whom}{until}.",
            text=f"Added by {rule.owner_name}.",
            source=f"rule:{rule.id}",
            names_them=True,
        )
        if rule.removed_at is not None:
            yield Line(
                at=rule.removed_at,
                lane="gateway",
                lead=f"The entry for {rule.value} ended.",
                text="",
                source=f"rule:{rule.id}",
                names_them=True,
            )


def audit_lines(incident: Incident) -> Iterator[Line]:
    """What the provider's people do among themselves is hidden from the client by the database."""
    if current_scope().role is Role.PORTAL:
        return
    entries = AuditEntry.objects.filter(
        tenant_id=incident.tenant_id,
        object_id__in=[str(each) for each in lineage(incident)],
        action__in=list(_AUDIT),
    )
    for entry in entries.order_by("at")[:MOST]:
        yield Line(
            at=entry.at,
            lane="action",
            lead=f"{entry.actor_name} {_did(entry)}",
            text="" if entry.reason == incident.title else entry.reason,
            source=f"audit:{entry.id}",
        )


def _did(entry: AuditEntry) -> str:
    detail = entry.detail
    before, after = detail.get("before", ""), detail.get("after", "")
    if entry.action == "incidents.incident.assigned" and after != entry.actor_name:
        if after:
            return f"gave it to {after}."
        is_own = before in ("", entry.actor_name)
        return "handed it back." if is_own else f"took it from {before}."
    if entry.action == "incidents.incident.ticket_changed" and before:
        return _of_ticket(before, after, detail.get("link", ""))
    if left := detail.get("left_to_a_person"):
        return f"left {_copies(left)} to a person: more than it may pull by itself."
    copies = _copies(detail.get("would_have_pulled", 0))
    return _AUDIT[entry.action].format(other=detail.get("other", ""), after=after, copies=copies)


def _of_ticket(before: str, after: str, link: str) -> str:
    if not after:
        return f"took ticket {before} off it."
    if after != before:
        return f"changed ticket {before} to {after}."
    did = "changed the link of ticket {}." if link else "took the link of ticket {} off it."
    return did.format(after)


def _copies(n: int) -> str:
    return f"{n} copy" if n == 1 else f"{n} copies"


def call_lines(incident: Incident) -> Iterator[Line]:
    """Phone calls, which the provider's people note for themselves."""
    if current_scope().role is Role.PORTAL:
        return
    whole = lineage(incident)
    calls = CallNote.objects.filter(tenant=incident.tenant_id, incident__in=whole)
    for call in calls.order_by("called_at")[:MOST]:
        yield Line(
            at=call.called_at,
            lane="person",
            lead=f"{call.author_name} phoned {call.whom}:",
            text=f"{call.said} (stated by phone, not verified)",
            source=f"call:{call.id}",
        )


def attachment_lines(incident: Incident) -> Iterator[Line]:
    """Files of comments; the portal reads those that it was shown, by the database's policy."""
    files = Attachment.objects.filter(
        tenant=incident.tenant_id, comment__incident__in=lineage(incident)
    ).select_related("comment")
    for file in files.order_by("created_at", "id")[:MOST]:
        is_internal = file.comment.is_internal
        source = f"internal-attachment:{file.id}" if is_internal else f"attachment:{file.id}"
        yield Line(
            at=file.created_at,
            lane="person",
            lead=_("%(who)s added a file:") % {"who": file.comment.author_name},
            text=f"{file.name} ({file.kind}, {'internal' if is_internal else 'for the client'})",
            source=source,
        )


def access_lines(messages: Iterable[Message]) -> Iterator[Line]:
    for access in ContentAccess.objects.filter(message__in=list(messages)).order_by("at")[:MOST]:
        yield Line(
            at=access.at,
            lane="person",
            lead=_(_OPENED[ContentAccess.What(access.what)]) % {"who": access.person_name},
            text=f"Reason: {access.reason}",
            source=f"access:{access.id}",
        )
