"""What a person wants to see of a value: Dagster metadata with a preview, sizes and metrics."""

import math
import numbers
import sys
from collections.abc import Mapping
from typing import Any

import dagster as dg
from tabulate import tabulate

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 20
MAX_METRICS = 200
"""A mapping with more numbers than this is data rather than metrics, and is not plotted."""


def describe(value: Any, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a value in Dagster's own metadata words, where it has some.

    Args:
        value: The value as the function returned it.
        summary: What the store says of it: rows, columns, shape and so on.

    Returns:
        Metadata: a preview and the schema of a frame, each number of a mapping of numbers by its own name (so
        that Dagster plots it over time), and the summary.

    Example:
        >>> describe({"auc": 0.91, "rows": 120}, {})
        {'auc': 0.91, 'rows': 120}
    """
    metadata: dict[str, Any] = {**metrics(value), **not_finite(value)}
    frame = _frame(value)
    if frame is not None:
        columns, rows, count, types = frame
        metadata["dagster/row_count"] = count
        metadata["dagster/column_schema"] = dg.TableSchema(
            columns=[dg.TableColumn(name, type_) for name, type_ in types]
        )
        metadata["preview"] = dg.MetadataValue.md(
            str(tabulate([[_cell(cell) for cell in row] for row in rows], columns, tablefmt="github"))
        )
    elif shape := summary.get("shape"):
        metadata["shape"] = str(tuple(shape))
        if dtype := summary.get("dtype"):
            metadata["dtype"] = str(dtype)
    return metadata


def metrics(value: Any) -> dict[str, float | int]:
    """Take the numbers out of a result: a mapping of names to finite numbers, or one number.

    Example:
        >>> metrics({"auc": 0.5, "name": "ridge"})
        {'auc': 0.5}
    """
    if isinstance(value, Mapping) and 0 < len(value) <= MAX_METRICS:
        return {name: _number(item) for name, item in value.items() if isinstance(name, str) and _is_number(item)}
    return {"value": _number(value)} if _is_number(value) else {}


def not_finite(value: Any) -> dict[str, str]:
    """Name the numbers of a result that are not finite, as text: JSON has none, and a metric that is NaN must be seen.

    Example:
        >>> not_finite({"auc": float("nan"), "rows": 120})
        {'auc': 'NaN'}
    """
    if isinstance(value, Mapping) and 0 < len(value) <= MAX_METRICS:
        found = {name: _not_finite(item) for name, item in value.items() if isinstance(name, str)}
        return {name: text for name, text in found.items() if text is not None}
    text = _not_finite(value)
    return {} if text is None else {"value": text}


def _not_finite(value: Any) -> str | None:
    if type(value) is bool or not isinstance(value, numbers.Real) or _is_number(value):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number larger than any float is a number all the same
        return None
    return "NaN" if math.isnan(number) else "infinity" if number > 0 else "-infinity"


def _is_number(value: Any) -> bool:
    # True and False are numbers to Python, not to someone who looks at a plot
    if type(value) is bool or not isinstance(value, numbers.Real):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:  # a whole number larger than any float
        return False


def _number(value: Any) -> float | int:
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _frame(value: Any) -> tuple[list[str], list[list[Any]], int, list[tuple[str, str]]] | None:
    """Take the head, the number of rows and the column types of a frame; None for anything else."""
    # a frame can only be here if its library was imported, so nothing is imported to find out
    pandas, polars, arrow = (sys.modules.get(name) for name in ("pandas", "polars", "pyarrow"))
    if pandas is not None and isinstance(value, pandas.DataFrame):
        head = value.iloc[:PREVIEW_ROWS, :PREVIEW_COLUMNS]
        types = [(str(name), str(dtype)) for name, dtype in zip(value.columns, value.dtypes, strict=True)]
        return [str(name) for name in head.columns], head.to_numpy(object).tolist(), len(value), types
    if polars is not None and isinstance(value, polars.DataFrame):
        head = value[:PREVIEW_ROWS, :PREVIEW_COLUMNS]
        types = [(name, str(dtype)) for name, dtype in value.schema.items()]
        return list(head.columns), [list(row) for row in head.rows()], value.height, types
    if arrow is not None and isinstance(value, arrow.Table):
        head = value.slice(0, PREVIEW_ROWS)
        types = [(field.name, str(field.type)) for field in value.schema]
        names = list(head.column_names)[:PREVIEW_COLUMNS]
        columns = [head.column(position).to_pylist() for position in range(len(names))]
        return names, [list(row) for row in zip(*columns, strict=True)], value.num_rows, types
    return None


def _cell(cell: Any) -> str:
    text = f"{cell:.6g}" if isinstance(cell, float) else str(cell)
    text = text.replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= 60 else f"{text[:57]}..."
