"""What each layer saw of the copies; equal words about several become one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n

from incidents.mail.signals.domains import Likeness
from incidents.models import Delivery, Message, Observation
from incidents.models.mail import Layer, Match, Outcome, Place, Verdict
from incidents.story.lines import ABOVE, Line, Names, Tone, all_inboxes, number, place_words
from incidents.story.reading import REPORT, is_told_by_answer, read_and_did
from incidents.story.reported import reporters_words
from incidents.story.sender import Client, proofs
from incidents.words import GRAVE, LET_THROUGH, VERDICT_WORDS_WITHIN, Direction, Mark
from tenants.scope import Role, current_scope

# Of the heaviest reason's weight: what weighs less adds nothing to the sentence.
LIGHT = 0.1
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
    of how many copies they are true.  ``key`` keeps apart what is not one event.  ``reasons`` of a
    verdict follow ``text``, and ``hers``: what the client reads of it (None: all).  ``repeats``:
    the reasons, where they stand in an earlier line.
    """

    lane: str
    lead: str
    text: str
    place: str
    key: Any
    tone: Tone = Tone.NONE
    mark: Mark = Mark.OBSERVED
    reasons: str = ""
    hers: str | None = None
    repeats: str = ""


_Seen = Sequence[tuple[Observation, Delivery]]


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
    told: set[tuple[Any, str]] = set()
    for saying, pairs in sorted(grouped.items(), key=lambda each: _first(each[1]).observed_at):
        reasons = (pairs[0][1].message_id, saying.reasons)
        yield _line(_as_told(saying) if reasons in told else saying, pairs, names)
        told.add(reasons)


def _first(pairs: _Seen) -> Observation:
    return min((one for one, _ in pairs), key=lambda one: one.observed_at)


def _as_told(saying: _Saying) -> _Saying:
    """Its reasons stand in an earlier line of the same mail."""
    if not saying.reasons:
        return saying
    return replace(saying, lead=_ended(saying.lead), reasons=ABOVE, repeats=saying.reasons)


def _ended(lead: str) -> str:
    """A lead that announces nothing; French has a space before its colon."""
    return lead.rstrip(": \u00a0\u202f.") + "."


def _line(saying: _Saying, pairs: _Seen, names: Names) -> Line:
    first = _first(pairs)
    recipients = tuple(dict.fromkeys(copy.recipient for _, copy in pairs))
    n = len(recipients)
    is_many = saying.key == Direction.OUTBOUND and len(pairs) > 1
    many = f"{number(len(pairs))} copies." if is_many else ""
    names_them = "{who}" in saying.lead
    where = place_words(saying.place, n) if saying.place else ""
    hers = saying.hers
    lead = saying.lead.format(where=where, who=names.join(recipients), all=_all(saying.place, n))
    return Line(
        at=first.observed_at,
        lane=saying.lane,
        lead=lead,
        text=_joined(many, saying.text, saying.reasons),
        source=f"observation:{first.id}",
        recipients=recipients,
        names_them=names_them or names.are_all(recipients),
        tone=saying.tone,
        mark=saying.mark,
        text_for_client=None if hers is None else _joined(many, hers, saying.reasons),
        repeats=saying.repeats,
    )


def _joined(*parts: str) -> str:
    return " ".join(filter(None, parts))


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
                lead, text, why = _("Delivered it after all."), "Somebody had released it.", ""
                shown = None
            else:
                lead, text, shown, why = _gateway_words(one, message, like, client)
            was_held = one.action == Outcome.HELD
            was_passed = one.action == Outcome.PASSED
            yield _Saying("gateway", lead, text, "", _event(copy), reasons=why, hers=shown), one
            continue
        if one.layer == Layer.PERSON:
            lead, text = _report_words(one, copy, seen)
            yield _Saying("person", lead, text, "", one.source, hers=""), one
            continue
        if copy.is_bypass and one.layer == Layer.MAILBOX and one.verdict is not None:
            yield (
                _Saying("gateway", _("Never saw it."), copy.match_reason, "", copy.message_id),
                one,
            )
        if one.place:
            said = _place_words(one, copy, place)
            if said:
                yield said, one
            place = one.place
        if one.is_read and not was_read:
            was_read = True
            if not is_told_by_answer(copy, seen):
                text = _read_words(copy, message)
                yield _Saying("person", _("{who} read it."), text, "", copy.message_id), one
        if one.verdict is not None:
            yield from _judged(one, copy)
            if one.layer == Layer.MAILBOX and (one.detail.get("decided") or {}).get("rule_id"):
                rule, hers = (f"{each} It is for both layers." for each in _rule_words(one))
                lead = _("Let it be.")
                yield _Saying("mailbox", lead, rule, "", copy.message_id, hers=hers), one


def _event(copy: Delivery) -> Any:
    """Mails that a client sent are told together where the gateway did the same with them."""
    return Direction.OUTBOUND if copy.direction == Direction.OUTBOUND else copy.message_id


def _read_words(copy: Delivery, message: Message) -> str:
    """And what nobody knows of what the mail holds."""
    has_links = bool(message.facts.get("links")) and copy.clicked_at is None
    has_files = any(not each.get("is_inline") for each in message.facts.get("attachments") or ())
    what = " or ".join(("a link",) * has_links + ("an attachment",) * has_files)
    return f"Seen by the read mark{f'; whether {what} was opened is not known' if what else ''}."


def _judged(one: Observation, copy: Delivery) -> Iterator[tuple[_Saying, Observation]]:
    is_said = one.confidence is not None and current_scope().role is not Role.PORTAL
    sure = f" ({one.confidence:.2f})" if is_said else ""
    said = {"what": _(VERDICT_WORDS_WITHIN[one.verdict or ""]), "sure": sure}
    if one.layer == Layer.VENDOR:
        lead = _("The mail host judged it %(what)s%(sure)s:") % said
    else:
        lead = _("Judged %(what)s%(sure)s:") % said
    # That it came around the gateway is told on the gateway's own line.
    reasons = _reasons(one, without="gateway_bypassed" if copy.is_bypass else "")
    if not reasons:
        lead = _ended(lead)
    tone = Tone.ALARM if one.verdict in GRAVE else Tone.NONE
    key = (copy.message_id, one.layer)
    yield _Saying("mailbox", lead, "", "", key, tone, Mark.ASSESSED, reasons), one


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


def _report_words(one: Observation, copy: Delivery, seen: Sequence[Observation]) -> tuple[str, str]:
    """Who said what of it: somebody of the provider, else the recipient herself.  The text is what
    she wrote to the provider, or for it.
    """
    if one.source.startswith(REPORT):
        return reporters_words(one, is_first=read_and_did(copy, seen, one.observed_at))
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
) -> tuple[str, str, str | None, str]:
    """Lead, text, what the client reads of that (None: all), and the reasons of a threat."""
    if not one.mail and one.verdict is None and one.action in _FOLLOWED_UP:
        reply = str(one.detail.get("next_hop_reply") or "")
        text = f"It said: “{reply}”." if reply else ""
        return _(_FOLLOWED_UP[Outcome(one.action)]), text, None, ""
    did = _(_GATEWAY_DID[Outcome(one.action or Outcome.UNKNOWN)])
    is_threat = bool(one.verdict) and Verdict(str(one.verdict)) not in (
        Verdict.CLEAN,
        Verdict.GRAYMAIL,
    )
    score = judged = ""
    if one.verdict is None:
        missing = "; ".join(one.detail.get("missing_why") or one.detail.get("missing") or ())
        judged = f"An engine gave no answer{f' ({missing})' if missing else ''}."
    else:
        if one.score is not None:
            limit = one.score_limit
            acts = f"; {client.name} acts from {limit:g}" if limit is not None else ""
            score = f"Score {one.score:.1f}{acts}."
        if is_threat or one.score is None:
            judged = f"Judged {VERDICT_WORDS_WITHIN[one.verdict]}."
    proven = proofs(message.facts, like) if one.action in LET_THROUGH else ""
    rule, hers = _rule_words(one)
    text, hers = _joined(score, judged, proven, rule), _joined(judged, proven, hers)
    return did, text, hers, _reasons(one) if is_threat else ""


def _rule_words(one: Observation) -> tuple[str, str]:
    """Which entry decided and whose it was; for a delivery also that there was none.  Then the same
    as the client reads it.
    """
    decided = one.detail.get("decided") or {}
    if decided.get("rule_id"):
        kind = "allow" if decided.get("by") == "allow" else "block"
        whom = f" (for {decided['recipient']} only)" if decided.get("recipient") else ""
        owner = f", set by {decided['owner']}" if decided.get("owner") else ""
        why = f": “{decided['reason']}”" if decided.get("reason") else ""
        decides = f"The {kind} entry for {decided.get('value', '')}{whom} decided"
        return f"{decides}{owner}{why}.", f"{decides}."
    rule = one.rule
    if one.action in LET_THROUGH and not rule.startswith(("allow", "block")):
        return ("No allow entry was involved.",) * 2
    return f"{rule[:1].upper()}{rule[1:]}." if rule else "", ""


def _reasons(one: Observation, *, without: str = "") -> str:
    """The three that weigh most of those that speak for its verdict, without what is light beside
    the heaviest; unweighed, the first three.
    """
    sign = -1 if one.verdict == Verdict.CLEAN else 1
    weighed = [reason for reason in one.reasons if reason.get("weight")]
    if not weighed:
        return " ".join(reason["text"] for reason in one.reasons[:3])
    speak = [each for each in weighed if each["weight"] * sign > 0 and each["code"] != without]
    speak.sort(key=lambda reason: -abs(reason["weight"]))
    told = [each for each in speak[:3] if abs(each["weight"]) >= LIGHT * abs(speak[0]["weight"])]
    return " ".join(reason["text"] for reason in told)
