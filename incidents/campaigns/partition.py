"""From links to clusters: one answer for one set of links, whatever the order they came in.

1. What people joined is joined first.
2. Links follow by strength, ties by id, as in a maximum spanning forest.
3. A link that would put what people keep apart into one cluster is refused, and so is one that a
   guard calls too thin to carry two large clusters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from incidents.campaigns.evidence import Link

Pair = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Guards:
    """Against lumps.  Sizes are in nodes.

    Two clusters of at least ``large`` join only if ``share`` of the smaller one has links into the
    other, and if no single value that is foreign to either carries all of these links.  What would
    be larger than ``most`` needs ``raised`` times the strength.
    """

    large: int = 5
    share: float = 0.25
    most: int = 150
    raised: float = 16.0


@dataclass(slots=True)
class Partition:
    """``root_of``: node → the smallest node of its cluster; ``used`` is the spanning forest."""

    root_of: dict[Any, Any] = field(default_factory=dict)
    used: list[Link] = field(default_factory=list)
    refused: list[tuple[Link, str]] = field(default_factory=list)

    def clusters(self) -> dict[Any, list[Any]]:
        found: dict[Any, list[Any]] = {}
        for node in sorted(self.root_of):
            found.setdefault(self.root_of[node], []).append(node)
        return found


def partition(
    nodes: Iterable[Any],
    links: Sequence[Link],
    *,
    together: Iterable[Pair] = (),
    apart: Iterable[Pair] = (),
    node_of: Mapping[Any, Any] | None = None,
    values_of: Mapping[Any, frozenset[Hashable]] | None = None,
    guards: Guards | None = None,
) -> Partition:
    """``node_of`` maps the ends of links and pairs to nodes (None: they are nodes themselves).

    ``values_of`` are the values that a node carries, for the guard against bridges.  Pairs whose
    ends are unknown are passed over.  Where ``together`` and ``apart`` contradict each other,
    ``together`` holds: the services withdraw the older word.
    """
    state = _Clusters(nodes, values_of or {}, guards)
    place = node_of if node_of is not None else {node: node for node in state.parent}
    for a, b in sorted(together):
        if a in place and b in place:
            state.join(place[a], place[b])
    for a, b in apart:
        if a in place and b in place:
            state.keep_apart(place[a], place[b])
    known = [link for link in links if link.a in place and link.b in place]
    if guards is not None:
        state.know_links(known, place)
    found = Partition()
    for link in sorted(known, key=lambda link: (-link.strength, link.a, link.b)):
        a, b = state.root(place[link.a]), state.root(place[link.b])
        if a == b:
            continue
        objection = state.objection(a, b, link)
        if objection:
            found.refused.append((link, objection))
        else:
            state.join(a, b)
            found.used.append(link)
    found.root_of = {node: state.root(node) for node in state.parent}
    return found


class _Clusters:
    """Union-find whose roots are the smallest nodes, with what the guards must know."""

    def __init__(
        self,
        nodes: Iterable[Any],
        values_of: Mapping[Any, frozenset[Hashable]],
        guards: Guards | None,
    ) -> None:
        self.parent = {node: node for node in nodes}
        self.members: dict[Any, list[Any]] = {node: [node] for node in self.parent}
        self.foes: dict[Any, set[Any]] = {}
        self.guards = guards
        self.values = (
            {node: Counter(values_of.get(node, ())) for node in self.parent} if guards else {}
        )
        self.links_at: dict[Any, list[tuple[Any, frozenset[Hashable]]]] = {}

    def root(self, node: Any) -> Any:
        while self.parent[node] != node:
            self.parent[node] = self.parent[self.parent[node]]
            node = self.parent[node]
        return node

    def know_links(self, links: Iterable[Link], place: Mapping[Any, Any]) -> None:
        for link in links:
            a, b = place[link.a], place[link.b]
            values = frozenset((part.kind, part.value) for part in link.parts if part.value)
            self.links_at.setdefault(a, []).append((b, values))
            self.links_at.setdefault(b, []).append((a, values))

    def keep_apart(self, a: Any, b: Any) -> None:
        a, b = self.root(a), self.root(b)
        if a != b:
            self.foes.setdefault(a, set()).add(b)
            self.foes.setdefault(b, set()).add(a)

    def join(self, a: Any, b: Any) -> None:
        a, b = self.root(a), self.root(b)
        if a == b:
            return
        kept, gone = (a, b) if a < b else (b, a)
        self.parent[gone] = kept
        self.members[kept] += self.members.pop(gone)
        for foe in self.foes.pop(gone, set()):
            self.foes[foe].discard(gone)
            self.foes[foe].add(kept)
            self.foes.setdefault(kept, set()).add(foe)
        if self.guards:
            self.values[kept] += self.values.pop(gone)

    def objection(self, a: Any, b: Any, link: Link) -> str:
        """Why these two clusters may not be joined by this link; "" if they may."""
        if b in self.foes.get(a, ()):
            return "kept apart by a person"
        if self.guards is None:
            return ""
        return self._too_large(a, b, link) or self._too_thin(a, b)

    def _too_large(self, a: Any, b: Any, link: Link) -> str:
        assert self.guards is not None
        size = len(self.members[a]) + len(self.members[b])
        too_large = size > self.guards.most and link.strength < self.guards.raised
        return "the campaign would be too large for this evidence" if too_large else ""

    def _too_thin(self, a: Any, b: Any) -> str:
        assert self.guards is not None
        small, other = sorted((a, b), key=lambda root: (len(self.members[root]), root))
        size = len(self.members[small])
        if size < self.guards.large:
            return ""
        touching: set[Any] = set()
        crossing: list[frozenset[Hashable]] = []
        for node in self.members[small]:
            for neighbour, values in self.links_at.get(node, ()):
                if self.root(neighbour) == other:
                    touching.add(node)
                    crossing.append(values)
        if len(touching) < self.guards.share * size:
            return "too few of its mails resemble the other campaign"
        for value in frozenset.intersection(*crossing):
            if not (self._is_native(value, a) and self._is_native(value, b)):
                return "a single value is all that would join them"
        return ""

    def _is_native(self, value: Hashable, root: Any) -> bool:
        """Carried by at least half of the cluster: its signature, not a bridge into it."""
        return 2 * self.values[root][value] >= len(self.members[root])
