"""One metric over all versions of an asset, as the geometry of a small SVG."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mlrepro.comparison.metrics import Number
from mlrepro.comparison.past import Move, Past
from mlrepro.comparison.shown import number

WIDTH = 400
_LEFT, _RIGHT, _TOP, _FOOT = 52, 20, 24, 24
_LONGEST_CHANNEL = 14
_PLOT_HEIGHT = 132
_LANE = 20
_MOST_DOTS = 80
"""Versions up to which each has a dot; of more, only the line is drawn, and those that are compared."""

_LABEL_WIDTH = 7
"""About the width of a character of a label."""


@dataclass(frozen=True)
class Point:
    """One version in the plot."""

    x: float
    y: float
    said: str


@dataclass(frozen=True)
class Mark(Point):
    """A version that is compared."""

    label: str
    label_y: float
    first: bool


@dataclass(frozen=True)
class Event:
    """A promotion or rollback: in its channel's lane, and on the line where the version's metric is known.

    A rollback is an arrow from the version that was served before; without that one, it is a mark like a promotion.
    """

    kind: str
    x: float
    lane_y: float
    said: str
    y: float | None
    arrow: str | None


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Lane:
    """The line under the plot that belongs to a channel."""

    name: str
    y: float


@dataclass(frozen=True)
class Plot:
    """What the page draws for one metric.

    Attributes:
        name: Name of the metric.
        description: The plot in words.
        height: Height of the picture; its width is `WIDTH`.
        lines: Points of each unbroken stretch, as SVG takes them.
        dots: Versions that are not compared.
        marks: Versions that are.
        events: What channels did.
        lanes: Channels.
        x_ticks: Version numbers.
        y_ticks: Values.
    """

    name: str
    description: str
    height: float
    lines: tuple[str, ...]
    dots: tuple[Point, ...]
    marks: tuple[Mark, ...]
    events: tuple[Event, ...]
    lanes: tuple[Lane, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    left: float
    width: float = WIDTH
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = _TOP + _PLOT_HEIGHT


def plots(past: Past) -> list[Plot]:
    """Plot every metric that any version of an asset has."""
    names = sorted({name for metrics in past.metrics for name in metrics}, key=lambda name: ("." in name, name))
    return [plot(past, name) for name in names]


def plot(past: Past, name: str) -> Plot:
    """Plot one metric over the versions of an asset, with those that are compared and the moves of its channels."""
    values = [metrics.get(name) for metrics in past.metrics]
    numbers = [version.number for version in past.versions]
    channels = list(dict.fromkeys(move.channel for move in past.moves))
    left = max([_LEFT, *(len(_lane_name(channel)) * _LABEL_WIDTH + 8 for channel in channels)])
    scale = _Scale.of(numbers, [float(value) for value in values if value is not None], left)
    known = {n: Point(scale.x(n), scale.y(float(v)), f"v{n}: {number(v)}") for n, v in _pairs(numbers, values)}
    lanes = {
        channel: _TOP + _PLOT_HEIGHT + _FOOT + _LANE * (position + 0.5) for position, channel in enumerate(channels)
    }
    return Plot(
        name=name,
        description=_describe(past, name, values),
        height=_TOP + _PLOT_HEIGHT + _FOOT + _LANE * len(lanes) + (6 if lanes else 0),
        lines=tuple(_stretches(numbers, known)),
        dots=tuple(p for n, p in known.items() if n not in past.marked and len(numbers) <= _MOST_DOTS),
        marks=tuple(_marks(past, known)),
        events=tuple(_event(move, scale, known, lanes[move.channel]) for move in past.moves if move.after in numbers),
        lanes=tuple(Lane(_lane_name(channel), y) for channel, y in lanes.items()),
        x_ticks=tuple(Tick(scale.x(n), f"v{n}") for n in _every(numbers)),
        y_ticks=tuple(Tick(scale.y(value), f"{value:.6g}") for value in scale.ticks),
        left=left,
    )


@dataclass(frozen=True)
class _Scale:
    """From version numbers and values to places in the picture."""

    first: int
    last: int
    low: float
    high: float
    left: float
    ticks: tuple[float, ...] = field(default=())

    @classmethod
    def of(cls, numbers: Sequence[int], values: Sequence[float], left: float) -> "_Scale":
        low, high = min(values), max(values)
        step = _step(high / 3 - low / 3) or _step(abs(low)) or (1.0 if max(abs(low), abs(high)) < 1 else 0.0)
        if not step:  # too large to be counted in steps
            low, high = (low, high) if low < high else (min(0.0, low), max(0.0, high))
            return cls(numbers[0], numbers[-1], low, high, left, (low, high))
        under, over = math.floor(low / step), math.ceil(high / step)
        if under == over:
            under, over = under - 1, over + 1
        # of values that are large and close together, a step is too fine to meet them
        low, high = min(low, under * step), max(high, over * step)
        ticks = tuple(count * step for count in range(under, over + 1)) if over - under < 10 else (low, high)
        return cls(numbers[0], numbers[-1], low, high, left, ticks)

    def x(self, number: int) -> float:
        width = WIDTH - self.left - _RIGHT
        if self.first == self.last:
            return self.left + width / 2
        return round(self.left + width * (number - self.first) / (self.last - self.first), 1)

    def y(self, value: float) -> float:
        # halves, as the distance of the largest floats is infinite
        part = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return round(_TOP + _PLOT_HEIGHT * (1 - part), 1)


def _step(rough: float) -> float:
    """Round a step up to 1, 2 or 5 times a power of ten; 0 for nothing, and for what has no such power."""
    if not 1e-290 < rough < 1e290:
        return 0.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _pairs(numbers: Sequence[int], values: Sequence[Number | None]) -> Iterator[tuple[int, Number]]:
    for n, value in zip(numbers, values, strict=True):
        if value is not None:
            yield n, value


def _stretches(numbers: Sequence[int], known: dict[int, Point]) -> Iterator[str]:
    """Break the line where the metric of a version is not known."""
    stretch: list[Point] = []
    for n in (*numbers, None):
        if n is not None and n in known:
            stretch.append(known[n])
            continue
        if len(stretch) > 1:
            yield " ".join(f"{point.x},{point.y}" for point in stretch)
        stretch = []


def _marks(past: Past, known: dict[int, Point]) -> Iterator[Mark]:
    """Label versions that are compared, over or under their point where labels would meet."""
    ends: dict[bool, float] = {True: 0.0, False: 0.0}
    first = next(iter(past.marked), None)
    for n in sorted(past.marked):
        if (point := known.get(n)) is None:
            continue
        label = f"v{n}"
        half = len(label) * _LABEL_WIDTH / 2 + 2
        above = point.x - half >= ends[True] or ends[True] <= ends[False]
        ends[above] = point.x + half
        yield Mark(point.x, point.y, point.said, label, point.y + (-12 if above else 22), n == first)


def _event(move: Move, scale: _Scale, known: dict[int, Point], lane_y: float) -> Event:
    point = known.get(move.after)
    x = scale.x(move.after)
    arrow = None
    if move.kind == "rollback" and move.before is not None and scale.first <= move.before <= scale.last:
        start = scale.x(move.before)
        # beside the triangle of the promotion that is usually there too
        side = 7 if start > x else -7
        tip = x + side
        arrow = f"M{start} {lane_y} H{tip} m{side} -5 L{tip} {lane_y} l{side} 5"
    return Event(move.kind, x, lane_y, say_move(move), point.y if point else None, arrow)


def _lane_name(channel: str) -> str:
    return channel if len(channel) <= _LONGEST_CHANNEL else f"{channel[: _LONGEST_CHANNEL - 3]}..."


def say_move(move: Move) -> str:
    """Say in a line what a channel did."""
    was = f" from v{move.before}" if move.before is not None else ""
    reason = f": {move.reason}" if move.reason else ""
    if move.kind in {"pin", "release"}:
        did = "pinned at" if move.kind == "pin" else "released from the pin at"
        return f"{did} v{move.after} on {move.when[:10]} by {move.who}{reason}"
    did = "rolled back" if move.kind == "rollback" else "promoted"
    return f"{move.channel} {did}{was} to v{move.after} on {move.when[:10]} by {move.who}{reason}"


def _every(numbers: Sequence[int]) -> list[int]:
    """Choose the version numbers that are written under the axis."""
    step = max(1, int(_step((numbers[-1] - numbers[0]) / 7)))
    chosen = [n for n in range(numbers[0], numbers[-1] + 1) if n % step == 0 or step == 1]
    return chosen or [numbers[0]]


def _describe(past: Past, name: str, values: Sequence[Number | None]) -> str:
    known = [value for value in values if value is not None]
    span = f"between {number(min(known))} and {number(max(known))}"
    by_number = {version.number: value for version, value in zip(past.versions, values, strict=True)}
    compared = ", ".join(f"v{n} {number(by_number.get(n))}" for n in past.marked)
    moves = "; ".join(say_move(move) for move in past.moves[-5:])
    return f"{name} of {len(known)} of {len(values)} versions of {past.asset}, {span}. Compared: {compared}." + (
        f" {moves}." if moves else ""
    )
