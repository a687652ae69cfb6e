"""What people decided about a mail, told to the engine that learns (engines/rspamd/learning.py).

A lesson is Bayes for its client alone, and, where its client agrees, the hashes for all clients of
the gate.  It may be repeated: the engine knows a mail that it has learned before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

from seg_bridge.engines.rspamd.learning import Flag, NotTaught, Teacher
from seg_bridge.gate.fetching import NoOriginal
from seg_bridge.gate.release import Command, Done
from seg_bridge.gate.settings import GateSettings

TRIES: Final = 4
FIRST_RETRY_S: Final = 1.0
NO_ENGINE: Final = "this gate has no engine that learns"
_FLAGS: Final = {"spam": Flag.SPAM, "phish": Flag.PHISH}


@dataclass(frozen=True, slots=True)
class Lesson:
    """``as_spam`` None: Bayes is left as it is.  ``share`` and ``unshare``: as what the hashes are
    added or taken back; None: they are not.
    """

    as_spam: bool | None
    share: Flag | None = None
    unshare: Flag | None = None

    @classmethod
    def from_json(cls, terms: Mapping[str, Any]) -> Self:
        """Raises ``ValueError``."""
        as_spam = terms.get("as_spam", "")
        if as_spam is not None and not isinstance(as_spam, bool):
            raise ValueError("as_spam is true, false or null")
        return cls(as_spam, *(_flag(terms.get(name, "")) for name in ("share", "unshare")))


def _flag(told: Any) -> Flag | None:
    if told and told not in _FLAGS:
        raise ValueError(f"there are no hashes of {told!r}")
    return _FLAGS[told] if told else None


def make_teacher(settings: GateSettings) -> Teacher | None:
    """None: the settings name no engine that learns."""
    if settings.rspamd_learn is None:
        return None
    return Teacher(settings.rspamd_learn, settings.rspamd_password)


class Learner:
    """``fetch`` gives a command's bytes or raises ``NoOriginal``."""

    def __init__(
        self,
        teacher: Teacher | None,
        fetch: Callable[[Command], Awaitable[bytes]],
        *,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        self._teacher = teacher
        self._fetch = fetch
        self._first_retry_s = first_retry_s

    async def learn(self, command: Command) -> Done:
        """Tries a few times, then says why not.  What was done once is not done again."""
        if self._teacher is None:
            return Done(False, NO_ENGINE)
        try:
            steps = _steps(self._teacher, Lesson.from_json(command.terms), command.tenant_id)
        except ValueError as error:
            return Done(False, f"this gate does not understand the lesson: {error}")
        said: list[str] = []
        problem = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._first_retry_s * 4 ** (attempt - 1))
            try:
                raw = await self._fetch(command)
                while len(said) < len(steps):
                    said.append(await steps[len(said)](raw))
                return Done(True, "; ".join(said))
            except NoOriginal as error:
                if not error.is_temporary:
                    return Done(False, "; ".join([*said, str(error)]))
                problem = str(error)
            except NotTaught as error:
                problem = str(error)
        return Done(False, "; ".join([*said, f"{problem} (tried {TRIES} times)"]))


_Step = Callable[[bytes], Awaitable[str]]


def _steps(teacher: Teacher, lesson: Lesson, tenant_id: int) -> list[_Step]:
    """Each answers what came of it, in words."""
    steps: list[_Step] = []
    if lesson.as_spam is not None:
        steps.append(partial(teacher.teach, tenant_id=tenant_id, as_spam=lesson.as_spam))
    if lesson.unshare is not None:
        steps.append(partial(_of_hashes, teacher.unshare, lesson.unshare))
    if lesson.share is not None:
        steps.append(partial(_of_hashes, teacher.share, lesson.share))
    return steps


async def _of_hashes(tell: Callable[[bytes, Flag], Awaitable[str]], flag: Flag, raw: bytes) -> str:
    return f"hashes: {await tell(raw, flag)}"
