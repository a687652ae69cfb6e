"""One answer for all recipients of a mail, and what becomes of the copies that it does not fit.

The sender hears one reply for the whole mail.  Before relaying, ``refuse_by_policy`` says whether
it is put off or refused as a whole; after relaying, ``conclude`` makes one reply of what the next
hop said for each copy.  Every reply names the mail's ulid, before any words of the next hop.
"""

from __future__ import annotations

from collections.abc import Sequence

from incidents.words import Direction, MatrixAction, Outcome, Verdict
from seg_bridge.gate.records import Copy, SeenMail


def settle_mixed(copies: Sequence[Copy], *, is_rest: bool = False) -> None:
    """A mail is refused only if every copy is; else the refused copies are held.

    ``is_rest``: other recipients had their copy at an earlier try.
    """
    if not is_rest and all(copy.action is MatrixAction.REJECT for copy in copies):
        return
    for copy in copies:
        if copy.action is MatrixAction.REJECT:
            copy.action = MatrixAction.HOLD
            copy.rule += "; held instead, since other recipients of the same mail get it"


def refuse_by_policy(mail: SeenMail) -> str | None:
    """Our reply if the mail as a whole is put off or refused, else None; settles the copies.

    One copy that must wait makes all wait: nothing has been done yet, and the sender repeats all.
    """
    if mail.is_in_circle:
        for copy in mail.copies:
            copy.outcome = Outcome.REJECTED
            copy.rule = "the mail has passed too many servers, it goes in a circle"
        return f"554 5.4.6 {mail.ulid} has passed too many servers, it goes in a circle"
    if any(copy.action is MatrixAction.DEFER for copy in mail.copies):
        for copy in mail.copies:
            copy.outcome = Outcome.DEFERRED
            if copy.action is not MatrixAction.DEFER:
                copy.rule += "; put off, since the mail is for another recipient too"
        return f"451 4.7.1 {mail.ulid} can't be judged at the moment, please send it again"
    if all(copy.action is MatrixAction.REJECT for copy in mail.copies):
        for copy in mail.copies:
            copy.outcome = Outcome.REJECTED
        whose = "sender" if mail.direction is Direction.OUTBOUND else "recipient"
        return f"550 5.7.1 {mail.ulid} is refused by the {whose}'s policy"
    for copy in mail.copies:
        if copy.action is MatrixAction.HOLD:
            copy.outcome = Outcome.HELD
    return None


def conclude(mail: SeenMail) -> str:
    """Our reply after relaying; settles what the next hop left open.

    250 as soon as one copy was delivered, or where the refused ones stand beside a held one.
    """
    relayed = [copy for copy in mail.copies if copy.hop_reply]
    if not relayed:
        return f"250 2.0.0 Ok: held as {mail.ulid}"
    states = {copy.outcome for copy in relayed}
    is_all_refused = states == {Outcome.REJECTED}
    if Outcome.DELIVERED in states or (is_all_refused and len(relayed) < len(mail.copies)):
        for copy in relayed:
            _take_over(copy)
        return f"250 2.0.0 Ok: taken as {mail.ulid}"
    reply = relayed[0].hop_reply.replace("\n", " ")[:300]
    if is_all_refused:
        return f"550 5.0.0 {mail.ulid} was refused by the next hop: {reply}"
    for copy in mail.copies:
        if copy.outcome is not Outcome.UNKNOWN:
            copy.outcome = Outcome.DEFERRED
    return f"451 4.4.0 {mail.ulid} was not taken by the next hop: {reply}"


def tenant_ids_to_keep(mail: SeenMail) -> set[int]:
    """The clients for whom the original bytes are kept: a copy is held or still to be delivered,
    their policy keeps this verdict, or the mail could not be read.
    """
    verdict = mail.result.verdict
    return {
        copy.route.tenant.tenant_id
        for copy in mail.copies
        if copy.outcome is Outcome.HELD
        or copy.is_spooled
        or verdict is Verdict.UNSCANNABLE
        or (verdict is not None and verdict in copy.route.treatment.keep_original)
    }


def _take_over(copy: Copy) -> None:
    """The sender will hear 250, so a copy that the hop did not take is ours to look after."""
    if copy.outcome is Outcome.REJECTED:
        copy.outcome = Outcome.HELD
        copy.rule += "; held, since the next hop refused this recipient and took others"
    elif copy.outcome in (Outcome.DEFERRED, Outcome.UNKNOWN):
        copy.outcome = Outcome.DEFERRED
        copy.is_spooled = True
        copy.rule += "; the next hop put this recipient off, the gate goes on trying"
