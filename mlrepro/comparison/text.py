"""A comparison as a table for a terminal."""

from collections.abc import Iterator

from tabulate import tabulate

from mlrepro.comparison import shown
from mlrepro.comparison.changing import SECTIONS, in_words, rows, sections
from mlrepro.comparison.comparison import Comparison
from mlrepro.comparison.table import fact_rows

_SIDE_BY_SIDE = ("config", "inputs", "environment")
_IN_WORDS = ("code", "settings")


def to_text(comparison: Comparison) -> str:
    """Write a comparison as text."""
    return "\n\n".join([comparison.title, *_parts(comparison)])


def _parts(comparison: Comparison) -> Iterator[str]:
    labels = [each.label for each in comparison.versions]
    yield _table("", labels, fact_rows(comparison))
    if comparison.metrics:
        yield _metrics(comparison)
    for title in _SIDE_BY_SIDE:
        if found := rows(comparison.changes, SECTIONS[title]):
            yield _table(title, labels, {name: [shown.value(each) for each in row] for name, row in found.items()})
    for title in _IN_WORDS:
        for each, changes in zip(comparison.versions[1:], comparison.changes, strict=True):
            for change in sections(changes).get(title, ()):
                heading = f"{title} {labels[0]} -> {each.label}: {in_words(change)}"
                yield f"{heading}\n{change.diff}" if change.diff else heading
    if not any(comparison.changes) and not comparison.notes:
        yield "nothing else differs that is recorded"
    yield from (f"note: {note}" for note in comparison.notes)


def _metrics(comparison: Comparison) -> str:
    labels = [each.label for each in comparison.versions]
    headers = ["metrics", labels[0], *(text for label in labels[1:] for text in (label, "change"))]
    table = []
    for metric in comparison.metrics.values():
        cells = [metric.name, shown.number(metric.values[0])]
        for value, delta, relative in list(zip(metric.values, metric.deltas, metric.relative, strict=True))[1:]:
            cells += [shown.number(value), shown.delta(delta, relative)]
        table.append(cells)
    align = ["left", "right", *(["right", "left"] * (len(labels) - 1))]
    return tabulate(table, headers, disable_numparse=True, colalign=align)


def _table(title: str, labels: list[str], table: dict[str, list[str]]) -> str:
    return tabulate([(name, *cells) for name, cells in table.items()], [title, *labels], disable_numparse=True)
