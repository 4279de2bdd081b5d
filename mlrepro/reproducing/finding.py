"""From a tree of code to the asset whose function a record is of."""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg

from mlrepro.errors import MlreproError
from mlrepro.execution.loading import one_line
from mlrepro.io_managers.computation import Computation, computation_of
from mlrepro.io_managers.key_record import code_sources
from mlrepro.versioning import CodeFingerprint, reference


@dataclass(frozen=True)
class FoundAsset:
    """An asset, and what it needs to run.

    Attributes:
        assets: Its definition, under the recorded keys.
        computation: Its function.
        code: Fingerprint of that as it is in this process.
        resources: Resources of the code location; empty where its definitions were not loaded.
    """

    assets: dg.AssetsDefinition
    computation: Computation
    code: CodeFingerprint
    resources: Mapping[str, Any]


class OtherCodeError(MlreproError):
    """A tree of code does not hold what a record is of."""


def find_asset(
    record: Mapping[str, Any],
    sources: Sequence[Mapping[str, Any]],
    definitions: Mapping[str, Any] | None,
    roots: Sequence[Path],
) -> FoundAsset:
    """Import the modules of a closure and find the asset.

    Args:
        record: The result record.
        sources: Sources of its closure.
        definitions: How the definitions of the code location are loaded: looked at where the function's module
            does not hold the asset, or the asset needs resources.
        roots: Import roots of the tree.

    Raises:
        OtherCodeError: If it is not there, or its code is other code.
    """
    absent = [file for file in sorted({str(each["file"]) for each in sources}) if not _is_under(roots, file)]
    if absent:  # nothing is imported from elsewhere because a record names it
        raise OtherCodeError(f"it has no {', '.join(absent[:3])}")
    wanted = _comparable(sources)
    modules = _modules(record, sources)
    candidates: list[tuple[dg.AssetsDefinition, Mapping[str, Any]]] = [
        (found, {}) for name in modules for found in _assets_in(vars(_import(name)).values())
    ]
    chosen = _best(record, candidates, wanted)
    needs_more = chosen is None or chosen.assets.node_def.required_resource_keys  # type: ignore[attr-defined]
    if needs_more and definitions is not None:
        try:
            loaded = _definitions(definitions)
        except OtherCodeError:
            if chosen is None:
                raise
        else:
            resources = dict(loaded.resources or {})
            chosen = _best(record, [(found, resources) for found in _assets_in([loaded])], wanted) or chosen
    if chosen is None:
        where = ", ".join(modules)
        raise OtherCodeError(f"no @ml_asset in {where} is the function of {', '.join(record['assets'])}")
    changed = _changed(wanted, _comparable(code_sources(chosen.code)))
    if changed:
        raise OtherCodeError(f"other code: {', '.join(changed[:5])}{', ...' if len(changed) > 5 else ''}")
    return chosen


def strays(sources: Sequence[Mapping[str, Any]], roots: Sequence[Path]) -> list[str]:
    """Modules of a closure that were imported from somewhere else than the tree."""
    names = {str(source["name"]).partition(":")[0] for source in sources} - {"__main__"}
    found = []
    for name in sorted(names & sys.modules.keys()):
        file = getattr(sys.modules[name], "__file__", None)
        if file and not any(Path(file).resolve().is_relative_to(root.resolve()) for root in roots):
            found.append(f"{name} ({file})")
    return found


def _is_under(roots: Sequence[Path], file: str) -> bool:
    return any((root / file).is_file() and (root / file).resolve().is_relative_to(root.resolve()) for root in roots)


def _modules(record: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Modules of a closure, the function's own first; a script goes by the name of its file."""
    own = str(record["code"].get("function") or "").partition(":")[0]
    names: dict[str, None] = {}
    for source in sorted(sources, key=lambda each: str(each["name"]).partition(":")[0] != own):
        module = str(source["name"]).partition(":")[0]
        names[Path(str(source["file"])).stem if module == "__main__" else module] = None
    return list(names)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise OtherCodeError(f"importing {name} failed: {type(error).__name__}: {one_line(error)}") from error


def _definitions(pointer: Mapping[str, Any]) -> dg.Definitions:
    module = _import(
        str(pointer.get("module") or Path(str(pointer["file"])).with_suffix("").as_posix().replace("/", "."))
    )
    named = getattr(module, str(pointer.get("attribute")), None)
    found = [named] if isinstance(named, dg.Definitions) else []
    found += [value for value in vars(module).values() if isinstance(value, dg.Definitions)]
    if not found:
        raise OtherCodeError(f"{module.__name__} holds no Definitions")
    return found[0]


def _assets_in(values: Any) -> Iterator[dg.AssetsDefinition]:
    for value in list(values):
        if isinstance(value, dg.AssetsDefinition):
            yield value
        elif isinstance(value, dg.Definitions):
            yield from _assets_in(value.assets or ())
        elif type(value) in (list, tuple):  # Dagster's records are tuples that may not be iterated
            yield from _assets_in(value)
        elif type(value) is dict:
            yield from _assets_in(value.values())


def _best(
    record: Mapping[str, Any],
    candidates: Sequence[tuple[dg.AssetsDefinition, Mapping[str, Any]]],
    wanted: Mapping[str, str],
) -> FoundAsset | None:
    """The candidate that is most like what is recorded: its digest, then its sources, then its keys."""
    function = record["code"].get("function")
    keys = [tuple(dg.AssetKey.from_user_string(key).path) for key in record["assets"]]
    ranked = []
    seen: set[int] = set()
    for number, (assets, resources) in enumerate(candidates):
        computation = computation_of(assets.node_def)
        if computation is None or id(assets) in seen:
            continue
        seen.add(id(assets))
        named = _renamed(assets, record, keys)
        same_function = function is None or _function(reference(computation.fn)) == _function(function)
        if named is None or not same_function:
            continue
        code = computation.fingerprint()
        rank = (
            code.digest == record["code"]["fingerprint"],
            _comparable(code_sources(code)) == wanted,
            {tuple(key.path) for key in assets.keys} == set(keys),
            -number,
        )
        ranked.append((rank, FoundAsset(named, computation, code, resources)))
    return max(ranked, key=lambda each: each[0])[1] if ranked else None


def _function(name: str) -> str:
    return name.partition(":")[2]


def _renamed(
    assets: dg.AssetsDefinition, record: Mapping[str, Any], keys: Sequence[tuple[str, ...]]
) -> dg.AssetsDefinition | None:
    """The definition under the recorded keys: a code location may give its modules' assets a prefix."""
    replaced: dict[dg.AssetKey, dg.AssetKey] = {}
    for key in assets.keys:
        path = tuple(key.path)
        ending = [each for each in keys if each[-len(path) :] == path]
        if path not in keys and not ending:
            return None
        replaced[key] = dg.AssetKey(list(path if path in keys else min(ending)))
    for name, key in assets.keys_by_input_name.items():
        asset = (record["inputs"].get(name) or {}).get("asset")
        if asset and key not in replaced:
            replaced[key] = dg.AssetKey.from_user_string(asset)
    changed = {old: new for old, new in replaced.items() if old != new}
    return assets.with_attributes(asset_key_replacements=changed) if changed else assets


def _comparable(sources: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Texts by name; a script's definitions go by the name of its file."""
    found = {}
    for source in sources:
        module, colon, name = str(source["name"]).partition(":")
        module = Path(str(source["file"])).stem if module == "__main__" else module
        found[module + colon + name] = str(source["text"])
    return found


def _changed(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
