"""Places where a test lets a worker die, to prove that nothing is lost or done twice there.

Every transaction over clients' rows passes ``before_commit`` and ``after_commit``
(tenants/scope.py); every call that may change something outside of the database passes
``before_call`` and ``after_call``.  So no commit point can be without a failpoint; a passing is
told by the function that commits or calls.  Without a watch, which only tests set, a passing costs
one comparison.  The gate's are its own: seg_bridge/gate/failpoints.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

# Told of each passing, as ``incidents.execution._finish:after_commit``; may raise.
Watch = Callable[[str], None]

_watch: Watch | None = None
# Through these everybody commits and calls.
_BETWEEN = frozenset(
    {
        __name__,
        "contextlib",
        "tenants.scope",
        "api_bridge.http",
        "api_bridge.connectors.imap.session",
    }
)


def failpoint(name: str) -> None:
    if _watch is not None:
        _watch(f"{_place()}:{name}")


def set_watch(watch: Watch | None) -> None:
    """None: nobody watches."""
    global _watch  # noqa: PLW0603 - one process, one watch
    _watch = watch


def _place() -> str:
    """Module and function of whoever commits or calls."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"] in _BETWEEN:
        frame = frame.f_back
    return f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}"
