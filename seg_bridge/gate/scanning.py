"""Asking all engines at once, and making one result of their answers.

An engine that raises, hangs or gives nonsense did not answer.  Then the mail is not scanned,
unless another engine found a threat: what was found counts, what was not found does not.

Of several answers the worst verdict and the highest score count, and every engine's reasons are
kept; no engine can speak for a mail that another one condemns.  What each said stays on record.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incidents.mail.facts import AuthResult, MailFacts
from incidents.observations import Reason
from incidents.words import Verdict
from seg_bridge.engines import Engine, EngineDidNotAnswer, Envelope, Scan

log = logging.getLogger(__name__)

ENGINE_TIMEOUT_S = 30.0
# Worst first.
_ORDER = (
    Verdict.MALWARE,
    Verdict.PHISH,
    Verdict.BEC,
    Verdict.UNSCANNABLE,
    Verdict.SPAM,
    Verdict.SUSPICIOUS,
    Verdict.GRAYMAIL,
    Verdict.CLEAN,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """``verdict`` None: not scanned; ``missing`` names the engines that did not answer, ``why``
    says for each of them what happened; ``scans`` is what each of the others said.
    """

    verdict: Verdict | None
    score: float = 0.0
    confidence: float = 0.0
    reasons: tuple[Reason, ...] = ()
    auth: tuple[AuthResult, ...] = ()
    engine: str = ""
    version: str = ""
    missing: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    scans: tuple[Scan, ...] = ()

    def has_failed(self, method: str) -> bool:
        return any(each.method == method and each.result == "fail" for each in self.auth)


async def scan_with_all(
    engines: Sequence[Engine],
    raw: bytes,
    facts: MailFacts,
    envelope: Envelope,
    *,
    timeout_s: float = ENGINE_TIMEOUT_S,
) -> ScanResult:
    """Never raises for an engine's sake.  A mail that can't be read is at least ``unscannable``."""
    asked = [_ask(engine, raw, facts, envelope, timeout_s) for engine in engines]
    # One alone needs no task of its own.
    answers = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)
    scans = [each for each in answers if isinstance(each, Scan)]
    missing = {
        engine.name: said
        for engine, said in zip(engines, answers, strict=True)
        if isinstance(said, str)
    }
    return combine(scans, missing, is_readable=facts.is_readable)


async def _ask(
    engine: Engine, raw: bytes, facts: MailFacts, envelope: Envelope, timeout_s: float
) -> Scan | str:
    """The answer, or why there is none."""
    try:
        async with asyncio.timeout(timeout_s):
            scan = await engine.scan(raw, facts, envelope)
    except EngineDidNotAnswer as error:
        log.warning("%s did not answer: %s", engine.name, error)
        return str(error)
    except TimeoutError:
        log.warning("%s did not answer within %.0f s", engine.name, timeout_s)
        return f"no answer within {timeout_s:.0f} s"
    except Exception as error:  # an engine's bug must read "not scanned", never stop mail
        log.exception("%s failed", engine.name)
        return f"it failed: {type(error).__name__}"
    # The data path does not trust its engines' arithmetic: a NaN compares false with any limit.
    if not isinstance(scan, Scan) or not all(map(math.isfinite, _numbers(scan))):
        log.error("%s gave numbers that are none", engine.name)
        return "its numbers are none"
    return scan


def _numbers(scan: Scan) -> tuple[float, ...]:
    return (scan.score, scan.confidence, *(reason.weight for reason in scan.reasons))


def combine(scans: Sequence[Scan], missing: Mapping[str, str], *, is_readable: bool) -> ScanResult:
    """The worst verdict with the highest score; all reasons.  ``missing``: engine and why."""
    worst = min(scans, key=lambda scan: (_ORDER.index(scan.verdict), -scan.score), default=None)
    verdict = worst.verdict if worst else None
    if not is_readable and verdict is not Verdict.MALWARE:
        verdict = Verdict.UNSCANNABLE
    elif not scans or (missing and verdict is not None and not verdict.is_threat):
        verdict = None
    return ScanResult(
        verdict=verdict,
        score=max((scan.score for scan in scans), default=0.0),
        confidence=worst.confidence if worst else 0.0,
        reasons=tuple(reason for scan in scans for reason in scan.reasons),
        auth=next((scan.auth for scan in scans if scan.auth), ()),
        engine="+".join(scan.engine for scan in scans),
        version="+".join(scan.version for scan in scans),
        missing=tuple(missing) if missing or scans else ("every engine",),
        why=tuple(f"{name}: {why}" for name, why in missing.items()),
        scans=tuple(scans),
    )
