"""Our YARA rules over a mail's bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import yara_x

from incidents.observations import Reason
from seg_bridge.engines.embedded.payloads import Budget, payloads

SCAN_TIMEOUT_S: Final = 5
_RULES = Path(__file__).parent / "rules.yar"
_of_thread = threading.local()


@cache
def _compiled() -> yara_x.Rules:
    return yara_x.compile(_RULES.read_text(encoding="utf-8"))


def _scanner() -> yara_x.Scanner:
    """One scanner a thread: making one costs more than a scan, and it must not be shared."""
    scanner = getattr(_of_thread, "scanner", None)
    if scanner is None:
        scanner = yara_x.Scanner(_compiled())
        scanner.set_timeout(SCAN_TIMEOUT_S)
        _of_thread.scanner = scanner
    return scanner


def content_reasons(raw: bytes) -> Iterator[Reason]:
    """A reason for every rule that matches, once each, and one where limits were reached."""
    budget = Budget()
    seen: set[str] = set()
    scanner = _scanner()
    for data in payloads(raw, budget):
        try:
            matches = scanner.scan(data).matching_rules
        except (yara_x.ScanError, yara_x.TimeoutError):
            budget.is_spent = True
            continue
        for rule in matches:
            if rule.identifier not in seen:
                seen.add(rule.identifier)
                says = dict(rule.metadata).get("says", rule.identifier)
                yield Reason(f"yara_{rule.identifier}", str(says), rule.identifier)
    if budget.is_spent:
        yield Reason(
            "content_not_all_scanned",
            "The mail holds more packed content than the engine opens; the rest was not looked at.",
        )
