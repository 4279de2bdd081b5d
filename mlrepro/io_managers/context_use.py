"""Whether a function may learn of its step through the context more than config, inputs and resources tell."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from mlrepro.versioning import CodeFingerprint

HARMLESS = frozenset(
    {
        "add_asset_metadata",
        "add_output_metadata",
        "asset_partition_key_for_output",
        "has_partition_key",
        "has_partition_key_range",
        "log",
        "log_event",
        "op_config",
        "partition_key",
        "partition_key_range",
        "partition_keys",
        "resources",
    }
)
"""Attributes of the context that say nothing, or nothing that is not in the key elsewhere."""


def reads_surroundings(fn: Callable[..., Any], code: CodeFingerprint, *, takes_context: bool) -> bool:
    """Whether a function that sees the context may ask it for what is in no other part of the key.

    Which attributes it asks for is read from its source; one that hands the context on may ask for any.
    """
    return not takes_context or not _asks_only_harmless(fn) or _reaches_context(code)


def _reaches_context(code: CodeFingerprint) -> bool:
    return any(name.startswith("dagster.") and name.endswith("Context.get") for name in code.names)


@functools.lru_cache(maxsize=4096)
def _asks_only_harmless(fn: Callable[..., Any]) -> bool:
    """Whether every mention of the context in a function's own source takes a harmless attribute of it."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(fn)))
        name = next(iter(inspect.signature(fn).parameters))
    except (OSError, TypeError, SyntaxError, StopIteration):
        return False
    taken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in HARMLESS}
    return all(id(node) in taken for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name)
