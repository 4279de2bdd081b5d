"""pyarrow tables and batches as they are, in one canonical layout."""

from typing import Any

import pyarrow as pa


def to_table(value: Any) -> tuple[pa.Table, dict[str, Any]]:
    """A table or batch as a table, and the notes that ``from_table`` needs."""
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value]), {"kind": "batch"}
    return value, {"kind": "table"}


def from_table(table: pa.Table, notes: dict[str, Any]) -> Any:
    """The value that ``to_table`` was given."""
    return as_type(table, "pyarrow:RecordBatch") if notes["kind"] == "batch" else table


def as_type(value: Any, name: str) -> Any:
    """A table or batch as the wanted pyarrow type."""
    if name == "pyarrow:RecordBatch" and isinstance(value, pa.Table):
        batches = value.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=value.schema)
    if name == "pyarrow:Table" and isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    return value


def summarize(value: Any) -> dict[str, Any]:
    """Rows and columns with their types."""
    return {"rows": value.num_rows, "columns": {field.name: str(field.type) for field in value.schema}}
