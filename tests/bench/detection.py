"""Detection on labelled mail: gateway alone, mailbox layer alone, both.

    python -m tests.bench.detection CORPUS            measure and print
    python -m tests.bench.detection CORPUS --write    fit on everything and write the weights files

One source is left out at a time: weights are fitted on all others and the source is judged by
them; nothing else would say how the layers do on mail that they have not been made with.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from api_bridge.detect import WEIGHTS as MAILBOX_WEIGHTS
from api_bridge.detect import judge
from incidents.mail import read_mail
from incidents.mail.signals.scale import Scale, load_scale
from seg_bridge.engines import Envelope
from seg_bridge.engines.embedded import WEIGHTS as GATEWAY_WEIGHTS
from seg_bridge.engines.embedded import score_mail
from tests.bench import Measurement, NotMeasured
from tests.bench.detection_corpus import BAD_KINDS, Row, corpus_folder, rows_of
from tests.bench.detection_fit import calibrated, fit, points_of, real_weights
from tests.bench.fraud_set import made_mails

FILES: Final = {"gateway": GATEWAY_WEIGHTS, "mailbox": MAILBOX_WEIGHTS}
RSPAMD_RECALL: Final = 0.222
RSPAMD_HAM: Final = 0.013
HAM_GOAL: Final = 0.01

Measured = dict[str, Any]
Points = dict[str, float]


def left_out_points(rows: Sequence[Row], layer: str) -> Points:
    """Points of every mail (by path) under weights fitted without its source."""
    scale = load_scale(FILES[layer])
    points: Points = {}
    for source in sorted({row.source for row in rows}):
        fitted = fit([row for row in rows if row.source != source], layer, scale)
        for row in rows:
            if row.source == source:
                points[row.path] = points_of(row, layer, fitted)
    return points


def shares(rows: Iterable[Row], flagged: set[str]) -> dict[str, float]:
    """Recall by kind, over all bad mail (``all``), and the share of harmless mail (``ham``)."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        for name in (row.label, "all") if row.is_bad else ("ham",):
            counts[name][0] += row.path in flagged
            counts[name][1] += 1
    return {name: hit / of for name, (hit, of) in counts.items()}


def told(found: dict[str, float]) -> str:
    kinds = ", ".join(f"{kind} {found[kind]:.3f}" for kind in BAD_KINDS if kind in found)
    return f"{kinds}; false positives {found.get('ham', 0.0):.2%}"


def by_source(rows: Sequence[Row], flagged: set[str]) -> str:
    parts = []
    for source in sorted({row.source for row in rows}):
        found = shares((row for row in rows if row.source == source), flagged)
        parts.append(
            f"{source[:40]}: "
            + " ".join(f"{name} {found[name]:.2f}" for name in ("all", "ham") if name in found)
        )
    return " | ".join(parts)


def calibration_error(rows: Sequence[Row], points: Points, scale: Scale) -> float:
    """Mean distance between the confidence said and the share that came true, in ten bins."""
    counts = real_weights(np.array([row.is_bad for row in rows], dtype=float))
    distances: dict[int, float] = defaultdict(float)
    for row, count in zip(rows, counts, strict=True):
        chance = scale.probability(points[row.path])
        distances[min(9, int(chance * 10))] += count * (chance - row.is_bad)
    return sum(abs(distance) for distance in distances.values()) / len(rows)


def fraud_shares() -> tuple[dict[str, dict[str, float]], dict[str, set[str]]]:
    """Kind → share condemned by gateway, mailbox, both; and which verdicts the mailbox gave."""
    hits: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    verdicts: dict[str, set[str]] = defaultdict(set)
    for made in made_mails():
        facts = read_mail(made.raw)
        sender = facts.sender.address if facts.sender else ""
        envelope = Envelope(
            client_ip="192.0.2.7",
            helo=f"mail.{sender.partition('@')[2]}",
            mail_from=sender,
            recipients=(made.context.recipient.address,),
            received_at=datetime.now(UTC),
        )
        judged = judge(facts, made.context)
        is_internal = made.context.is_internal  # such mail never crosses the gateway
        gateway = not is_internal and score_mail(made.raw, facts, envelope, None).verdict.is_threat
        hits[f"{made.kind}{'' if made.is_bad else ' (harmless)'}"].append(
            (gateway, judged.verdict.is_threat)
        )
        verdicts[made.kind].add(judged.verdict.value)
    found = {
        kind: {
            "gateway": sum(one for one, _ in pairs) / len(pairs),
            "mailbox": sum(two for _, two in pairs) / len(pairs),
            "both": sum(one or two for one, two in pairs) / len(pairs),
        }
        for kind, pairs in hits.items()
    }
    return found, verdicts


@cache
def _measured() -> tuple[Measured, ...]:
    """All lines, once a run; the details go to standard error.  Raises ``NotMeasured``."""
    folder = corpus_folder()
    if folder is None:
        raise NotMeasured("the labelled corpus is not here (BAILEY_SHARED names its folder)")
    lines = tuple(measure(folder))
    for line in lines:
        sys.stderr.write(f"{line['name']}: {line['detail']}\n")
    return lines


def _one(name: str) -> Callable[[], list[Measurement]]:
    def measured() -> list[Measurement]:
        return [
            Measurement(**{key: value for key, value in line.items() if key != "detail"})
            for line in _measured()
            if line["name"] == name
        ]

    return measured


def measure(corpus_dir: Path) -> list[Measured]:
    """``detection_gateway``, ``detection_mailbox``, ``detection_both``, ``detection_fraud``."""
    rows = rows_of(corpus_dir, _progress)
    points = {layer: left_out_points(rows, layer) for layer in FILES}
    flagged = {
        layer: {path for path, has in points[layer].items() if has >= load_scale(file).limit}
        for layer, file in FILES.items()
    }
    flagged["both"] = flagged["gateway"] | flagged["mailbox"]
    found = {name: shares(rows, paths) for name, paths in flagged.items()}
    fraud, verdicts = fraud_shares()
    measured = [
        _line(
            f"detection_{name}",
            found[name]["all"],
            against=f"Rspamd, local maps: {RSPAMD_RECALL} at {RSPAMD_HAM:.1%}; "
            f"here at {found[name]['ham']:.2%}",
            goal=f"> {RSPAMD_RECALL}, false positives ≤ {HAM_GOAL:.0%}",
            met=found[name]["all"] > RSPAMD_RECALL and found[name]["ham"] <= HAM_GOAL,
            detail=f"{told(found[name])}; calibration error "
            f"{calibration_error(rows, points[name], load_scale(FILES[name])):.3f}; "
            f"{by_source(rows, flagged[name])}",
        )
        for name in FILES
    ]
    return [*measured, _both(found), _fraud(fraud, verdicts)]


def _line(name: str, value: float, **rest: object) -> Measured:
    return {"name": name, "value": round(value, 3), "unit": "recall", **rest}


def _both(found: dict[str, dict[str, float]]) -> Measured:
    """Real mail only.  The corpus knows no clients, so the mailbox layer gains little here; what it
    is for shows in ``detection_fraud``.
    """
    alone = {name: found[name]["all"] for name in FILES}
    return _line(
        "detection_both",
        found["both"]["all"],
        against=" ".join(f"{name} alone {value:.3f}" for name, value in alone.items()),
        goal=f"above each alone, false positives ≤ {HAM_GOAL:.0%}",
        met=found["both"]["all"] > max(alone.values()) and found["both"]["ham"] <= HAM_GOAL,
        detail=told(found["both"]),
    )


def _fraud(fraud: dict[str, dict[str, float]], verdicts: dict[str, set[str]]) -> Measured:
    bad = {kind: found for kind, found in fraud.items() if "harmless" not in kind}
    harmless = {kind: found for kind, found in fraud.items() if "harmless" in kind}
    value = sum(found["mailbox"] for found in bad.values()) / len(bad)
    wrong = max(found["both"] for found in harmless.values())
    parts = [
        f"{kind}: gateway {found['gateway']:.2f}, mailbox {found['mailbox']:.2f} "
        f"({'/'.join(sorted(verdicts[kind.partition(' ')[0]]))})"
        for kind, found in fraud.items()
    ]
    return _line(
        "detection_fraud",
        value,
        against=f"gateway alone {sum(one['gateway'] for one in bad.values()) / len(bad):.3f}",
        goal="≥ 0.9, harmless twins ≤ 2 %",
        met=value >= 0.9 and wrong <= 0.02,
        detail="made-up mail, own templates; " + "; ".join(parts),
    )


def write_weights(rows: Sequence[Row]) -> None:
    """Fits on everything; confidence is calibrated on the left-out points, not on these."""
    for layer, path in FILES.items():
        fitted = fit(rows, layer, load_scale(path))
        points = left_out_points(rows, layer)
        final = calibrated(fitted, [(points[row.path], row.is_bad) for row in rows])
        text = path.read_text(encoding="utf-8")
        for code, weight in final.weights.items():
            if not weight.fixed:
                text = re.sub(
                    rf"(?m)^({code} = {{points = )[-\d.]+", rf"\g<1>{weight.points:g}", text
                )
        text = re.sub(
            r"(?m)^confidence = .*$",
            f"confidence = {{middle = {final.middle}, width = {final.width}}}",
            text,
        )
        path.write_text(text, encoding="utf-8")


def _progress(done: int, of: int) -> None:
    if done % 500 == 0 or done == of:
        sys.stderr.write(f"\rreading labelled mail: {done} of {of}" + ("\n" if done == of else ""))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="the folder that holds manifest.csv")
    parser.add_argument("--write", action="store_true", help="fit and write the weights files")
    options = parser.parse_args(arguments)
    if options.write:
        write_weights(rows_of(options.corpus, _progress))
        return
    for line in measure(options.corpus):
        print(f"{line['name']}: {line['value']} ({line['goal']}; met: {line['met']})")
        print(f"  against {line['against']}\n  {line['detail']}")


NAMES: Final = ("gateway", "mailbox", "both", "fraud")
MEASURES = {f"detection_{name}": _one(f"detection_{name}") for name in NAMES}

if __name__ == "__main__":
    main(sys.argv[1:])
