"""Metrics of a version, and how they differ from another's."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlrepro.catalog import Version
from mlrepro.comparison.records import content_of, outputs_of

Number = int | float

_NUMBERS = ("IntMetadataEntryData", "FloatMetadataEntryData")
"""Classes under which Dagster writes numbers into its JSON."""

_NOT_OF_THE_USER = ("mlrepro/", "dagster/")


@dataclass(frozen=True)
class MetricComparison:
    """One metric of several versions.

    Attributes:
        name: ``auc`` of the versions themselves, ``evaluation.auc`` of another asset that was made from them.
        values: Its value in each version, None where it is not known.
    """

    name: str
    values: tuple[Number | None, ...]

    @property
    def deltas(self) -> tuple[Number | None, ...]:
        """How far each value is from the first; None where either is not known.

        Example:
            >>> MetricComparison("auc", (0.8, 0.85, None)).deltas
            (0.0, 0.05, None)
        """
        first = self.values[0]
        return tuple(None if value is None or first is None else _difference(first, value) for value in self.values)

    @property
    def relative(self) -> tuple[float | None, ...]:
        """The deltas as parts of the first value; None where that is 0 or not known.

        Example:
            >>> MetricComparison("auc", (0.8, 0.84, None)).relative
            (0.0, 0.05, None)
        """
        first = self.values[0]
        return tuple(
            None if delta is None or not first else float(f"{delta / abs(first):.6g}") for delta in self.deltas
        )

    def to_json(self) -> dict[str, Any]:
        """Write the metric as a JSON object."""
        return {
            "name": self.name,
            "values": list(self.values),
            "deltas": list(self.deltas),
            "relative": list(self.relative),
        }


def own_metrics(version: Version, record: Mapping[str, Any] | None) -> dict[str, Number]:
    """Collect the numbers of a version: those of its value, and those that its function attached as metadata.

    Args:
        version: The version.
        record: Record of its result, if there is one. What the same step returned beside the version (a
            `@ml_multi_asset` that trains and evaluates) counts too, under the name of that output.

    Example:
        >>> from mlrepro.store import StoredValue
        >>> stored = StoredValue("5eed" * 16, "json", "builtins:dict", 12)
        >>> own_metrics(Version(("model",), None, 1, stored, {"metrics": {"auc": 0.8}}), None)
        {'auc': 0.8}
    """
    found = _finite(version.body.get("metrics"))
    outputs = outputs_of(record)
    own = _own_output(version, outputs)
    for name, output in outputs.items():
        numbers = {**_finite(output.get("metrics")), **_metadata_numbers(output.get("metadata"))}
        if name == own:
            found = {**numbers, **found}
        elif own is not None:
            found |= {f"{name}.{metric}": value for metric, value in numbers.items()}
    return found


def compare_metrics(by_version: Sequence[Mapping[str, Number]]) -> dict[str, MetricComparison]:
    """Put the metrics of several versions side by side, by name: their own first.

    Example:
        >>> compare_metrics([{"auc": 0.8}, {"evaluation.f1": 0.5}])["auc"].values
        (0.8, None)
    """
    names = sorted({name for metrics in by_version for name in metrics}, key=lambda name: ("." in name, name))
    return {name: MetricComparison(name, tuple(metrics.get(name) for metrics in by_version)) for name in names}


def _own_output(version: Version, outputs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Name the output of a record that is the version; None if the record tells of another content."""
    same = [name for name, output in outputs.items() if content_of(output) == version.stored.content_hash]
    named = [name for name in same if name in (version.asset[-1], "__".join(version.asset))]
    return (named or same)[0] if len(same) == 1 or named else None


def _metadata_numbers(metadata: Any) -> dict[str, Number]:
    """Read the numbers out of metadata as Dagster writes it, without Dagster."""
    if not isinstance(metadata, Mapping):
        return {}
    return _finite(
        {
            name: entry.get("value")
            for name, entry in metadata.items()
            if isinstance(entry, Mapping)
            and entry.get("__class__") in _NUMBERS
            and not name.startswith(_NOT_OF_THE_USER)
        }
    )


def _finite(metrics: Any) -> dict[str, Number]:
    if not isinstance(metrics, Mapping):
        return {}
    return {str(name): value for name, value in metrics.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    if type(value) not in (int, float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:  # a whole number larger than any float
        return False


def _difference(first: Number, value: Number) -> Number:
    # 0.85 - 0.8 is 0.04999999999999993 to a computer
    exact = isinstance(first, int) and isinstance(value, int)
    return value - first if exact or value == first else float(f"{value - first:.10g}")
