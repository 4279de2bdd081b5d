"""polars frames and Series as Arrow tables."""

from typing import Any

import polars as pl
import pyarrow as pa

from mlrepro.store.formats.format import NotThisFormatError


def to_table(value: Any) -> tuple[pa.Table, dict[str, Any]]:
    """A frame or Series as a table, and the notes that ``from_table`` needs.

    Raises:
        NotThisFormatError: Arrow cannot give the very same value back.
    """
    kind = {pl.LazyFrame: "lazy", pl.Series: "series"}.get(type(value), "frame")
    frame = value.collect() if kind == "lazy" else value.to_frame() if kind == "series" else value
    if pl.Object in frame.dtypes:
        raise NotThisFormatError("it holds Python objects")
    # Types decide, so an empty frame of the same schema shows whether they survive.
    try:
        survived = _from_arrow(_to_arrow(frame.clear())).schema
    except (pa.ArrowException, pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise NotThisFormatError(f"Arrow cannot hold it: {error}") from error
    if survived != frame.schema:
        raise NotThisFormatError("Arrow has no type for one of its columns")
    table = _to_arrow(frame.rechunk())
    return table, {"kind": kind, "rows": frame.height}


def from_table(table: pa.Table, notes: dict[str, Any]) -> Any:
    """The value that ``to_table`` was given."""
    frame = _from_arrow(table)
    if notes["kind"] == "series":
        return frame.to_series()
    return frame.lazy() if notes["kind"] == "lazy" else frame


def as_type(value: Any, name: str) -> Any:
    """A restored value, or a pyarrow table, as the wanted polars type."""
    if isinstance(value, pa.Table):
        value = _from_arrow(value)
    if name == "polars:LazyFrame" and isinstance(value, pl.DataFrame):
        return value.lazy()
    if name == "polars:DataFrame" and isinstance(value, pl.LazyFrame):
        return value.collect()
    if name == "polars:DataFrame" and isinstance(value, pl.Series):
        return value.to_frame()
    if name == "polars:Series" and isinstance(value, pl.DataFrame) and value.width == 1:
        return value.to_series()
    return value


def _to_arrow(frame: Any) -> pa.Table:
    # The oldest compatible level has no string views, which other readers may not know.
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _from_arrow(table: pa.Table) -> Any:
    return pl.from_arrow(table)


def summarize(value: Any) -> dict[str, Any]:
    """Rows and columns with their dtypes."""
    if isinstance(value, pl.Series):
        return {"rows": len(value), "dtype": str(value.dtype)}
    found = {"columns": {name: str(dtype) for name, dtype in value.collect_schema().items()}}
    return found if isinstance(value, pl.LazyFrame) else {"rows": value.height, **found}
