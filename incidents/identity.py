"""Is it the same mail?  Finds the message and the delivery that an observation speaks of.

In this order (docs/architecture.md): the gate's trace; Message-ID with recipient and time,
corroborated by sender and subject or by content; the content's fingerprint.  Real phish miss,
repeat and forge Message-IDs, so one alone proves nothing.  Every answer says how sure it is and
why; where several mails fit, that is the answer, and none of them is taken.

Pure: decides on what incidents/known.py holds in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from incidents.known import Copy, Known, Mail, Seen, fill_mail, is_same_writing
from incidents.models.mail import Match
from incidents.words import LET_THROUGH, Direction, Layer, Outcome

TRACE_PATIENCE = timedelta(minutes=15)
# A person may report a mail, and a mail host change its mind, long after it came.
WORD_WINDOW = timedelta(days=30)
_ARRIVES = (*LET_THROUGH, Outcome.UNKNOWN)

_BY_TRACE = "The gateway's trace in the mail names this copy."
_BY_TRACE_CHANGED = (
    "The gateway's trace names this copy; its content differs from what the gateway passed."
)
_BY_ID = "Same Message-ID, recipient, sender and subject within a day."
_BY_CONTENT = "Same content for the same recipient within a day."
_BY_BOTH = "Same Message-ID, content and recipient within a day."
_WITHOUT_TRACE = (_BY_ID, _BY_CONTENT, _BY_BOTH)


@dataclass(frozen=True, slots=True)
class Identified:
    """``wait_until`` set: pending until then, because another account may still come.

    ``copy`` None: nothing that this speaks of is known yet; only while it waits.
    """

    copy: Copy | None
    wait_until: datetime | None = None


def identify(seen: Seen, known: Known) -> Identified:
    """The copy this observation speaks of, made where it is the first to speak of it."""
    if seen.layer == Layer.GATEWAY:
        return Identified(_of_gateway(seen, known))
    if seen.layer == Layer.MAILBOX:
        found = _of_mailbox(seen, known)
        if found.copy is not None and not found.copy.mail.has_facts and seen.mail:
            fill_mail(found.copy.mail, seen)  # a row without facts was here first
        return found
    return _of_word(seen, known)


# --- the gateway


def _of_gateway(seen: Seen, known: Known) -> Copy:
    mail = known.mail_by_trace(seen.trace_ulid)
    copy = _copy_of_gateway(seen, mail, known) if mail else None
    if copy is None and (seen.action is None or seen.action in _ARRIVES):
        copy = _shown_before(seen, mail, known)
        mail = copy.mail if copy else mail
    if mail is None and (mail := known.same_content(seen, is_untraced=True)):
        known.adopt(mail, seen.trace_ulid)
        copy = _copy_of_gateway(seen, mail, known)
    if mail is None:
        mail = known.make_mail(seen, trace_ulid=seen.trace_ulid)
    elif not (mail.has_facts and mail.is_gateways) and seen.mail:
        # The gateway had the mail first, before anything was changed on its way.
        fill_mail(mail, seen)
    mail.is_gateways = True
    if copy is None:
        copy = known.make_copy(mail, seen, match=Match.ONE_LAYER, reason="Seen by the gateway.")
        _contest(copy, seen, known)
    return copy


def _copy_of_gateway(seen: Seen, mail: Mail, known: Known) -> Copy | None:
    copy = known.copy_for(mail, [seen.recipient])
    if copy is None:
        # The mailbox has shown it already, while the mail was sent to an alias of it.
        copy = known.copy_for(mail, known.mailboxes_of(seen.recipient))
        if copy is not None and copy.gateway_at is not None:
            copy = None
    if copy is None or not copy.mailbox_item_id or copy.match not in _UNCONFIRMED:
        return copy
    if copy.match == Match.PENDING or copy.match_reason.startswith(_AFTER_PATIENCE):
        _settle(copy, Match.STRONG, _BY_TRACE)
    elif copy.gateway_at is None:
        # Its mailbox showed it without a trace, and another's account was found to be of its mail.
        _settle(copy, Match.WEAK, _fitting([copy], seen)[1])
    return copy


_UNCONFIRMED = (Match.PENDING, Match.ONE_LAYER, Match.WEAK)
_NO_GATEWAY_KNOWS = "Its trace names a mail that no gateway knows."
_PASSED_FOR_OTHERS = "Its trace belongs to a mail that the gateway passed for others."
_PASSED_FOR = "The gateway passed this mail for "
_AFTER_PATIENCE = (_NO_GATEWAY_KNOWS, _PASSED_FOR_OTHERS, _PASSED_FOR)


def _by_trace_words(one: str, other: str) -> tuple[Match, str]:
    """A differing content weakens the match, never the trace."""
    if one and other and one != other:
        return Match.WEAK, _BY_TRACE_CHANGED
    return Match.STRONG, _BY_TRACE


def _settle(copy: Copy, match: Match, reason: str, is_bypass: bool = False) -> None:
    copy.match, copy.match_reason, copy.is_bypass = match, reason, is_bypass
    copy.is_changed = True


def _shown_before(seen: Seen, mail: Mail | None, known: Known) -> Copy | None:
    """A copy without a trace that its mailbox has shown before the gateway's account came."""
    shown = [
        copy
        for copy in known.copies_near(known.mailboxes_of(seen.recipient), seen.received_at)
        if copy.gateway_at is None
        and copy.mailbox_item_id
        and copy.match == Match.ONE_LAYER
        and copy.direction == Direction.INBOUND
        and not copy.mail.trace_ulid
    ]
    fits, reason = _fitting(shown, seen)
    if len(fits) > 1:
        for copy in fits:
            _settle(copy, Match.AMBIGUOUS, _SEVERAL_COPIES, is_bypass=_differs(copy, seen))
        return None
    if not fits:
        return None
    (copy,) = fits
    if mail is None:
        known.adopt(copy.mail, seen.trace_ulid)
    else:
        known.move(copy, mail)
    _settle(copy, Match.WEAK, reason)
    return copy


_SEVERAL_COPIES = "Several copies in this mailbox fit one mail that the gateway passed."


def _differs(copy: Copy, seen: Seen) -> bool:
    return not seen.fingerprint or copy.mail.fingerprint != seen.fingerprint


def _contest(made: Copy, seen: Seen, known: Known) -> None:
    """A copy in the mailbox that was matched with another mail would fit this one as well."""
    matched = [
        copy
        for copy in known.copies_near(known.mailboxes_of(seen.recipient), seen.received_at)
        if copy is not made and copy.mailbox_item_id and copy.match in (Match.WEAK, Match.AMBIGUOUS)
    ]
    fits, _ = _fitting(matched, seen)
    if fits:
        _settle(made, Match.AMBIGUOUS, _SEVERAL_MAILS)
    for copy in fits:
        if copy.match_reason in _WITHOUT_TRACE:
            _settle(copy, Match.AMBIGUOUS, _SEVERAL_MAILS)


_SEVERAL_MAILS = "Several mails that the gateway passed fit one copy in this mailbox."


# --- the mailbox layer


def _of_mailbox(seen: Seen, known: Known) -> Identified:
    # The mailbox layer speaks of a mailbox by its main address, the gateway of who was written to.
    names = known.names_of(seen.recipient)
    copy = known.copy_by_item(seen.mailbox_item_id, names)
    if copy is not None:
        return Identified(copy)
    if seen.trace_state == "valid":
        return _by_trace(seen, names, known)
    if seen.wait_until is None and not seen.mail:
        # It tells of a place only; what tells of the mail is on its way.
        return Identified(None, wait_until=seen.recorded_at + TRACE_PATIENCE)
    return Identified(_by_id_or_content(seen, names, known) or _as_new(seen, known))


def _by_trace(seen: Seen, names: Sequence[str], known: Known) -> Identified:
    mail = known.mail_by_trace(seen.trace_ulid)
    if mail is None:
        mail = known.make_mail(seen, trace_ulid=seen.trace_ulid)
    copy = known.copy_for(mail, names)
    if copy is None:
        until = seen.recorded_at + TRACE_PATIENCE
        reason = "The trace is genuine; the gateway's own account has not arrived yet."
        made = known.make_copy(mail, seen, match=Match.PENDING, reason=reason)
        return Identified(made, wait_until=until)
    if copy.mailbox_item_id and seen.mailbox_item_id:
        was = known.shown_as(copy)
        if was is not None and copy.match_reason in (*_WITHOUT_TRACE, _SEVERAL_COPIES):
            return Identified(_take_its_place(copy, was, seen, known))
        return Identified(_second_copy(mail, seen, known))
    _settle(copy, *_by_trace_words(mail.fingerprint, seen.fingerprint))
    return Identified(copy)


def _take_its_place(copy: Copy, was: Seen, seen: Seen, known: Known) -> Copy:
    """A mail without a trace had been taken for the copy that the trace names.

    The gateway's account is of that one; the other is what it would be had it come later.
    """
    made = known.part(copy, _own_mail(was, known), seen)
    _settle(made, *_by_trace_words(made.mail.fingerprint, seen.fingerprint))
    _settle(copy, Match.ONE_LAYER, *_alone(was, known))
    return made


def _second_copy(mail: Mail, seen: Seen, known: Known) -> Copy:
    """A trace counts once per mailbox: another copy with it is somebody's copy, or a replay."""
    is_replay = bool(mail.fingerprint and seen.fingerprint != mail.fingerprint)
    reason = "A second copy with the same trace lies in this mailbox."
    if is_replay:
        reason = "It carries the trace of another mail in this mailbox, with other content."
    return known.make_copy(
        known.make_mail(seen, is_repeat=not is_replay),
        seen,
        match=Match.AMBIGUOUS,
        reason=reason,
        is_bypass=is_replay and seen.direction == Direction.INBOUND,
    )


def _by_id_or_content(seen: Seen, names: Sequence[str], known: Known) -> Copy | None:
    """The copy that the gateway delivered to this recipient and no mailbox has claimed yet."""
    near = list(known.copies_near(names, seen.received_at))
    waiting = [
        copy
        for copy in near
        if not copy.mailbox_item_id and copy.gateway_at is not None and copy.outcome in _ARRIVES
    ]
    fits, reason = _fitting(waiting, seen)
    if len(fits) == 1:
        _settle(fits[0], Match.WEAK, reason)
        return fits[0]
    if fits:
        words = f"{len(fits)} mails that the gateway passed fit this copy equally."
        mail = known.make_mail(seen, is_repeat=True)
        return known.make_copy(mail, seen, match=Match.AMBIGUOUS, reason=words)
    return _twin(seen, near, known)


def _twin(seen: Seen, near: Sequence[Copy], known: Known) -> Copy | None:
    """The only mail of the gateway that fits has its copy in this mailbox already."""
    taken = [
        copy
        for copy in near
        if copy.gateway_at is not None
        and copy.mailbox_item_id
        and copy.match in (Match.WEAK, Match.AMBIGUOUS)
    ]
    fits, _ = _fitting(taken, seen)
    if not fits:
        return None
    for copy in fits:
        if copy.match_reason in _WITHOUT_TRACE:
            _settle(copy, Match.AMBIGUOUS, _SEVERAL_COPIES)
    is_bypass = all(_differs(copy, seen) for copy in fits)
    return known.make_copy(
        known.make_mail(seen, is_repeat=True),
        seen,
        match=Match.AMBIGUOUS,
        reason=_SEVERAL_COPIES,
        is_bypass=is_bypass and _is_inbound(seen, known),
    )


def _fitting(candidates: Sequence[Copy], seen: Seen) -> tuple[list[Copy], str]:
    """Those that are equally good, of the strictest kind of agreement that any of them reaches."""
    message_id = seen.message_id
    same_content = [
        copy
        for copy in candidates
        if seen.fingerprint and copy.mail.fingerprint == seen.fingerprint
    ]
    if message_id:
        both = [copy for copy in same_content if copy.mail.internet_message_id == message_id]
        if both:
            return both, _BY_BOTH
        same_id = [copy for copy in candidates if copy.mail.internet_message_id == message_id]
        same_id = [copy for copy in same_id if is_same_writing(copy.mail, seen)]
        if same_id:
            return same_id, _BY_ID
    return same_content, _BY_CONTENT


def _is_inbound(seen: Seen, known: Known) -> bool:
    """From outside, at a client whose gateway stood in front by then."""
    since = known.protected_since
    return seen.direction == Direction.INBOUND and since is not None and seen.received_at >= since


_CAME_AROUND = (
    "It came from outside; the trace that it carries is not one of this gateway for this client.",
    "It came from outside and carries no trace of the gateway.",
)


def _as_new(seen: Seen, known: Known) -> Copy:
    """Nobody else has seen this copy: internal mail, older mail, or mail around the gateway."""
    reason, is_bypass = _alone(seen, known)
    return known.make_copy(
        _own_mail(seen, known), seen, match=Match.ONE_LAYER, reason=reason, is_bypass=is_bypass
    )


def _own_mail(seen: Seen, known: Known) -> Mail:
    mail = known.same_content(seen)
    if mail is None:
        return known.make_mail(seen)
    if known.copy_for(mail, [seen.recipient]) is not None:
        return known.make_mail(seen, is_repeat=True)
    return mail


def _alone(seen: Seen, known: Known) -> tuple[str, bool]:
    """Why only the mailbox layer has seen it, and whether it came around the gateway."""
    if not _is_inbound(seen, known):
        return "Seen by the mailbox layer only.", False
    return _CAME_AROUND[seen.trace_state == "missing"], True


def settle_pending(copy: Copy, seen: Seen, known: Known) -> None:
    """The gateway had its time: it has not named this copy.

    A mail that it passed for others, with the same content, came here by a list or was forwarded;
    anything else under its trace came around it.
    """
    if copy.match == Match.STRONG:
        # The gateway's account came after all; only now both contents are at hand.
        match, reason = _by_trace_words(copy.mail.fingerprint, seen.fingerprint)
        if match != copy.match:
            _settle(copy, match, reason)
    if copy.match != Match.PENDING:
        return
    passed = [
        other
        for other in known.copies_of(copy.mail)
        if other.gateway_at is not None and other.outcome in _ARRIVES
    ]
    if passed and seen.fingerprint and seen.fingerprint == copy.mail.fingerprint:
        first = min(passed, key=lambda other: (other.received_at, other.recipient))
        _settle(
            copy,
            Match.WEAK,
            f"{_PASSED_FOR}{first.recipient}; this copy came by a list or was forwarded.",
        )
        copy.gateway_verdict, copy.gateway_at = first.gateway_verdict, first.gateway_at
        return
    reason = _PASSED_FOR_OTHERS if passed else _NO_GATEWAY_KNOWS
    _settle(copy, Match.ONE_LAYER, reason, is_bypass=True)


# --- people and mail hosts


def _of_word(seen: Seen, known: Known) -> Identified:
    """What a person or the mail host says of a mail; it tells nothing of the way the mail took."""
    names = known.names_of(seen.recipient)
    named = known.copy_by_id(seen.delivery_id)
    copy = named or known.copy_by_item(seen.mailbox_item_id, names)
    if copy is None and (mail := known.mail_by_trace(seen.trace_ulid)):
        copy = known.copy_for(mail, names)
    if copy is not None:
        return Identified(copy)
    fits = _spoken_of(seen, names, known)
    if len(fits) == 1:
        return Identified(fits[0])
    if seen.wait_until is None:
        # The layers' own accounts may still be on their way.
        return Identified(None, wait_until=seen.recorded_at + TRACE_PATIENCE)
    match, reason = Match.ONE_LAYER, "No layer has seen this mail."
    if fits:
        match, reason = Match.AMBIGUOUS, f"{len(fits)} mails fit what was said."
    mail = known.make_mail(seen, is_repeat=bool(fits))
    return Identified(known.make_copy(mail, seen, match=match, reason=reason))


def _spoken_of(seen: Seen, names: Sequence[str], known: Known) -> list[Copy]:
    if not seen.internet_message_id:
        return []
    message_id = seen.message_id
    fits = [
        copy
        for copy in known.copies.values()
        if copy.mail.internet_message_id == message_id
        and (not seen.recipient or copy.recipient in names)
        and abs(copy.received_at - seen.received_at) <= WORD_WINDOW
    ]
    same = [copy for copy in fits if seen.fingerprint and not _differs(copy, seen)]
    return same or fits
