"""A comparison as a short summary in Markdown."""

import re
from collections.abc import Iterator

from mlrepro.catalog import VersionName
from mlrepro.comparison import shown
from mlrepro.comparison.changing import in_a_line, sections
from mlrepro.comparison.comparison import Comparison

_MOST_METRICS = 20
_SPECIAL = re.compile(r"[\\`*\[\]<|~&]|(?<!\w)_|_(?!\w)")
_CODE = re.compile(r"(`[^`]+`)")


def to_markdown(comparison: Comparison) -> str:
    """Write a short summary: the metrics with their deltas, and a line for what changed in each way."""
    return "\n\n".join(
        "\n".join(part) for part in (_title(comparison), _metrics(comparison), _lines(comparison)) if part
    )


def _title(comparison: Comparison) -> list[str]:
    first, *others = (_text(each.label) for each in comparison.versions)
    assets = {each.version.asset for each in comparison.versions}
    asset = f"{_text(str(VersionName(assets.pop(), None)))} " if len(assets) == 1 else ""
    partition = comparison.versions[0].version.partition
    of_partition = f" (partition {_text(partition)})" if partition else ""
    return [f"**{asset}{', '.join(others)}**{of_partition} compared with **{first}**"]


def _metrics(comparison: Comparison) -> list[str]:
    if not comparison.metrics:
        return []
    labels = [_text(each.label) for each in comparison.versions]
    headers = ["metric", labels[0], *(text for label in labels[1:] for text in (label, "change"))]
    lines = [_row(headers), _row(["---", *["---:"] * (len(headers) - 1)])]
    for metric in list(comparison.metrics.values())[:_MOST_METRICS]:
        cells = [_text(metric.name), shown.number(metric.values[0])]
        for value, delta, relative in list(zip(metric.values, metric.deltas, metric.relative, strict=True))[1:]:
            cells += [shown.number(value), shown.delta(delta, relative)]
        lines.append(_row(cells))
    more = len(comparison.metrics) - _MOST_METRICS
    return [*lines, "", f"and {more} more metrics"] if more > 0 else lines


def _lines(comparison: Comparison) -> list[str]:
    return [*_changes(comparison), *(f"- {_text(note)}" for note in comparison.notes)]


def _changes(comparison: Comparison) -> Iterator[str]:
    several = len(comparison.versions) > 2
    for each, changes in zip(comparison.versions[1:], comparison.changes, strict=True):
        of = f"{_text(each.label)}: " if several else ""
        for title, found in sections(changes).items():
            said = in_a_line(found)
            yield f"- {of}{title}: {_words(said) if title == 'code' else _text(said)}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """Write a user's text so that it is nothing but text in Markdown."""
    return _escaped(" ".join(text.split()))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)


def _words(text: str) -> str:
    """Write our own words about code, in which names stand in backticks."""
    return "".join(part if part.startswith("`") else _escaped(part) for part in _CODE.split(" ".join(text.split())))
