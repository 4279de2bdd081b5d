"""From a version's result record to all that it takes to compute it again."""

import json
import os
from collections.abc import Mapping
from typing import Any

from mlrepro.catalog.history import Version
from mlrepro.io_managers.config import redacted
from mlrepro.io_managers.json_values import from_json
from mlrepro.reproducing.inputs import add_input
from mlrepro.reproducing.recipe import NoRecipeError, Recipe
from mlrepro.store import FoundResult, Store


def recipe_of(store: Store, version: Version) -> Recipe:
    """Read what a version was computed from.

    Raises:
        NoRecipeError: Nothing is known of that.
        StoreError: The store failed.
    """
    named = f"{'/'.join(version.asset)} v{version.number}"
    if version.input_hash is None:
        raise NoRecipeError(
            f"{named} was stored by a plain asset, of which neither code nor inputs are recorded: make it an @ml_asset"
        )
    found = _result(store, version)
    if found is None:
        raise NoRecipeError(
            f"the result {version.input_hash[:12]} that {named} belongs to is not in the store: it was removed, or"
            " never kept (cache=False)"
        )
    try:
        return _read(store, version, found, named)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NoRecipeError(
            f"the record of the result {version.input_hash[:12]} that {named} belongs to is damaged: {error!r}"
        ) from error


def _read(store: Store, version: Version, found: FoundResult, named: str) -> Recipe:
    assert version.input_hash is not None, "it was looked at before"
    record = found.record
    output = _output(record, version)
    if output is None:
        raise NoRecipeError(f"the result {version.input_hash[:12]} does not tell which of its outputs {named} is")
    if not store.is_vouched(version.input_hash, record, found.scope):
        # a record chooses what is imported, and what is installed: it is trusted as a pickle is, or not at all
        raise NoRecipeError(
            f"the record of {named} is of scope {found.scope!r}, which is not trusted, so nothing that it names is run:"
            f" if you trust all who write there, add {found.scope!r} to MLREPRO_TRUSTED_SCOPES; to trust one publisher,"
            f" add their key to MLREPRO_TRUSTED_KEYS ({found.scope}=ed25519:...)"
        )
    recipe = Recipe(version, output, found, json.loads(store.read_bytes(record["code"]["sources"])))
    recipe.config = _config(recipe, from_json(record.get("config")))
    for name, origin in record["inputs"].items():
        if name.startswith("(asset) "):
            recipe.dependencies[origin["asset"]] = origin["data_version"]
            recipe.notes.append(
                f"it depends on {origin['asset']} without taking it as an argument: what it reads of that by itself"
                " is read as it is now"
            )
        else:
            add_input(store, recipe, name, origin)
    return recipe


def _result(store: Store, version: Version) -> FoundResult | None:
    """The result that has this very content: a replacement may have another, and so may a deviation."""
    assert version.input_hash is not None, "it was looked at before"

    def has_it(record: Mapping[str, Any]) -> bool:
        return _output(record, version) is not None

    found = store.get_result(version.input_hash, usable=has_it)
    if found is not None:
        return found
    for scope in (store.scope, *store.read_scopes):
        for deviation in store.deviations(version.input_hash, only=scope):
            if has_it(deviation):
                return FoundResult(deviation, scope)
    return None


def _output(record: Mapping[str, Any], version: Version) -> str | None:
    wanted = version.stored.content_hash
    names = []
    outputs = record.get("outputs")
    for name, output in outputs.items() if isinstance(outputs, Mapping) else ():
        stored = [output.get("stored") or {}, *(output.get("partitions") or {}).values()]
        if any(each.get("content_hash") == wanted for each in stored):
            names.append(name)
    # two outputs of one content: the asset's own name tells which
    return next((name for name in names if name == version.asset[-1]), names[0] if names else None)


def _config(recipe: Recipe, config: Any) -> Any:
    """Fill secrets in, and turn what a record cannot hold as it was back into what a run config holds."""
    if isinstance(config, Mapping):
        if set(config) == {"env", "sha256"}:
            return _secret(recipe, config)
        if set(config) == {"enum"}:
            return str(config["enum"]).rpartition(".")[2]
        if set(config) == {"type", "value"}:
            recipe.missing.append(f"a config value of {config['type']}, of which only its text is recorded")
            return config["value"]
        return {_key(key): _config(recipe, item) for key, item in config.items()}
    return [_config(recipe, item) for item in config] if isinstance(config, list) else config


def _key(key: str) -> Any:
    if key.startswith('{"key":'):
        try:
            return json.loads(key)["key"]
        except ValueError:
            return key
    return key


def _secret(recipe: Recipe, config: Mapping[str, Any]) -> str | None:
    name = str(config["env"])
    value = os.environ.get(name)
    if value is None:
        recipe.missing.append(f"the environment variable {name}, a secret of its config: set it to what it was")
    elif redacted(value, {value: name})["sha256"] != config["sha256"]:
        recipe.notes.append(f"the environment variable {name}, a secret of its config, has another value than then")
    return value
