"""What each layer saw of the copies; equal words about several become one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n

from incidents.mail.signals.domains import Likeness
from incidents.models import Delivery, Message, Observation
from incidents.models.mail import Layer, Match, Outcome, Place, Verdict
from incidents.story.lines import Line, Names, Tone, all_inboxes, number, place_words
from incidents.story.reading import is_told_by_answer
from incidents.story.sender import Client, proofs
from incidents.words import GRAVE, LET_THROUGH, VERDICT_WORDS_WITHIN, Direction, Mark
from tenants.scope import Role, current_scope

_GATEWAY_DID = {
    Outcome.DELIVERED: _n("Let it through."),
    Outcome.PASSED: _n("Let it through."),
    Outcome.HELD: _n("Held it."),
    Outcome.REJECTED: _n("Refused it."),
    Outcome.DEFERRED: _n("Put it off."),
    Outcome.UNKNOWN: _n("Began to pass it on; the answer is not on record."),
}
# What the queue or the next hop said of it later, without a judgement of its own.
_FOLLOWED_UP = {
    Outcome.DELIVERED: _n("The mail host took it."),
    Outcome.DEFERRED: _n("It waits in the gateway's queue."),
    Outcome.REJECTED: _n("The mail host refused it."),
}
_MATCHED = {
    Match.STRONG: "The same mail, proven by the gateway's trace.",
    Match.PENDING: "It carries a trace that the gateway has not confirmed yet.",
}


@dataclass(frozen=True, slots=True)
class _Saying:
    """Words about one copy.  ``lead`` may hold ``{where}`` and ``{who}``, filled when it is known
    of how many copies they are true.  ``key`` keeps apart what is not one event.
    """

    lane: str
    lead: str
    text: str
    place: str
    key: Any
    tone: Tone = Tone.NONE
    mark: Mark = Mark.OBSERVED


def layer_lines(
    messages: Sequence[Message],
    copies: Sequence[Delivery],
    seen: dict[Any, list[Observation]],
    names: Names,
    client: Client,
) -> Iterator[Line]:
    by_id = {message.id: message for message in messages}
    grouped: dict[_Saying, list[tuple[Observation, Delivery]]] = {}
    for copy in copies:
        message = by_id[copy.message_id]
        for saying, one in _of_copy(copy, message, seen.get(copy.id, ()), client):
            grouped.setdefault(saying, []).append((one, copy))
    for saying, pairs in grouped.items():
        yield _line(saying, pairs, names)


def _line(saying: _Saying, pairs: Sequence[tuple[Observation, Delivery]], names: Names) -> Line:
    first = min((one for one, _ in pairs), key=lambda one: one.observed_at)
    recipients = tuple(dict.fromkeys(copy.recipient for _, copy in pairs))
    n = len(recipients)
    is_many = saying.key == Direction.OUTBOUND and len(pairs) > 1
    many = f"{number(len(pairs))} copies. " if is_many else ""
    names_them = "{who}" in saying.lead
    where = place_words(saying.place, n) if saying.place else ""
    lead = saying.lead.format(where=where, who=names.join(recipients), all=_all(saying.place, n))
    return Line(
        at=first.observed_at,
        lane=saying.lane,
        lead=lead,
        text=f"{many}{saying.text}",
        source=f"observation:{first.id}",
        recipients=recipients,
        names_them=names_them or names.are_all(recipients),
        tone=saying.tone,
        mark=saying.mark,
    )


def _all(place: str, n: int) -> str:
    """``both inboxes``: where copies were that are gone."""
    return all_inboxes(n) if place == Place.INBOX else place_words(place or Place.OTHER, n)


def _of_copy(
    copy: Delivery, message: Message, seen: Sequence[Observation], client: Client
) -> Iterator[tuple[_Saying, Observation]]:
    like = client.likeness_of(message.sender_domain)
    place, was_read, was_held, was_passed = "", False, False, False
    for one in seen:
        if one.layer == Layer.GATEWAY:
            if was_passed and one.action == Outcome.DELIVERED:
                continue  # as it was to be expected
            if was_held and one.action in LET_THROUGH:
                lead, text = _("Delivered it after all."), "Somebody had released it."
            else:
                lead, text = _gateway_words(one, message, like, client)
            was_held = one.action == Outcome.HELD
            was_passed = one.action == Outcome.PASSED
            yield _Saying("gateway", lead, text, "", _event(copy)), one
            continue
        if one.layer == Layer.PERSON:
            yield _Saying("person", *_report_words(one), "", one.source), one
            continue
        if one.place:
            said = _place_words(one, copy, place)
            if said:
                yield said, one
            place = one.place
        if one.is_read and not was_read:
            was_read = True
            if not is_told_by_answer(copy, seen):
                text = _READ if copy.clicked_at is None else _READ_MARK
                yield _Saying("person", _("{who} read it."), text, "", copy.message_id), one
        if one.verdict is not None:
            yield from _judged(one, copy)
            if one.layer == Layer.MAILBOX and (one.detail.get("decided") or {}).get("rule_id"):
                text = f"{_rule_words(one)} It is for both layers."
                yield _Saying("mailbox", _("Let it be."), text, "", copy.message_id), one


def _event(copy: Delivery) -> Any:
    """Mails that a client sent are told together where the gateway did the same with them."""
    return Direction.OUTBOUND if copy.direction == Direction.OUTBOUND else copy.message_id


_READ_MARK = "Seen by the read mark."
_READ = "Seen by the read mark; whether a link was opened is not known."


def _judged(one: Observation, copy: Delivery) -> Iterator[tuple[_Saying, Observation]]:
    if copy.is_bypass and one.layer == Layer.MAILBOX:
        text = copy.match_reason
        yield _Saying("gateway", _("Never saw it."), text, "", copy.message_id), one
    is_said = one.confidence is not None and current_scope().role is not Role.PORTAL
    sure = f" ({one.confidence:.2f})" if is_said else ""
    said = {"what": _(VERDICT_WORDS_WITHIN[one.verdict or ""]), "sure": sure}
    if one.layer == Layer.VENDOR:
        lead = _("The mail host judged it %(what)s%(sure)s:") % said
    else:
        lead = _("Judged %(what)s%(sure)s:") % said
    reasons = _reasons(one)
    if not reasons:
        lead = lead.rstrip(": \u00a0\u202f") + "."
    tone = Tone.ALARM if one.verdict in GRAVE else Tone.NONE
    key = (copy.message_id, one.layer)
    yield _Saying("mailbox", lead, reasons, "", key, tone, Mark.ASSESSED), one


def _place_words(one: Observation, copy: Delivery, before: str) -> _Saying | None:
    minute = one.observed_at.replace(second=0, microsecond=0)
    place = str(one.place)
    is_check = one.source == "check"
    if not before:
        # What came around the gateway is told on the gateway's own line.
        text = "" if copy.is_bypass else _MATCHED.get(Match(copy.match), copy.match_reason)
        return _Saying("mailbox", _("Arrived in {where} of {who}."), text, place, copy.message_id)
    if place == before:
        if not is_check or one.detail.get("look"):
            return None  # the look tells of itself (incidents/story/people.py)
        if place == Place.QUARANTINE:
            lead = _("Checked again: still gone.")
            return _Saying("mailbox", lead, "", "", minute, Tone.GOOD)
        lead = _("Looked at again: still in {where} of {who}.")
        return _Saying("mailbox", lead, "", place, minute)
    if place == Place.QUARANTINE:
        lead, text = _("Read back: gone from {all}."), "In Bailey's quarantine."
        return _Saying("mailbox", lead, text, before, minute, Tone.GOOD)
    if place == Place.GONE:
        return _Saying("mailbox", _("No longer in the mailbox of {who}."), "", place, minute)
    lead = _("Read back: in {where} of {who}.") if is_check else _("Now in {where} of {who}.")
    return _Saying("mailbox", lead, "", place, minute)


def _report_words(one: Observation) -> tuple[str, str]:
    """Who said what of it: somebody of the provider, else the recipient herself."""
    who = str(one.detail.get("person") or "").replace("{", "").replace("}", "")
    code = VERDICT_WORDS_WITHIN.get(one.verdict or "", "")
    said = _reasons(one)
    if who:
        what = _(code or VERDICT_WORDS_WITHIN["clean"])
        lead = _("%(by)s judged it %(what)s.") % {"by": who, "what": what}
        return lead, said.partition(": ")[2] or said
    if code:
        return _("{who} reported it as %(what)s.") % {"what": _(code)}, said
    return _("{who} reported it."), said


def _gateway_words(
    one: Observation, message: Message, like: Likeness | None, client: Client
) -> tuple[str, str]:
    if not one.mail and one.verdict is None and one.action in _FOLLOWED_UP:
        reply = str(one.detail.get("next_hop_reply") or "")
        return _(_FOLLOWED_UP[Outcome(one.action)]), f"It said: “{reply}”." if reply else ""
    did = _(_GATEWAY_DID[Outcome(one.action or Outcome.UNKNOWN)])
    is_threat = bool(one.verdict) and Verdict(str(one.verdict)) not in (
        Verdict.CLEAN,
        Verdict.GRAYMAIL,
    )
    parts = []
    if one.verdict is None:
        missing = "; ".join(one.detail.get("missing_why") or one.detail.get("missing") or ())
        parts.append(f"An engine gave no answer{f' ({missing})' if missing else ''}.")
    else:
        if one.score is not None:
            limit = one.score_limit
            acts = f"; {client.name} acts from {limit:g}" if limit is not None else ""
            parts.append(f"Score {one.score:.1f}{acts}.")
        if is_threat or one.score is None:
            parts.append(f"Judged {VERDICT_WORDS_WITHIN[one.verdict]}.")
    if one.action in LET_THROUGH:
        parts.append(proofs(message.facts, like))
    parts.append(_rule_words(one))
    if is_threat:
        parts.append(_reasons(one))
    return did, " ".join(filter(None, parts))


def _rule_words(one: Observation) -> str:
    """Which entry decided and whose it was; for a delivery also that there was none."""
    decided = one.detail.get("decided") or {}
    if decided.get("rule_id"):
        kind = "allow" if decided.get("by") == "allow" else "block"
        whom = f" (for {decided['recipient']} only)" if decided.get("recipient") else ""
        owner = f", set by {decided['owner']}" if decided.get("owner") else ""
        why = f": “{decided['reason']}”" if decided.get("reason") else ""
        return f"The {kind} entry for {decided.get('value', '')}{whom} decided{owner}{why}."
    rule = one.rule
    if one.action in LET_THROUGH and not rule.startswith(("allow", "block")):
        return "No allow entry was involved."
    return f"{rule[:1].upper()}{rule[1:]}." if rule else ""


def _reasons(one: Observation) -> str:
    weighty = sorted(one.reasons, key=lambda reason: -abs(reason.get("weight") or 0))
    return " ".join(reason["text"] for reason in weighty[:3])
