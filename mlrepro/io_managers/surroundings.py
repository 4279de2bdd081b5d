"""What a function can read of its step through the context, beside config, inputs and resources."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import dagster as dg

from mlrepro.dagster_internals import StepExecutionContext
from mlrepro.io_managers.computation import Computation
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


def surroundings(step_context: StepExecutionContext, computation: Computation, code: CodeFingerprint) -> Any:
    """Collect what a function may learn from its context; None for one that takes none or only logs, say.

    An asset's name is no part of a key, so that teams share results; but a function that asks for its own name gets
    another result under another name. Which attributes it asks for is read from its source; one that hands the context
    on may ask for any.
    """
    if not computation.sees_context(code):
        return None
    if computation.takes_context and _asks_only_harmless(computation.fn) and not _reaches_context(code):
        return None
    assets = step_context.assets_def
    keys = sorted(step_context.get_output_asset_keys(), key=lambda key: key.to_user_string())
    specs = {} if assets is None else {key: spec for key, spec in assets.specs_by_key.items() if key in keys}
    return {
        "assets": [key.to_user_string() for key in keys],
        "metadata": {key.to_user_string(): sorted(map(repr, spec.metadata.items())) for key, spec in specs.items()},
        "asset_tags": {key.to_user_string(): dict(spec.tags) for key, spec in specs.items()},
        "op_tags": {key: str(value) for key, value in step_context.op_def.tags.items()},
        "run_tags": {
            key: value
            for key, value in step_context.dagster_run.tags.items()
            if not key.startswith((".dagster", "dagster/", "mlrepro/")) and key != "user"
        },
        "partitions": _windows(assets.partitions_def if assets else None),
    }


def _windows(partitions: dg.PartitionsDefinition[Any] | None) -> Any:
    """What makes a partition key mean another time: zone, schedule and format."""
    if isinstance(partitions, dg.TimeWindowPartitionsDefinition):
        return [partitions.timezone, partitions.cron_schedule, partitions.fmt]
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        return {each.name: _windows(each.partitions_def) for each in partitions.partitions_defs}
    return None


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
