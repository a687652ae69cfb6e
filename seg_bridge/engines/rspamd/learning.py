"""What people decided, told to Rspamd's controller.

``teach``    Bayes, for one client alone: the words of a mail never count for another client.
``share``    the fuzzy storage, for all clients of the gate: hashes of a mail's text and parts,
             which say nothing of whose mail it was and cannot be turned back into it.
``unshare``  takes that back.

Each may be repeated: what is known already is as good as what was just learned.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from seg_bridge.engines.endpoints import Endpoint, HttpAnswer, NoAnswer, post

TIMEOUT_S: Final = 15.0
# How much one report adds; a hash counts in full from 20 (max_score of the fuzzy rule).
REPORT_WEIGHT: Final = 10
_LEARNED: Final = 200
# 204: it is classified well enough, or has too few words.  208: it was learned before.
_TAUGHT: Final = {_LEARNED: "learned", 204: "not needed", 208: "known before"}
_NOTHING_TO_HASH: Final = 404


class Flag(IntEnum):
    """As in the fuzzy rule that the launcher writes (console/launch/parts/rspamd.py)."""

    SPAM = 11
    PHISH = 12


class NotTaught(Exception):
    """Rspamd did not take it; the text says why.  Trying again may help."""


class Teacher:
    """``endpoint`` is Rspamd's controller, ``password`` the one that may change things."""

    def __init__(self, endpoint: Endpoint, password: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._endpoint = endpoint
        self._password = password
        self._timeout_s = timeout_s

    async def teach(self, raw: bytes, *, tenant_id: int, as_spam: bool) -> str:
        """What came of it, in words.  Raises ``NotTaught``."""
        path = "/learnspam" if as_spam else "/learnham"
        answer = await self._tell(path, raw, ("X-Tenant", str(tenant_id)))
        if answer.status not in _TAUGHT:
            raise NotTaught(f"Rspamd answered {answer.status} {answer.reason}")
        why = f" ({answer.reason})" if answer.status == 204 and answer.reason else ""
        return _TAUGHT[answer.status] + why

    async def share(self, raw: bytes, flag: Flag) -> str:
        """Raises ``NotTaught``."""
        headers = ("Flag", str(int(flag))), ("Weight", str(REPORT_WEIGHT))
        return _hashed(await self._tell("/fuzzyadd", raw, *headers), "shared")

    async def unshare(self, raw: bytes, flag: Flag) -> str:
        """Raises ``NotTaught``."""
        return _hashed(await self._tell("/fuzzydel", raw, ("Flag", str(int(flag)))), "taken back")

    async def _tell(self, path: str, raw: bytes, *headers: tuple[str, str]) -> HttpAnswer:
        try:
            return await post(
                self._endpoint,
                path,
                [("Password", self._password), *headers],
                raw,
                timeout_s=self._timeout_s,
            )
        except NoAnswer as error:
            raise NotTaught(f"Rspamd: {error}") from error


def _hashed(answer: HttpAnswer, done: str) -> str:
    if answer.status == _NOTHING_TO_HASH:
        return "too short for a hash"
    if answer.status != _LEARNED:
        raise NotTaught(f"Rspamd answered {answer.status} {answer.reason}")
    return done
