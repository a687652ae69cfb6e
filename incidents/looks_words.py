"""What a look at a released copy found, in words, and the one next step."""

from __future__ import annotations

from dataclasses import dataclass

from incidents.layers import CopyState
from incidents.models import Intent, ReleaseLook
from incidents.words import Place

Outcome = ReleaseLook.Outcome
_OUTCOME_OF = {
    Place.JUNK: Outcome.JUNKED,
    Place.DELETED: Outcome.DELETED,
    Place.QUARANTINE: Outcome.PULLED,
}


_WHERE = {
    Place.INBOX: "the inbox",
    Place.JUNK: "the junk folder",
    Place.ARCHIVE: "the archive",
    Place.DELETED: "the folder of deleted mail",
    Place.SENT: "the folder of sent mail",
}


@dataclass(frozen=True, slots=True)
class Found:
    """``place`` None: nothing could be read."""

    outcome: Outcome
    place: Place | None


@dataclass(frozen=True, slots=True)
class NextStep:
    """``code`` among ``release_again look_again trace interference connection``; "" for none."""

    code: str
    text: str


def where(place: str) -> str:
    return _WHERE.get(Place(place), "another folder")


def outcome_of(state: CopyState, put_in: str) -> Outcome:
    if not state.exists:
        return Outcome.DELETED
    if state.place == put_in:
        return Outcome.KEPT
    return _OUTCOME_OF.get(state.place, Outcome.MOVED)


def words_of(look: ReleaseLook, found: Found, why: str = "") -> str:
    """In a sentence or two.  ``why``: what kept us from reading."""
    whom = look.delivery.recipient
    match found.outcome:
        case Outcome.KEPT:
            return f"It is still in {where(look.put_in)} of {whom}."
        case Outcome.JUNKED:
            return (
                f"It lies in the junk folder of {whom}. The mail host put it there, or its reader"
                " did; Bailey did not."
            )
        case Outcome.PULLED:
            return _pulled_words(look, whom)
        case Outcome.DELETED:
            is_kept = found.place == Place.DELETED
            how = f"in {where(Place.DELETED)}" if is_kept else "no longer in the mailbox"
            return f"It is {how} of {whom}: somebody, or a rule of the mailbox, deleted it."
        case Outcome.MOVED:
            assert found.place is not None
            folder = where(found.place)
            return f"It lies in {folder} of {whom}: its reader, or a rule of the mailbox, moved it."
        case Outcome.NOT_SEEN:
            return (
                f"It has not been seen in the mailbox of {whom}. The mail host may still have it,"
                " keep it back, or have dropped it."
            )
        case Outcome.BLIND:
            return f"Nobody could look into the mailbox of {whom}. {why}"
    return (
        f"The mailbox layer does not watch {whom}: whether the mail is still in the inbox is not"
        " known."
    )


def _pulled_words(look: ReleaseLook, whom: str) -> str:
    pull = (
        Intent.objects.select_related("job")
        .filter(tenant=look.tenant_id, delivery=look.delivery_id, action="pull")
        .order_by("-created_at")
        .first()
    )
    if pull is None:
        return (
            f"It lies in Bailey's quarantine in the mailbox of {whom}; who moved it is not known."
        )
    reason = f": “{pull.job.reason}”" if pull.job.reason else "."
    return (
        f"It was pulled again from the mailbox of {whom}, asked by {pull.job.requested_by}{reason}"
    )


_NEXT = {
    Outcome.PULLED: NextStep("release_again", "Give it back, with an exception for both layers"),
    Outcome.JUNKED: NextStep("interference", "See what to set at the mail host"),
    Outcome.DELETED: NextStep("trace", "See its way"),
    Outcome.MOVED: NextStep("trace", "See its way"),
    Outcome.NOT_SEEN: NextStep("look_again", "Look again now"),
    Outcome.BLIND: NextStep("look_again", "Look again now"),
    Outcome.NO_LAYER: NextStep("connection", "Connect its mailboxes"),
}
_NONE = NextStep("", "")


def next_step(look: ReleaseLook) -> NextStep:
    return _NEXT.get(Outcome(look.outcome), _NONE) if look.outcome else _NONE
