"""A graph as a picture: where its boxes and lines stand.  No database, no text of its own.

Three columns: who sent, what joins them, what was sent and to whom.  Sizes are CSS pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import TypeVar

from console.queries.together_graph import Graph, Joint, Node

BOX_WIDTH, BOX_HEIGHT, GAP = 240, 42, 10
COLUMN = BOX_WIDTH + 110
WIDTH = 2 * COLUMN + BOX_WIDTH
LEFT_KINDS = ("sender", "domain", "ip")
THICKEST = 6.0
_Each = TypeVar("_Each")


@dataclass(frozen=True, slots=True)
class Box:
    """``node`` or ``joint`` is what it shows."""

    x: int
    y: int
    node: Node | None = None
    joint: Joint | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """``path`` as SVG writes it."""

    path: str
    width: float
    is_focus: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """``more_y``: where the box stands that says how many more there are, None for none."""

    boxes: list[Box]
    lines: list[Line]
    width: int
    height: int
    more_x: int
    more_y: int | None
    hidden: int


def draw(graph: Graph) -> Picture:
    left = _in_order([n for n in graph.shown if n.thing.kind.name in LEFT_KINDS])
    right = _in_order([n for n in graph.shown if n.thing.kind.name not in LEFT_KINDS])
    has_more = graph.hidden > 0
    height = _height(max(len(left), len(graph.joints), len(right) + has_more))
    joints = [Box(COLUMN, y, joint=joint) for joint, y in _spread(graph.joints, height)]
    right_height = height - (BOX_HEIGHT + GAP if has_more else 0)
    nodes = [Box(0, y, node=node) for node, y in _spread(left, height)]
    nodes += [Box(2 * COLUMN, y, node=node) for node, y in _spread(right, right_height)]
    lines = [
        _line(box, joints[place], mails)
        for box in nodes
        if box.node is not None
        for place, mails in sorted(box.node.mails_in.items())
    ]
    return Picture(
        boxes=[*(box for box in nodes if box.x == 0), *joints, *(box for box in nodes if box.x)],
        lines=lines,
        width=WIDTH,
        height=height,
        more_x=2 * COLUMN,
        more_y=height - BOX_HEIGHT if has_more else None,
        hidden=graph.hidden,
    )


def _in_order(nodes: Sequence[Node]) -> list[Node]:
    """Beside what they are joined to, so that few lines cross."""
    return sorted(nodes, key=lambda node: sum(node.mails_in) / len(node.mails_in))


def _height(boxes: int) -> int:
    return max(1, boxes) * (BOX_HEIGHT + GAP) - GAP


def _spread(column: Sequence[_Each], height: int) -> list[tuple[_Each, int]]:
    """Each with its upper edge: evenly, in the middle of the height."""
    used = _height(len(column))
    room = (height - used) / (len(column) + 1) if column else 0
    step = BOX_HEIGHT + GAP + room
    return [(each, round(room + place * step)) for place, each in enumerate(column)]


def _line(box: Box, joint: Box, mails: int) -> Line:
    starts_left = box.x < joint.x
    x1, x2 = (box.x + BOX_WIDTH, joint.x) if starts_left else (joint.x + BOX_WIDTH, box.x)
    y1, y2 = (box.y, joint.y) if starts_left else (joint.y, box.y)
    y1, y2 = y1 + BOX_HEIGHT // 2, y2 + BOX_HEIGHT // 2
    middle = (x1 + x2) // 2
    return Line(
        f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}",
        min(THICKEST, round(1 + log2(mails), 1)),
        is_focus=box.node is not None and box.node.is_focus,
    )
