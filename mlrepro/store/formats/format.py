"""What a format is: how one kind of value becomes bytes and comes back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlrepro.store.blobs import Sink, Source
from mlrepro.store.stored import StoredValue


class NotThisFormatError(Exception):
    """A format cannot hold this very value; the next candidate is tried. Raised before anything is written."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a format tells about the value it wrote.

    Attributes:
        summary: JSON for people. It is not part of the content.
        references: ``module:qualname`` of every global that the bytes name.
        parts_size: Bytes of further blobs.
    """

    summary: dict[str, Any] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    parts_size: int = 0


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of value becomes bytes and comes back.

    Attributes:
        name: What users write (``format="parquet"``).
        suffix: Ending of a file that holds the bytes, with its dot.
        write: Writes a value into the sink. The bytes alone must suffice to read an equal value.
        read: From the source, the value's description and the type that is wanted (or None) to the value.
        loads: Types that ``read`` converts to when they are asked for, as ``module:qualname``.
        last_resort: Whether another format should be preferred wherever it can be had.
    """

    name: str
    suffix: str
    write: Callable[[Any, Sink], Written]
    read: Callable[[Source, StoredValue, type | None], Any]
    loads: frozenset[str] = frozenset()
    last_resort: bool = False
