"""`@ml_asset`: `@asset`, versioned and cached by everything that its result depends on."""

from collections.abc import Callable, Mapping
from typing import Any, overload

import dagster as dg

from mlrepro.dagster_internals import NoValueSentinel, input_parameters
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
from mlrepro.execution.pods.asking import pod_tags
from mlrepro.execution.step_run import cached_function
from mlrepro.io_managers import Cache
from mlrepro.io_managers.computation import Computation
from mlrepro.io_managers.dagster_types import stand_in_type, type_name
from mlrepro.versioning import OutputDeclaration


@overload
def ml_asset(compute_fn: Callable[..., Any], /) -> dg.AssetsDefinition: ...


@overload
def ml_asset(
    *,
    cache: Cache | bool = ...,
    seed: int | None = ...,
    format: str | None = ...,
    resources: Mapping[str, str | int | float] | None = ...,
    image: str | None = ...,
    node_selector: Mapping[str, str] | None = ...,
    first_party: tuple[str, ...] = ...,
    **asset_arguments: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]: ...


def ml_asset(
    compute_fn: Callable[..., Any] | None = None,
    /,
    *,
    cache: Cache | bool = True,
    seed: int | None = None,
    format: str | None = None,
    resources: Mapping[str, str | int | float] | None = None,
    image: str | None = None,
    node_selector: Mapping[str, str] | None = None,
    first_party: tuple[str, ...] = (),
    **asset_arguments: Any,
) -> dg.AssetsDefinition | Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Define an asset whose results are versioned, and computed only once for the same code, config and inputs.

    It takes every argument of `dagster.asset` and returns an ordinary `AssetsDefinition`. Its code version is
    the fingerprint of its code, its data version the hash of its content. When a step finds that the result is
    known, whoever computed it first, the function is not called and its inputs are not loaded.

    Args:
        compute_fn: The function, where the decorator is used without arguments.
        cache: How results are cached; False to keep versions only.
        seed: Seeds `random`, numpy and torch before the function runs, and is part of the key.
        format: Name of the format to store the result in. Default: chosen by the value's type.
        resources: What a step gets where steps run as pods, such as ``{"cpu": "2", "memory": "4Gi", "gpu": 1}``:
            ``cpu``, ``memory``, ``gpu`` (NVIDIA's), ``ephemeral_storage``, or a name that the cluster knows, such as
            ``amd.com/gpu``. Never part of the key, nor are the next two.
        image: The image that the step's pod runs. Default: the code location's.
        node_selector: Labels of the nodes that the step's pod may run on.
        first_party: Names of installed distributions whose code counts as your own, so that it is followed line by
            line rather than by version.
        **asset_arguments: As `dagster.asset` takes them: ``name``, ``key_prefix``, ``ins``, ``deps``,
            ``partitions_def``, ``retry_policy``, ``automation_condition``, …

    Raises:
        AssetDefinitionError: If a config field or a resource to ignore does not exist, a seed is out of range, or
            something is asked of the pod that can't be.
        UnknownFormatError: If there is no such format.

    Example:
        >>> @ml_asset(cache=Cache(scope="shared"), seed=7)
        ... def numbers() -> list[int]:
        ...     import random
        ...     return [random.randrange(100) for _ in range(3)]
        >>> numbers() == numbers()  # called directly it is the function itself, not seeded
        False
    """
    if compute_fn is not None:
        return ml_asset()(compute_fn)

    def define(fn: Callable[..., Any]) -> dg.AssetsDefinition:
        check_function(fn)
        check_first_party(fn.__name__, first_party)
        hints = declared_types(fn)
        config = config_class(fn, hints)
        chosen = chosen_cache(fn.__name__, cache)
        check_cache(fn.__name__, chosen, config, asset_arguments.get("config_schema"), seed)
        check_format(format)
        arguments = dict(asset_arguments)
        returned = arguments.get("dagster_type", hints.get("return"))
        computation = Computation(
            fn=fn,
            cache=chosen,
            seed=seed,
            outputs={
                "result": OutputDeclaration(type=type_name(returned) if returned is not None else None, format=format)
            },
            config_class=config,
            declared_version=arguments.pop("code_version", None),
            takes_context=takes_context(fn),
            first_party=first_party,
        )
        arguments["ins"] = stand_in_inputs(fn, hints, arguments.get("ins"))
        if returned is not None and (wrapped := stand_in_type(returned)) is not None:
            arguments["dagster_type"] = wrapped
        arguments["op_tags"] = pod_tags(
            fn.__name__, arguments.get("op_tags"), resources=resources, image=image, node_selector=node_selector
        )
        plain = dg.asset(**arguments)(cached_function(computation))
        check_ignored_resources(fn.__name__, chosen, plain.node_def)
        return versioned(plain)

    return define


def stand_in_inputs(
    fn: Callable[..., Any], hints: Mapping[str, Any], given: Mapping[str, dg.AssetIn] | None
) -> dict[str, dg.AssetIn]:
    """Declare the inputs of a function as Dagster would, with types that let a stand-in pass."""
    ins = dict(given or {})
    for parameter in input_parameters(fn):
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        declared = ins.get(parameter.name, dg.AssetIn())
        chosen = declared.dagster_type
        annotation = hints.get(parameter.name) if chosen is NoValueSentinel else chosen
        wrapped = stand_in_type(annotation) if annotation is not None else None
        if wrapped is not None:
            ins[parameter.name] = declared._replace(dagster_type=wrapped)
    return ins
