"""The canonical answer: which mails are one incident, which incidents one campaign.

A function of the mails of incidents, how rare their traits are and what people said; the order in
which mail arrived is no part of it.  Candidates come from shared values and are bounded: in each
value's row of mails in order of time, a mail is compared with its nearest neighbours before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from incidents.campaigns.evidence import Link, Mail, Rarity, campaign_link, group_link
from incidents.campaigns.partition import Guards, Pair, Partition, partition

NEIGHBOURS = 8
# 64 MinHash values as 16 bands of 4 rows: two texts at 0.8 meet in a band with p > 0.9997.
BAND_ROWS = 4
_EXACT = ("content", "file")
GUARDS = Guards()

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Words:
    """What people said of one level: pairs of mails that belong together, and that do not."""

    together: tuple[Pair, ...] = ()
    apart: tuple[Pair, ...] = ()


@dataclass(frozen=True, slots=True)
class Canonical:
    """``group_of`` and ``campaign_of`` map each mail to the smallest mail of its cluster."""

    group_of: dict[Any, Any]
    campaign_of: dict[Any, Any]
    groups: Partition
    campaigns: Partition


def canonical(
    mails: Sequence[Mail],
    rarity: Rarity,
    *,
    groups: Words = Words(),
    campaigns: Words = Words(),
) -> Canonical:
    """``rarity.groups`` is reckoned here: how many incidents have a value follows from them."""
    by_id = {mail.id: mail for mail in mails}
    found = partition(
        by_id,
        list(group_links(mails, rarity)),
        together=groups.together,
        # Who is of another campaign is all the more of another incident.
        apart=(*groups.apart, *campaigns.apart),
    )
    rarity = replace(rarity, groups=count_groups(mails, found.root_of))
    links = list(campaign_links(mails, found.root_of, rarity))
    joined = partition(
        set(found.root_of.values()),
        links,
        together=campaigns.together,
        apart=campaigns.apart,
        node_of=found.root_of,
        values_of=values_of_groups(mails, found.root_of),
        guards=GUARDS,
    )
    campaign_of = {mail_id: joined.root_of[root] for mail_id, root in found.root_of.items()}
    return Canonical(found.root_of, campaign_of, found, joined)


def text_keys(mail: Mail) -> Iterator[Key]:
    """Under which mail with the same or nearly the same text is found."""
    if mail.fingerprint:
        yield "content", mail.fingerprint
    for start in range(0, len(mail.shingles) - BAND_ROWS + 1, BAND_ROWS):
        band = f"{start}:" + ",".join(map(str, mail.shingles[start : start + BAND_ROWS]))
        yield "text", blake2b(band.encode(), digest_size=16).hexdigest()


def group_links(mails: Iterable[Mail], rarity: Rarity) -> Iterator[Link]:
    """Links within incidents; each pair is compared once."""
    rows: defaultdict[Key, list[Mail]] = defaultdict(list)
    for mail in mails:
        for key in (*text_keys(mail), *_telling(mail, rarity)):
            rows[key].append(mail)
    compared: set[Pair] = set()
    for (kind, _), row in sorted(rows.items()):
        for mail, other in _neighbours(row, 1 if kind in _EXACT else NEIGHBOURS):
            pair = (min(mail.id, other.id), max(mail.id, other.id))
            if pair not in compared:
                compared.add(pair)
                link = group_link(mail, other, rarity)
                if link is not None:
                    yield link


def campaign_links(
    mails: Iterable[Mail], group_of: Mapping[Any, Any], rarity: Rarity
) -> Iterator[Link]:
    """Links between mails of different incidents; each pair is compared once."""
    rows: defaultdict[Key, list[Mail]] = defaultdict(list)
    for mail in mails:
        for key in (*text_keys(mail), *_telling(mail, rarity)):
            rows[key].append(mail)
    compared: set[Pair] = set()
    for _, row in sorted(rows.items()):
        for mail, other in _neighbours(_one_a_day(row, group_of), NEIGHBOURS):
            pair = (min(mail.id, other.id), max(mail.id, other.id))
            if group_of[mail.id] != group_of[other.id] and pair not in compared:
                compared.add(pair)
                link = campaign_link(mail, other, rarity)
                if link is not None:
                    yield link


def _telling(mail: Mail, rarity: Rarity) -> Iterator[Key]:
    """The values worth looking under: not those that everybody shares."""
    return (key for key, trait in mail.traits.items() if rarity.weighs(trait) > 0)


def _neighbours(row: Iterable[Mail], most: int) -> Iterator[tuple[Mail, Mail]]:
    ordered = sorted(row, key=lambda mail: (mail.seen_at, mail.id))
    for at, mail in enumerate(ordered):
        for other in ordered[max(0, at - most) : at]:
            yield mail, other


def _one_a_day(row: Iterable[Mail], group_of: Mapping[Any, Any]) -> list[Mail]:
    """The first mail of each incident on each day: the others would say the same again."""
    first: dict[tuple[Any, Any], Mail] = {}
    for mail in sorted(row, key=lambda mail: (mail.seen_at, mail.id)):
        first.setdefault((group_of[mail.id], mail.seen_at.date()), mail)
    return list(first.values())


def count_groups(mails: Iterable[Mail], group_of: Mapping[Any, Any]) -> dict[Key, int]:
    """Value → the number of incidents that have it."""
    holders: defaultdict[Key, set[Any]] = defaultdict(set)
    for mail in mails:
        for key in mail.traits:
            holders[key].add(group_of[mail.id])
    return {key: len(groups) for key, groups in holders.items()}


def values_of_groups(
    mails: Iterable[Mail], group_of: Mapping[Any, Any]
) -> dict[Any, frozenset[Key]]:
    """Incident → all values of its mails."""
    found: defaultdict[Any, set[Key]] = defaultdict(set)
    for mail in mails:
        found[group_of[mail.id]].update(mail.traits)
    return {root: frozenset(values) for root, values in found.items()}
