"""What an asset asks of the pod that computes it: ``resources=``, ``image=`` and ``node_selector=``."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mlrepro.errors import AssetDefinitionError
from mlrepro.kubernetes_names import check_image, check_label_value, check_qualified
from mlrepro.quantities import check_memory, check_quantity

CONFIG_TAG: Final = "dagster-k8s/config"
"""Op tag that dagster-k8s reads."""

_NAMES: Final = {"gpu": "nvidia.com/gpu", "ephemeral_storage": "ephemeral-storage"}
_BYTES: Final = frozenset({"memory", "ephemeral-storage"})
_KNOWN: Final = ("cpu", "memory", "gpu", "ephemeral_storage")

Asked = Mapping[str, str | int | float]


def pod_tags(
    asset: str,
    op_tags: Mapping[str, Any] | None,
    *,
    resources: Asked | None,
    image: str | None,
    node_selector: Mapping[str, str] | None,
) -> dict[str, Any] | None:
    """Add what a step asks of its pod to its op tags, as dagster-k8s reads it.

    Requests and limits are the same, so that what a step has does not depend on its neighbours. No executor but those
    that start pods reads the tag.

    Args:
        asset: Its name, for errors.
        op_tags: The tags that its author gave. What they say of the pod stays.
        resources: Amounts by name: ``cpu``, ``memory``, ``gpu``, ``ephemeral_storage``, or a name that the cluster
            knows, such as ``amd.com/gpu``.
        image: The image of this step alone.
        node_selector: Labels that the node must have.

    Raises:
        AssetDefinitionError: Something is asked for that can't be, or the tags say something else.

    Example:
        >>> pod_tags("model", None, resources={"cpu": 2}, image=None, node_selector=None)
        {'dagster-k8s/config': {'container_config': {'resources': {'requests': {'cpu': '2'}, 'limits': {'cpu': '2'}}}}}
    """
    asked: dict[str, Any] = {}
    container: dict[str, Any] = {}
    if resources is not None and (amounts := _amounts(asset, resources)):
        container["resources"] = {"requests": dict(amounts), "limits": dict(amounts)}
    if image is not None:
        container["image"] = _checked(asset, "image", check_image, image)
    if container:
        asked["container_config"] = container
    if node_selector is not None and (labels := _labels(asset, node_selector)):
        asked["pod_spec_config"] = {"node_selector": labels}
    given = dict(op_tags) if op_tags is not None else None
    if not asked:
        return given
    return {**(given or {}), CONFIG_TAG: _merged(asset, asked, _config(asset, given))}


def _amounts(asset: str, resources: Any) -> dict[str, str]:
    if not isinstance(resources, Mapping):
        raise AssetDefinitionError(f"{asset}: resources takes amounts by name, as in {{'cpu': '2'}}, not {resources!r}")
    amounts: dict[str, str] = {}
    for given, value in resources.items():
        name = _NAMES.get(given, given)
        if name in amounts:
            raise AssetDefinitionError(f"{asset}: resources names {name} twice: keep one")
        if name not in {"cpu", *_BYTES} and not (isinstance(name, str) and "/" in name):
            raise AssetDefinitionError(
                f"{asset}: resources names {given!r}, which is none: there are {', '.join(_KNOWN)}, and names of the"
                " cluster's own with a domain, such as amd.com/gpu"
            )
        if name in _BYTES:
            amounts[name] = _checked(asset, f"resources[{given!r}]", check_memory, value)
        elif name == "cpu":
            amounts[name] = _checked(asset, f"resources[{given!r}]", check_quantity, value)
        else:
            _checked(asset, "resources", check_qualified, name)
            amounts[name] = _whole(asset, given, value)
    return amounts


def _whole(asset: str, name: str, value: Any) -> str:
    """Devices are given as a whole; nothing of them is left where none is asked for."""
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or int(text) < 1:
        raise AssetDefinitionError(f"{asset}: resources[{name!r}] is a whole number from 1, not {value!r}")
    return str(int(text))


def _labels(asset: str, node_selector: Any) -> dict[str, str]:
    if not isinstance(node_selector, Mapping):
        raise AssetDefinitionError(
            f"{asset}: node_selector takes labels by name, as in {{'gpu': 'a100'}}, not {node_selector!r}"
        )
    return {
        _checked(asset, "node_selector", check_qualified, name): _checked(
            asset, f"node_selector[{name!r}]", check_label_value, value
        )
        for name, value in node_selector.items()
    }


def _checked(asset: str, argument: str, check: Any, value: Any) -> str:
    try:
        return str(check(value))
    except ValueError as error:
        raise AssetDefinitionError(f"{asset}: {argument}: {error}") from error


def _config(asset: str, op_tags: Mapping[str, Any] | None) -> dict[str, Any]:
    given = (op_tags or {}).get(CONFIG_TAG, {})
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            given = None
    if not isinstance(given, Mapping):
        raise AssetDefinitionError(f"{asset}: the op tag {CONFIG_TAG} holds no settings of a pod by name")
    config = dict(given)
    pod = config.get("pod_spec_config")
    if isinstance(pod, Mapping) and "nodeSelector" in pod:  # dagster-k8s takes both spellings
        config["pod_spec_config"] = {
            "node_selector" if name == "nodeSelector" else name: value for name, value in pod.items()
        }
    return config


def _merged(asset: str, asked: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Both; what both say must be the same, as nobody could tell which was meant."""
    there = dict(_leaves(given))
    for path, value in _leaves(asked):
        # a text where a mapping is expected, and the other way round, is a contradiction too
        for length in range(1, len(path) + 1):
            if path[:length] in there and (length < len(path) or str(there[path]) != value):
                told = ".".join(path[:length])
                raise AssetDefinitionError(
                    f"{asset}: asks for {value!r}, but its op tag {CONFIG_TAG} says {there[path[:length]]!r} under"
                    f" {told}: keep one"
                )
        if any(other[: len(path)] == path and other != path for other in there):
            raise AssetDefinitionError(f"{asset}: its op tag {CONFIG_TAG} says something else under {'.'.join(path)}")
    return _deep(asked, given)


def _leaves(config: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, str(name)))
        else:
            yield (*path, str(name)), value


def _deep(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(first)
    for name, value in second.items():
        old = merged.get(name)
        merged[name] = _deep(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
