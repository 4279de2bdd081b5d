"""`@ml_multi_asset`: `@multi_asset`, versioned and cached like `@ml_asset`."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

import dagster as dg

from mlrepro.dagster_internals import NoValueSentinel
from mlrepro.definitions.ml_asset import stand_in_inputs
from mlrepro.definitions.validation import (
    check_cache,
    check_first_party,
    check_format,
    check_function,
    check_ignored_resources,
    chosen_cache,
    config_class,
    declared_types,
    takes_context,
)
from mlrepro.definitions.versioned_assets import versioned
from mlrepro.errors import AssetDefinitionError
from mlrepro.execution.pods.asking import pod_tags
from mlrepro.execution.step_run import cached_function
from mlrepro.io_managers import Cache
from mlrepro.io_managers.computation import Computation
from mlrepro.io_managers.dagster_types import stand_in_type, type_name
from mlrepro.versioning import OutputDeclaration


def ml_multi_asset(
    *,
    cache: Cache | bool = True,
    seed: int | None = None,
    formats: Mapping[str, str] | None = None,
    resources: Mapping[str, str | int | float] | None = None,
    image: str | None = None,
    node_selector: Mapping[str, str] | None = None,
    first_party: tuple[str, ...] = (),
    **multi_asset_arguments: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Define several assets that one function computes, with one cached result for all of them.

    It takes every argument of `dagster.multi_asset`. A run that selects only some of the assets computes them
    and appends their versions, but neither uses nor leaves a result.

    Args:
        cache: How results are cached; False to keep versions only.
        seed: Seeds `random`, numpy and torch before the function runs, and is part of the key.
        formats: Format to store an output in, by output name. Default: chosen by each value's type.
        resources: What a step gets where steps run as pods, as in `ml_asset`. Never part of the key, nor are the next
            two.
        image: The image that the step's pod runs. Default: the code location's.
        node_selector: Labels of the nodes that the step's pod may run on.
        first_party: Names of installed distributions whose code counts as your own.
        **multi_asset_arguments: As `dagster.multi_asset` takes them: ``outs`` or ``specs``, ``can_subset``, …

    Raises:
        AssetDefinitionError: If a config field to ignore, or an output to give a format, does not exist.
        UnknownFormatError: If there is no such format.

    Example:
        >>> @ml_multi_asset(outs={"train": dg.AssetOut(), "test": dg.AssetOut()}, seed=7)
        ... def split(rows: list[int]) -> tuple[list[int], list[int]]:
        ...     return rows[:-1], rows[-1:]
        >>> split([1, 2, 3])
        ([1, 2], [3])
    """

    def define(fn: Callable[..., Any]) -> dg.AssetsDefinition:
        check_function(fn)
        check_first_party(fn.__name__, first_party)
        hints = declared_types(fn)
        config = config_class(fn, hints)
        chosen = chosen_cache(fn.__name__, cache)
        arguments = dict(multi_asset_arguments)
        check_cache(fn.__name__, chosen, config, arguments.get("config_schema"), seed)
        for format_name in (formats or {}).values():
            check_format(format_name)
        arguments["ins"] = stand_in_inputs(fn, hints, arguments.get("ins"))
        arguments["op_tags"] = pod_tags(
            fn.__name__, arguments.get("op_tags"), resources=resources, image=image, node_selector=node_selector
        )
        declared_version = arguments.pop("code_version", None)
        if outs := arguments.get("outs"):
            arguments["outs"] = _stand_in_outputs(outs, hints.get("return"))
        outputs: dict[str, OutputDeclaration] = {}
        computation = Computation(
            fn=fn,
            cache=chosen,
            seed=seed,
            config_class=config,
            declared_version=declared_version,
            takes_context=takes_context(fn),
            first_party=first_party,
            outputs=outputs,
        )
        plain = dg.multi_asset(**arguments)(cached_function(computation))
        # what an output is called and declared as is known only once Dagster has read `specs` or `outs`
        for definition in plain.op.output_defs:
            outputs[definition.name] = OutputDeclaration(
                type=type_name(definition.dagster_type.typing_type),
                format=(formats or {}).get(definition.name),
            )
        if unknown := sorted(set(formats or {}) - set(outputs)):
            raise AssetDefinitionError(
                f"{fn.__name__}: formats names the outputs {', '.join(unknown)}, but it has {', '.join(outputs)}"
            )
        check_ignored_resources(fn.__name__, chosen, plain.node_def)
        return versioned(plain)

    return define


def _stand_in_outputs(outs: Mapping[str, dg.AssetOut], returned: Any) -> dict[str, dg.AssetOut]:
    """Give each output the type that Dagster would infer from ``tuple[A, B]``, so that a stand-in passes."""
    positions = get_args(returned) if get_origin(returned) is tuple and len(get_args(returned)) == len(outs) else ()
    wrapped = {}
    for position, (name, out) in enumerate(outs.items()):
        inferred = positions[position] if positions else None
        annotation = inferred if out.dagster_type is NoValueSentinel else out.dagster_type
        stand_in = stand_in_type(annotation) if annotation is not None else None
        wrapped[name] = _with_type(out, stand_in) if stand_in is not None else out
    return wrapped


def _with_type(out: dg.AssetOut, dagster_type: dg.DagsterType) -> dg.AssetOut:
    changed = copy.copy(out)
    changed.dagster_type = dagster_type
    return changed
