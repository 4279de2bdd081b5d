"""One metric over the newest versions, in the space of a word."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlrepro.catalog import Version
from mlrepro.comparison.metrics import own_metrics
from mlrepro.comparison.shown import number

WIDTH, HEIGHT = 96, 24
_EDGE = 3


@dataclass(frozen=True)
class Sparkline:
    """A line.

    Attributes:
        name: Name of the metric.
        points: Its points, as SVG takes them.
        last: Where the newest version is.
        said: The line in words.
        value: The newest value, for people.
    """

    name: str
    points: str
    last: tuple[float, float]
    said: str
    value: str


def sparkline(versions: Sequence[Version]) -> Sparkline | None:
    """Draw the first metric of the newest version over some versions, newest first; None without any number."""
    name = next(iter(own_metrics(versions[0], None)), None) if versions else None
    if name is None:
        return None
    known = [
        (version.number, float(value))
        for version in reversed(versions)
        if (value := own_metrics(version, None).get(name)) is not None
    ]
    if not known:
        return None
    low, high = min(value for _, value in known), max(value for _, value in known)
    first, last = known[0][0], known[-1][0]

    def place(at: int, value: float) -> tuple[float, float]:
        x = _EDGE + (WIDTH - 2 * _EDGE) * ((at - first) / (last - first) if last > first else 1.0)
        # halves, as the distance of the largest floats is infinite
        part = (value / 2 - low / 2) / (high / 2 - low / 2) if high / 2 > low / 2 else 0.5
        return round(x, 1), round(HEIGHT - _EDGE - (HEIGHT - 2 * _EDGE) * part, 1)

    if len(known) == 1:
        return Sparkline(name, "", (0.0, 0.0), f"{name} of the only version that has it", number(known[0][1]))
    places = [place(*each) for each in known]
    return Sparkline(
        name=name,
        points=" ".join(f"{x},{y}" for x, y in places),
        last=places[-1],
        said=f"{name} of the newest {len(known)} versions: {', '.join(number(value) for _, value in known)}",
        value=number(known[-1][1]),
    )
