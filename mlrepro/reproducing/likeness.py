"""How alike two values are whose bytes differ."""

import math
import numbers
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Literal

Likeness = Literal["equal", "close", "different", "unknown"]

_MOST_LINES = 10


def likeness(before: Any, after: Any, tolerance: float) -> tuple[Likeness, list[str]]:
    """Compare two values part by part.

    Args:
        before: The recorded one.
        after: The new one.
        tolerance: Relative difference up to which numbers count as the same.

    Returns:
        ``equal``; ``close`` if no number differs by more than the tolerance; ``different``; or ``unknown`` for objects
        that nothing is known of, such as a model. And what differs, a line a part.

    Example:
        >>> likeness({"auc": 0.5, "rows": 3}, {"auc": 0.5000001, "rows": 3}, 1e-6)
        ('close', ['auc: 0.5 -> 0.5000001'])
        >>> likeness([1, 2], [1, 3], 1e-6)
        ('different', ['[1]: 2 -> 3'])
    """
    worst: Likeness = "equal"
    lines: list[str] = []
    order: list[Likeness] = ["equal", "close", "unknown", "different"]
    for kind, line in _differences("", before, after, tolerance):
        worst = max(worst, kind, key=order.index)
        lines.append(line)
    more = [f"and {len(lines) - _MOST_LINES} more"] if len(lines) > _MOST_LINES else []
    return worst, lines[:_MOST_LINES] + more


def _differences(path: str, before: Any, after: Any, tolerance: float) -> Iterator[tuple[Likeness, str]]:
    name = path or "value"
    if type(before) is not type(after) and not (_is_number(before) and _is_number(after)):
        yield "different", f"{name}: {type(before).__name__} -> {type(after).__name__}"
    elif _is_number(before):
        if not _same_number(before, after):
            close = math.isclose(float(before), float(after), rel_tol=tolerance, abs_tol=tolerance * 1e-6)
            yield "close" if close else "different", f"{name}: {_short(before)} -> {_short(after)}"
    elif isinstance(before, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            at = f"{path}.{key}" if path else str(key)
            if key not in before or key not in after:
                yield "different", f"{at}: {'only then' if key in before else 'only now'}"
            else:
                yield from _differences(at, before[key], after[key], tolerance)
    elif isinstance(before, list | tuple):
        if len(before) != len(after):
            yield "different", f"{name}: {len(before)} items -> {len(after)}"
        for number, pair in enumerate(zip(before, after, strict=False)):
            yield from _differences(f"{path}[{number}]", *pair, tolerance)
    elif (columns := _columns(before)) is not None:
        yield from _frame_differences(path, columns, _columns(after) or {}, tolerance)
    elif _is_array(before):
        yield from _array_differences(name, before, after, tolerance)
    elif isinstance(before, str | bytes | bool | set | frozenset) or before is None:
        if before != after:
            yield "different", f"{name}: {_short(before)} -> {_short(after)}"
    else:
        yield "unknown", f"{name}: two objects of class {type(before).__qualname__}, whose bytes differ"


def _frame_differences(
    path: str, before: Mapping[str, Any], after: Mapping[str, Any], tolerance: float
) -> Iterator[tuple[Likeness, str]]:
    for column in [*before, *(column for column in after if column not in before)]:
        at = f"{path}.{column}" if path else f"column {column}"
        if column not in before or column not in after:
            yield "different", f"{at}: {'only then' if column in before else 'only now'}"
        else:
            yield from _array_differences(at, before[column], after[column], tolerance)


def _array_differences(name: str, before: Any, after: Any, tolerance: float) -> Iterator[tuple[Likeness, str]]:
    import numpy as np

    if before.shape != after.shape:
        yield "different", f"{name}: shape {before.shape} -> {after.shape}"
        return
    if before.dtype != after.dtype:
        yield "different", f"{name}: {before.dtype} -> {after.dtype}"
        return
    if before.dtype.kind in "fc":
        unlike = ~((before == after) | (np.isnan(before) & np.isnan(after)))
        if unlike.any():
            close = np.isclose(after, before, rtol=tolerance, atol=tolerance * 1e-6, equal_nan=True).all()
            most = np.nanmax(np.abs(after[unlike] - before[unlike]))
            counted = f"{int(unlike.sum())} of {before.size} values differ, by at most {most:.3g}"
            yield "close" if close else "different", f"{name}: {counted}"
        return
    if before.dtype.kind == "O":
        pairs = zip(before.ravel().tolist(), after.ravel().tolist(), strict=True)
        count = sum(not _same(one, other) for one, other in pairs)
    else:
        count = int((before != after).sum())
        if before.dtype.kind in "mM":
            count -= int((np.isnat(before) & np.isnat(after)).sum())
    if count:
        yield "different", f"{name}: {count} of {before.size} values differ"


def _columns(value: Any) -> dict[str, Any] | None:
    """The columns of a frame as arrays, by name, with the index; None for anything else."""
    pandas, polars, arrow = (sys.modules.get(name) for name in ("pandas", "polars", "pyarrow"))
    if pandas is not None and isinstance(value, pandas.Series):
        value = value.to_frame("values")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        columns = {str(name): value.iloc[:, position] for position, name in enumerate(value.columns)}
        found = {name: column.to_numpy() for name, column in columns.items()}
        return {**found, "(index)": value.index.to_numpy()}
    if polars is not None and isinstance(value, polars.DataFrame):
        return {name: value[name].to_numpy() for name in value.columns}
    if arrow is not None and isinstance(value, arrow.Table):
        return {name: value.column(name).to_numpy() for name in value.column_names}
    return None


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, numbers.Real)


def _same_number(before: Any, after: Any) -> bool:
    return bool(before == after) or (before != before and after != after)


def _same(one: Any, other: Any) -> bool:
    if _is_number(one) and _is_number(other):
        return _same_number(one, other)
    try:
        return bool(one is other or one == other)
    except (ValueError, TypeError):  # an array in a cell
        return repr(one) == repr(other)


def _short(value: Any) -> str:
    text = repr(value.item()) if hasattr(value, "item") else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
