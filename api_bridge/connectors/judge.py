"""What an action came to, from what was read back alone: the call's own answer proves nothing."""

from __future__ import annotations

from collections.abc import Callable

from api_bridge.connectors import ActionSeen, Result, State
from api_bridge.errors import BridgeError
from incidents.words import Place

GONE = State(place=Place.GONE, exists=False)


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
