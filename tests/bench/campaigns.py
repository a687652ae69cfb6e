"""Are incidents and campaigns what they are in truth?  And does unrelated mail stay apart?

``b_cubed`` makes mail whose truth is known (tests/bench/_campaign_truth.py), reads it from its
bytes as any mail, and compares: for each mail, how much of its campaign is of its hand (precision),
and how much of its hand is in its campaign (recall).  ``largest_campaign`` takes all threats of the
corpus as if one client had got them at the same time: the worst case for lumps.
"""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from incidents.campaigns.canonical import Canonical, canonical
from incidents.campaigns.evidence import Mail, Rarity, mail_of
from incidents.campaigns.traits import traits_of
from incidents.mail.read import read_mail
from tests.bench import Measurement, NotMeasured
from tests.bench._campaign_truth import Made, made_mail
from tests.bench.detection_corpus import corpus_folder

SEEDS = (1, 2, 3)
HANDS, SINGLES, BENIGN = 60, 150, 2_000
PRECISION_GOAL, RECALL_GOAL = 0.98, 0.85
LARGEST_GOAL = 0.06


def b_cubed(cluster_of: Mapping[Any, Any], truth_of: Mapping[Any, Any]) -> tuple[float, float]:
    """Precision and recall, averaged over all items (Bagga and Baldwin, 1998)."""
    both = Counter((cluster_of[item], truth_of[item]) for item in cluster_of)
    clusters = Counter(cluster_of.values())
    truths = Counter(truth_of[item] for item in cluster_of)
    number = len(cluster_of)
    precision = sum(n * n / clusters[cluster] for (cluster, _), n in both.items()) / number
    recall = sum(n * n / truths[truth] for (_, truth), n in both.items()) / number
    return precision, recall


def pairwise_f1(cluster_of: Mapping[Any, Any], truth_of: Mapping[Any, Any]) -> float:
    """Over pairs of mails that are, or should be, together."""

    def pairs(numbers: Iterable[int]) -> float:
        return sum(n * (n - 1) / 2 for n in numbers)

    right = pairs(Counter((cluster_of[item], truth_of[item]) for item in cluster_of).values())
    made = pairs(Counter(cluster_of.values()).values())
    true = pairs(Counter(truth_of[item] for item in cluster_of).values())
    return 2 * right / (made + true)


def wrongly_glued(cluster_of: Mapping[Any, Any], truth_of: Mapping[Any, Any]) -> float:
    """The share of campaigns with mail of two hands or more."""
    hands: dict[Any, set[Any]] = {}
    for item, cluster in cluster_of.items():
        hands.setdefault(cluster, set()).add(truth_of[item])
    several = [cluster for cluster, found in hands.items() if len(found) > 1]
    sizes = Counter(cluster_of.values())
    return len(several) / max(1, sum(size > 1 for size in sizes.values()))


def read_all(made: Iterable[Made]) -> tuple[list[Mail], dict[int, str], Rarity]:
    """Threats as mails, their truth, and how common every trait is over harmless mail too."""
    messages: Counter[tuple[str, str]] = Counter()
    threats: Counter[tuple[str, str]] = Counter()
    mails: list[Mail] = []
    truth: dict[int, str] = {}
    for number, each in enumerate(made):
        facts = read_mail(each.raw)
        plain = facts.as_json()
        traits = traits_of(plain)
        keys = [(trait.kind, trait.value) for trait in traits]
        messages.update(keys)
        if each.truth:
            threats.update(keys)
            truth[number] = each.truth
            mails.append(
                mail_of(
                    number,
                    each.at,
                    plain,
                    traits=traits,
                    fingerprint=facts.fingerprint,
                    is_malware=each.is_malware,
                )
            )
    return mails, truth, Rarity(messages, threats)


def measure_b_cubed() -> list[Measurement]:
    found: list[tuple[float, float, float, float]] = []
    mails: Sequence[Mail] = []
    largest, took = 0.0, 0.0
    for seed in SEEDS:
        made = made_mail(seed, hands=HANDS, singles=SINGLES, benign=BENIGN)
        mails, truth, rarity = read_all(made)
        began = time.perf_counter()
        answer = canonical(mails, rarity)
        took += time.perf_counter() - began
        of = answer.campaign_of
        found.append((*b_cubed(of, truth), pairwise_f1(of, truth), wrongly_glued(of, truth)))
        largest = max(largest, _largest(answer))
    worst_precision, worst_recall = (min(row[at] for row in found) for at in (0, 1))
    about = (
        f"the truth of {HANDS} hands and {SINGLES} single mails among {BENIGN} harmless ones;"
        f" the worst of {len(SEEDS)} sets"
    )
    return [
        Measurement(
            name="b_cubed precision",
            value=worst_precision,
            unit="share",
            against=about,
            goal=f"≥ {PRECISION_GOAL}",
            met=worst_precision >= PRECISION_GOAL,
        ),
        Measurement(
            name="b_cubed recall",
            value=worst_recall,
            unit="share",
            against=about,
            goal=f"≥ {RECALL_GOAL}",
            met=worst_recall >= RECALL_GOAL,
        ),
        Measurement(
            name="b_cubed pairwise F1",
            value=min(row[2] for row in found),
            unit="share",
            against=about,
        ),
        Measurement(
            name="b_cubed wrongly glued",
            value=max(row[3] for row in found),
            unit="share of campaigns",
            against=about,
        ),
        Measurement(
            name="b_cubed time",
            value=took / len(SEEDS) * 1e6 / len(mails),
            unit="µs a mail",
            against=f"the canonical pass over {len(mails)} threats",
        ),
    ]


def measure_largest_campaign() -> list[Measurement]:
    folder = corpus_folder()
    if folder is None:
        raise NotMeasured("the labelled corpus is not here (BAILEY_SHARED names its folder)")
    mails, rarity, everything = _corpus(folder)
    answer = canonical(mails, rarity)
    sizes = Counter(answer.campaign_of.values())
    value = _largest(answer)
    return [
        Measurement(
            name="largest_campaign",
            value=value,
            unit="share of the threats",
            against=f"{len(mails)} threats of {everything} mails, all at the same time",
            goal=f"< {LARGEST_GOAL}",
            met=value < LARGEST_GOAL,
        ),
        Measurement(
            name="largest_campaign naive",
            value=_naive(mails) / len(mails),
            unit="share of the threats",
            against="joining whatever shares one value, without counting how common it is",
        ),
        Measurement(
            name="largest_campaign campaigns",
            value=sum(size > 1 for size in sizes.values()),
            unit="campaigns of two mails or more",
            against=f"{len(set(answer.group_of.values()))} incidents",
        ),
    ]


def _largest(answer: Canonical) -> float:
    return max(Counter(answer.campaign_of.values()).values()) / len(answer.campaign_of)


def _corpus(folder: Path) -> tuple[list[Mail], Rarity, int]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    at = datetime(2026, 11, 1, tzinfo=UTC)
    made = (
        Made(
            row["label"] if row["label"] != "ham" else "",
            (folder / row["path"]).read_bytes(),
            at,
            row["label"] == "malware",
        )
        for row in rows
    )
    mails, _, rarity = read_all(made)
    return mails, rarity, len(rows)


def _naive(mails: Iterable[Mail]) -> int:
    """The size of the largest lump of plain union-find over every shared value."""
    root: dict[Any, Any] = {}

    def root_of(node: Any) -> Any:
        while root.setdefault(node, node) != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    ids = []
    for mail in mails:
        ids.append(mail.id)
        for key in mail.traits:
            root[root_of(mail.id)] = root_of(key)
    return max(Counter(root_of(mail_id) for mail_id in ids).values())


MEASURES = {"b_cubed": measure_b_cubed, "largest_campaign": measure_largest_campaign}
