"""The judge in the reading process: a mail that is a bomb to our detectors harms only itself.

A ``Judge`` for ``incidents.mail.reader``, told the mail's ``MailboxContext``.
"""

from __future__ import annotations

from typing import Any, Final

from api_bridge.detect import Judgement, MailboxContext
from api_bridge.detect import judge as judge_here
from incidents.mail.facts import Address, MailFacts
from incidents.mail.wire import pack_reasons, unpack_reasons
from incidents.words import Verdict

JUDGE: Final = f"{__name__}:judge"
_NOTHING_KNOWN: Final = MailboxContext(recipient=Address(""), own_domains=())


class NotJudged(Exception):
    """The judge could not be brought to an end over this mail, or failed."""


def judge(raw: bytes, facts: MailFacts, context: MailboxContext | None) -> dict[str, Any]:
    """``context`` None: nothing is known around the mail."""
    del raw
    judgement = judge_here(facts, context or _NOTHING_KNOWN)
    return {
        "verdict": str(judgement.verdict),
        "score": judgement.score,
        "confidence": judgement.confidence,
        "reasons": pack_reasons(judgement.reasons),
        "version": judgement.version,
    }


def judgement_of(facts: MailFacts) -> Judgement:
    """What was judged in the reading process.  A mail that cannot be read needs no judge.

    Raises ``NotJudged``.
    """
    if not facts.is_readable:
        return judge_here(facts, _NOTHING_KNOWN)
    try:
        said = facts.judged
        return Judgement(
            verdict=Verdict(said["verdict"]),
            score=float(said["score"]),
            confidence=float(said["confidence"]),
            reasons=unpack_reasons(said["reasons"]),
            version=str(said["version"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise NotJudged("judging took too much memory, CPU or time, or failed") from error
