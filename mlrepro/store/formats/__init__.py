"""Formats: one small module each, chosen by Python type.

The table below is all there is to the choice. Modules are imported when their format is used, so a store that holds
JSON never imports pandas.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Final

from mlrepro.errors import UnknownFormatError
from mlrepro.store.formats.format import Format
from mlrepro.store.stored import type_name

_MODULES: Final[Mapping[str, str]] = {
    "arrow": "arrow",
    "bytes": "raw_bytes",
    "file": "file",
    "folder": "folder",
    "json": "json_value",
    "npy": "npy",
    "parquet": "parquet",
    "pickle": "pickle_value",
    "safetensors": "safetensors",
    "text": "text",
    "tree": "tree",
}

# Exact types only: a subclass may carry what the format does not know, so it is pickled.
_BY_TYPE: Final[Mapping[str, tuple[str, ...]]] = {
    "builtins:bytes": ("bytes",),
    "numpy:ndarray": ("npy", "pickle"),
    "pandas:DataFrame": ("arrow", "pickle"),
    "pandas:Series": ("arrow", "pickle"),
    "polars:DataFrame": ("arrow", "pickle"),
    "polars:LazyFrame": ("arrow", "pickle"),
    "polars:Series": ("arrow", "pickle"),
    "pyarrow:RecordBatch": ("arrow", "pickle"),
    "pyarrow:Table": ("arrow", "pickle"),
    "torch:Tensor": ("safetensors", "pickle"),
}
_CONTAINERS: Final = frozenset({"builtins:dict", "builtins:list", "builtins:tuple", "collections:OrderedDict"})
# pandas has an Index class for each kind of label.
_INDEXES: Final = frozenset(
    f"pandas:{name}"
    for name in (
        "Index",
        "RangeIndex",
        "MultiIndex",
        "DatetimeIndex",
        "TimedeltaIndex",
        "CategoricalIndex",
        "PeriodIndex",
        "IntervalIndex",
    )
)


def format_names() -> tuple[str, ...]:
    """Names of all formats, sorted."""
    return tuple(sorted(_MODULES))


def get_format(name: str) -> Format:
    """The format of this name.

    Raises:
        UnknownFormatError: There is none; the message lists those there are.
    """
    module = _MODULES.get(name)
    if module is None:
        raise UnknownFormatError(f"There is no format {name!r}. Known: {', '.join(format_names())}")
    found: Format = importlib.import_module(f"{__name__}.{module}").FORMAT
    return found


def candidates(value: object) -> tuple[str, ...]:
    """Formats to try for a value, best first. The last one is the last resort."""
    if isinstance(value, PurePath):
        return ("folder",) if isinstance(value, Path) and value.is_dir() else ("file",)
    name = type_name(type(value))
    if name in _INDEXES:
        return ("arrow", "pickle")
    if name in _CONTAINERS:
        return (("safetensors",) if _all_tensors(value) else ()) + ("json", "tree", "pickle")
    return _BY_TYPE.get(name, ("json", "pickle"))


def _all_tensors(value: object) -> bool:
    """Whether a value is a dict of tensors by name. torch is imported where it is; to ask would import it elsewhere."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(type(key) is str and type_name(type(item)) == "torch:Tensor" for key, item in value.items())
    )


def loads_as(format_name: str, as_type: type | None) -> str | None:
    """What a value is loaded as, where the annotation chooses it.

    A frame that was stored by pandas comes back as a polars one where polars is asked for, so the annotation is a part
    of what makes a result.

    Args:
        format_name: The format the value is stored in.
        as_type: The annotated type, or anything that is not a type where there is none.

    Returns:
        The type's public name as ``module:qualname``, or None where the value comes back as it was stored.

    Raises:
        UnknownFormatError: There is no such format.

    Example:
        >>> loads_as("json", dict), loads_as("file", bytes)
        (None, 'builtins:bytes')
    """
    if not isinstance(as_type, type):
        return None
    name = type_name(as_type)
    return name if name in get_format(format_name).loads else None
