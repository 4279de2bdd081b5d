"""A lineage as the geometry of a small SVG: what was read on the left, what was made of it on the right."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlrepro.web.pages.lineage import Lineage, Node

_WIDTH, _HEIGHT = 182, 46
_ACROSS, _DOWN = 48, 14
_EDGE = 8
_LONGEST = 24


@dataclass(frozen=True)
class Box:
    """A version in the picture."""

    node: Node
    x: float
    y: float
    title: str
    label: str
    sub: str
    kind: str
    width: int = _WIDTH
    height: int = _HEIGHT


@dataclass(frozen=True)
class Picture:
    """What is drawn."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    paths: tuple[str, ...]
    description: str


def picture(lineage: Lineage) -> Picture:
    """Put levels beside each other, and versions of a level below each other in the order of what they hang on."""
    levels = sorted({node.level for node in lineage.nodes})
    columns = {level: [node for node in lineage.nodes if node.level == level] for level in levels}
    tallest = max(len(column) for column in columns.values())
    height = tallest * (_HEIGHT + _DOWN) - _DOWN + 2 * _EDGE
    boxes: dict[str, Box] = {}
    for position, level in enumerate(levels):
        column = columns[level]
        top = (height - len(column) * (_HEIGHT + _DOWN) + _DOWN) / 2
        for row, node in enumerate(column):
            x = _EDGE + position * (_WIDTH + _ACROSS)
            boxes[node.id] = _box(node, x, top + row * (_HEIGHT + _DOWN))
    paths = [_path(boxes[edge.source], boxes[edge.target]) for edge in lineage.edges]
    return Picture(
        width=len(levels) * (_WIDTH + _ACROSS) - _ACROSS + 2 * _EDGE,
        height=height,
        boxes=tuple(boxes.values()),
        paths=tuple(dict.fromkeys(paths)),
        description=_described(lineage),
    )


def _box(node: Node, x: float, y: float) -> Box:
    number = f"v{node.number}" if node.number is not None else f"content {node.content[:10]}"
    via = f" by {node.channel}" if node.channel else ""
    who = f" · {node.who}" if node.who else ""
    short = node.name.rpartition("/")[2] or node.name
    kind = "this" if node.level == 0 else "channel" if node.channel else ""
    when = f" · {node.made[:10]}" if node.made else ""
    return Box(node, x, y, f"{node.name} {number}{via}", _cut(short), _cut(f"{number}{via}{who}{when}", 30), kind)


def _path(source: Box, target: Box) -> str:
    x1, y1 = source.x + _WIDTH, source.y + _HEIGHT / 2
    x2, y2 = target.x, target.y + _HEIGHT / 2
    bend = max(24.0, (x2 - x1) / 2)
    return f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"


def _described(lineage: Lineage) -> str:
    names = {node.id: f"{node.name} v{node.number or '?'}" for node in lineage.nodes}
    said: Sequence[str] = [f"{names[edge.target]} from {names[edge.source]}" for edge in lineage.edges[:40]]
    return "; ".join(said) or "nothing was made from it, and nothing is known of what it was made from"


def _cut(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
