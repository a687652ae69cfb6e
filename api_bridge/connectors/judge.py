"""What an action came to, from what was read back alone: the call's own answer proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from api_bridge.connectors import ActionSeen, Result, State
from api_bridge.errors import BridgeError
from incidents.words import Place

GONE = State(place=Place.GONE, exists=False)


def stale(found: State) -> ActionSeen:
    """Nothing is called: the record does not say any more what undo would have to bring back."""
    detail = "The copy changed after its undo record was taken."
    return ActionSeen(result=Result.STALE, state=found, detail=detail)


def never_there() -> ActionSeen:
    """There is nothing that undo could bring back."""
    detail = "There was no copy when it was recorded."
    return ActionSeen(result=Result.GONE, state=GONE, detail=detail)


def judge_undo(
    seen: State | None,
    lost: BridgeError | None,
    is_back: Callable[[State], bool],
    *,
    before: State,
    detail: str,
) -> ActionSeen:
    """As ``judge``; ``seen`` is read with its content.  ``detail``: what could not be brought back,
    said unless something worse is.
    """
    judged = judge(seen, lost, is_back)
    if seen is not None and seen.exists and seen.content_hash != before.content_hash:
        detail = f"{detail} The content is not what was recorded.".strip()
    return replace(judged, detail=judged.detail or detail)


def judge(
    seen: State | None, lost: BridgeError | None, is_there: Callable[[State], bool]
) -> ActionSeen:
    """``seen``: what was read back (None: that failed); ``lost``: the call's error, if any."""
    if seen is None:
        return ActionSeen(
            result=Result.UNKNOWN, state=None, detail="The copy could not be read back."
        )
    if not seen.exists:
        return ActionSeen(result=Result.GONE, state=seen, detail="The copy went while we acted.")
    if is_there(seen):
        return ActionSeen(result=Result.DONE, state=seen)
    if lost is not None and lost.may_have_happened:
        return ActionSeen(
            result=Result.UNKNOWN, state=seen, detail=f"No answer to the call: {lost}"
        )
    reason = f"The provider refused: {lost}" if lost else "The provider said done, and it is not."
    return ActionSeen(result=Result.NOT_DONE, state=seen, detail=reason)
