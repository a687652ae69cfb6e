"""From Rspamd's score and symbols to a verdict in Bailey's words.

Rspamd's own action is never looked at: it depends on thresholds that are not ours.  The points are
Rspamd's, but where ``symbols.toml`` says otherwise; that file also says which verdict a symbol
speaks for and, where Rspamd's own words say too little, in which sentence it is told.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from incidents.mail.facts import AuthResult, MailFacts
from incidents.mail.signals.scale import KINDS, Scale
from incidents.observations import Reason
from incidents.words import Verdict
from seg_bridge.engines import Envelope, Scan

SYMBOLS: Final = Path(__file__).parent / "symbols.toml"
REASONS_TOLD: Final = 40
_VALUE_CHARS: Final = 200
_NO_NAME: Final = "HFILTER_HOSTNAME_UNKNOWN"
_SPF = {
    "R_SPF_ALLOW": "pass",
    "R_SPF_FAIL": "fail",
    "R_SPF_SOFTFAIL": "softfail",
    "R_SPF_NEUTRAL": "neutral",
    "R_SPF_DNSFAIL": "temperror",
    "R_SPF_PERMFAIL": "permerror",
    "R_SPF_NA": "none",
}
_DKIM = {
    "R_DKIM_ALLOW": "pass",
    "R_DKIM_REJECT": "fail",
    "R_DKIM_TEMPFAIL": "temperror",
    "R_DKIM_PERMFAIL": "permerror",
    "R_DKIM_NA": "none",
}
_DMARC = {
    "DMARC_POLICY_ALLOW": "pass",
    "DMARC_POLICY_ALLOW_WITH_FAILURES": "pass",
    "DMARC_POLICY_REJECT": "fail",
    "DMARC_POLICY_QUARANTINE": "fail",
    "DMARC_POLICY_SOFTFAIL": "fail",
    "DMARC_DNSFAIL": "temperror",
    "DMARC_BAD_POLICY": "permerror",
    "DMARC_NA": "none",
}


class Symbol(NamedTuple):
    """One rule of Rspamd that fired; ``options`` are the facts that it names."""

    name: str
    score: float
    description: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What Rspamd found; ``score`` is its own sum, ``version`` what it calls itself."""

    score: float
    symbols: dict[str, Symbol]
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a symbol is to us.  ``points`` None: Rspamd's, kept between ``least`` and ``most``.
    ``says`` may hold ``{value}``, which is the symbol's first option.
    """

    points: float | None = None
    least: float | None = None
    most: float | None = None
    kind: str = ""
    says: str = ""

    def weigh(self, score: float) -> float:
        if self.points is not None:
            return self.points
        if self.least is not None:
            score = max(self.least, score)
        return score if self.most is None else min(self.most, score)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    scale: Scale
    of_symbol: dict[str, Rule]

    def weigh(self, symbol: Symbol) -> float:
        rule = self.of_symbol.get(symbol.name)
        return rule.weigh(symbol.score) if rule is not None else symbol.score


@cache
def load_rules(path: Path = SYMBOLS) -> Rules:
    """Raises ``KeyError`` or ``TypeError`` where the file is not what it should be."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    scale = Scale(
        limit=float(data["limit"]),
        middle=float(data["confidence"]["middle"]),
        width=float(data["confidence"]["width"]),
        weights={},
    )
    return Rules(
        scale=scale, of_symbol={name: Rule(**entry) for name, entry in data["symbol"].items()}
    )


def scan_of(answer: Answer, facts: MailFacts, envelope: Envelope, *, authserv_id: str) -> Scan:
    rules = load_rules()
    weights = {name: rules.weigh(symbol) for name, symbol in answer.symbols.items()}
    if not envelope.client_name and _NO_NAME in weights:
        weights[_NO_NAME] = 0.0  # it was not told the name, which says nothing about the host
    # Rspamd caps the sum of some groups, so its own score is the start and not the symbols' sum.
    changed = sum(weights[name] - symbol.score for name, symbol in answer.symbols.items())
    points = round(answer.score + changed, 2)
    chance = rules.scale.probability(points)
    if points < rules.scale.limit:
        verdict, confidence = Verdict.CLEAN, 1 - chance
    else:
        verdict, confidence = _kind(weights, rules), chance
    return Scan(
        engine="rspamd",
        version=answer.version,
        verdict=verdict,
        score=points,
        confidence=round(confidence, 3),
        reasons=tuple(_reasons(answer, weights, rules)),
        auth=tuple(_auth(answer, facts, envelope, authserv_id)),
    )


def _kind(weights: dict[str, float], rules: Rules) -> Verdict:
    """The kind with most points behind it; plain spam where no symbol speaks for one."""
    votes: dict[str, float] = {}
    for name, weight in weights.items():
        rule = rules.of_symbol.get(name)
        if rule is not None and rule.kind and weight > 0:
            votes[rule.kind] = votes.get(rule.kind, 0.0) + weight
    best = max(KINDS, key=lambda kind: votes.get(kind, 0.0))
    return best if votes.get(best, 0.0) >= 1.0 else Verdict.SPAM


def _reasons(answer: Answer, weights: dict[str, float], rules: Rules) -> Iterator[Reason]:
    """Symbols that count, heaviest first, and those that we have a sentence for."""
    told = [
        symbol
        for symbol in answer.symbols.values()
        if weights[symbol.name] or (symbol.name in rules.of_symbol and _says(symbol, rules))
    ]
    told.sort(key=lambda symbol: (-abs(weights[symbol.name]), symbol.name))
    for symbol in told[:REASONS_TOLD]:
        value = ", ".join(symbol.options)[:_VALUE_CHARS]
        words = _says(symbol, rules) or symbol.description.strip().rstrip(".") or "A rule fired"
        text = f"{words} (Rspamd: {symbol.name})."
        yield Reason(f"rspamd_{symbol.name.lower()}", text, value, round(weights[symbol.name], 2))


def _says(symbol: Symbol, rules: Rules) -> str:
    rule = rules.of_symbol.get(symbol.name)
    if rule is None or not rule.says:
        return ""
    value = symbol.options[0] if symbol.options else ""
    return rule.says.replace("{value}", value.partition(" : ")[0][:_VALUE_CHARS])


def _auth(
    answer: Answer, facts: MailFacts, envelope: Envelope, authserv_id: str
) -> Iterator[AuthResult]:
    """SPF, DKIM and DMARC in the words of RFC 8601; nothing for mail sent with a login, which
    Rspamd does not check.
    """
    symbols = answer.symbols
    for name, result in _SPF.items():
        if name in symbols:
            domain = envelope.mail_from.rpartition("@")[2] or envelope.helo
            yield AuthResult(authserv_id, "spf", result, domain.lower())
            break
    for name, result in _DKIM.items():
        for option in _options(symbols, name):
            yield AuthResult(authserv_id, "dkim", result, option.partition(":")[0].lower())
    for name, result in _DMARC.items():
        if name in symbols:
            options = symbols[name].options
            policy = f"p={options[1]}" if len(options) > 1 else ""
            domain = facts.sender.domain if facts.sender else ""
            yield AuthResult(authserv_id, "dmarc", result, domain, policy)
            break


def _options(symbols: dict[str, Symbol], name: str) -> tuple[str, ...]:
    """The options of a symbol that fired, at least one; () where it did not."""
    if name not in symbols:
        return ()
    return symbols[name].options or ("",)
