"""A look at a value: its shape, the head of a frame, a model card. Values themselves are never loaded here."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, Field

from mlrepro.catalog import Version
from mlrepro.comparison.records import Records, content_of, outputs_of

_MARKDOWN: Final = "MarkdownMetadataEntryData"
_FIELDS: Final = {"TextMetadataEntryData": "text", "PathMetadataEntryData": "path", "BoolMetadataEntryData": "value"}
_NUMBERS: Final = frozenset({"IntMetadataEntryData", "FloatMetadataEntryData"})
_OURS: Final = "mlrepro/"
_MOST: Final = 40


class Column(BaseModel):
    """A column of a frame."""

    name: str
    type: str


class Preview(BaseModel):
    """A look at a value."""

    version: int
    format: str
    python_type: str
    size: int
    summary: dict[str, Any] = Field(description="What the store says of it: rows, columns, shape and so on.")
    texts: dict[str, str] = Field(description="What its author said of it, by name.")
    markdown: dict[str, str] = Field(description="Markdown by name: the head of a frame, a model card.")
    columns: list[Column]


def preview_of(version: Version, records: Records) -> Preview:
    """Say what is known of a version's value, from its record."""
    metadata = _metadata(version, records.result(version))
    texts: dict[str, str] = {}
    markdown: dict[str, str] = {}
    columns: list[Column] = []
    for name, entry in list(metadata.items())[:_MOST]:
        kind = entry.get("__class__")
        if kind == _MARKDOWN:
            markdown[name] = str(entry.get("md_str") or "")
        elif kind == "TableSchemaMetadataValue":
            columns = _columns(entry)
        elif kind in _FIELDS and not name.startswith(_OURS):
            texts[name] = str(entry.get(_FIELDS[kind]))
        elif kind in _NUMBERS and not name.startswith(_OURS):
            texts[name] = str(entry.get("value"))
    return Preview(
        version=version.number,
        format=version.stored.format,
        python_type=version.stored.python_type,
        size=version.stored.size + version.stored.parts_size,
        summary=dict(version.stored.summary),
        texts=texts,
        markdown=markdown,
        columns=columns,
    )


def _metadata(version: Version, record: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    outputs = [out for out in outputs_of(record).values() if content_of(out) == version.stored.content_hash]
    metadata = outputs[0].get("metadata") if outputs else None
    if not isinstance(metadata, Mapping):
        return {}
    return {str(name): entry for name, entry in metadata.items() if isinstance(entry, Mapping)}


def _columns(entry: Mapping[str, Any]) -> list[Column]:
    schema = entry.get("schema")
    columns = schema.get("columns") if isinstance(schema, Mapping) else None
    return [
        Column(name=str(each.get("name")), type=str(each.get("type")))
        for each in (columns if isinstance(columns, list) else [])
        if isinstance(each, Mapping)
    ]
