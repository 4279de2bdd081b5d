"""What a version's record says it takes to compute it again, and what is not there any more."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlrepro.catalog.channels import ChannelName, entries_of
from mlrepro.catalog.history import Version, find_number, partition_of_part, versions_of
from mlrepro.catalog.names import parse_version_name
from mlrepro.errors import MlreproError
from mlrepro.io_managers.config import redacted
from mlrepro.io_managers.json_values import from_json
from mlrepro.store import FoundResult, Origin, Store, StoredValue


@dataclass(frozen=True)
class Given:
    """One stored value that an input had.

    Attributes:
        partition: Partition key of the upstream asset, or None.
        number: Version number in its history, None for a source.
        stored: What to load.
        place: The temporary store that has it, where it was computed just now; None for what is recorded.
    """

    partition: str | None
    number: int | None
    stored: StoredValue
    place: Path | None = None


@dataclass(frozen=True)
class RecordedInput:
    """One argument of the function, as the record has it.

    Attributes:
        asset: Key of the upstream asset.
        as_mapping: Whether the argument is a mapping of partition key to value.
        given: What it held.
        source: For a file, its name and the reference of its reader.
        version: The upstream version, where that is one.
    """

    asset: str
    as_mapping: bool
    given: tuple[Given, ...]
    source: Mapping[str, Any] | None = None


@dataclass
class Recipe:
    """All that a record tells, ready to be computed.

    Attributes:
        version: The version.
        output: Name of the output that it is.
        found: The result record, and the scope it was found in.
        sources: Sources of the closure.
        inputs: By argument name.
        dependencies: Data versions of upstream assets that are no arguments, by key.
        config: The config, secrets filled in from the environment.
        missing: What is not there, each with the next step; nothing can be tried while there is some.
        lost: What is missing and could be made again: why, by content hash.
        notes: What a person should know.
        vouched: Whether somebody who is trusted vouches for the record, so that code that it holds may be run.
    """

    version: Version
    output: str
    found: FoundResult
    sources: Sequence[Mapping[str, Any]]
    inputs: dict[str, RecordedInput] = field(default_factory=dict)
    dependencies: dict[str, Any] = field(default_factory=dict)
    config: Any = None
    missing: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    vouched: bool = False

    def untrusted(self, consequence: str) -> str:
        """Say what is not done because nobody who is trusted vouches for the record."""
        return (
            f"the record is of scope {self.found.scope!r}, which is not trusted, so {consequence}: if you trust all who"
            " write there, add it to MLREPRO_TRUSTED_SCOPES"
        )

    @property
    def record(self) -> Mapping[str, Any]:
        """The result record."""
        return self.found.record


class NoRecipeError(MlreproError):
    """A version cannot be computed again, and why."""


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
    record = found.record
    output = _output(record, version)
    if output is None:
        raise NoRecipeError(f"the result {version.input_hash[:12]} does not tell which of its outputs {named} is")
    recipe = Recipe(version, output, found, json.loads(store.read_bytes(record["code"]["sources"])))
    recipe.vouched = store.is_vouched(version.input_hash, record, found.scope)
    recipe.config = _config(recipe, from_json(record.get("config")))
    for name, origin in record["inputs"].items():
        if name.startswith("(asset) "):
            recipe.dependencies[origin["asset"]] = origin["data_version"]
            recipe.notes.append(
                f"it depends on {origin['asset']} without taking it as an argument: what it reads of that by itself"
                " is read as it is now"
            )
        else:
            _add_input(store, recipe, name, origin)
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


def _add_input(store: Store, recipe: Recipe, name: str, origin: Mapping[str, Any]) -> None:
    asset, content, number = origin.get("asset"), origin.get("content_hash"), origin.get("version")
    source = origin.get("source")
    stored_as = origin.get("stored_as")
    if content is None:
        recipe.missing.append(
            f"the input {name} ({asset}), whose content could not be hashed when it was computed: nothing tells what"
            " it was"
        )
        return
    contents = content if isinstance(content, Mapping) else {None: content}
    given = []
    for partition, digest in contents.items():
        of_this = number.get(partition) if isinstance(number, Mapping) else number
        at = origin.get("partition") if partition is None else str(partition)
        if stored_as is not None and len(contents) == 1:
            each: Given | None = _as_recorded(store, recipe, str(asset), at, of_this, digest, stored_as)
        else:
            each = _in_histories(store, recipe, str(asset), at, of_this, digest)
        if source is not None and source.get("reader") and not recipe.vouched:
            recipe.missing.append(
                f"the function that reads the file {source.get('file')}: {recipe.untrusted('what it names is not run')}"
            )
        elif each is None or (source is not None and not source.get("kept")):
            recipe.missing.append(_gone(name, str(asset), partition, of_this, digest, source))
        elif not store.has_value(each.stored):
            what = f"{asset} v{of_this}" if of_this else str(asset)
            recipe.lost[each.stored.content_hash] = (
                f"the bytes of the input {name} ({what}, blob {each.stored.content_hash}), which are not in the store"
                f" any more{'' if source else ': --deep makes them again where it can'}"
            )
            given.append(each)
        else:
            given.append(each)
    recipe.inputs[name] = RecordedInput(str(asset), isinstance(content, Mapping), tuple(given), source)


def _gone(name: str, asset: str, partition: Any, number: Any, digest: str, source: Any) -> str:
    if source is not None:
        return (
            f"the content {digest[:12]} of the file {source.get('file')} (input {name}), of which no copy was kept:"
            " file_source(keep=True) keeps one"
        )
    what = f"{asset} v{number}" if isinstance(number, int) else asset
    what += f", partition {partition}," if partition is not None else ""
    return (
        f"the input {name} ({what} content {digest[:12]}): no history of the scopes that are read has it;"
        " MLREPRO_READ_SCOPES names further scopes"
    )


def _as_recorded(
    store: Store,
    recipe: Recipe,
    asset: str,
    partition: str | None,
    number: int | None,
    digest: str,
    stored_as: Mapping[str, Any],
) -> Given:
    """What the record itself says is stored; a history tells whose it is, which matters for what may be loaded."""
    stored = replace(
        StoredValue.from_input(digest, stored_as), origin=Origin(recipe.found.scope, recipe.version.input_hash)
    )
    if number is not None:
        path = parse_version_name(asset).asset
        found = find_number(store, path, partition, number)
        if found is not None and found.stored.content_hash == digest:
            stored = found.stored
    return Given(partition, number, stored)


def _in_histories(
    store: Store, recipe: Recipe, asset: str, partition: str | None, number: int | None, digest: str
) -> Given | None:
    """What the histories of an asset or channel have of that content, for records that do not tell how it is stored."""
    path = parse_version_name(asset).asset
    partitions: list[str | None] = [partition]
    if partition is None:
        # the record of a single partition does not name it
        known = {
            partition_of_part(each[-1]) for each in store.histories(("versions", *path)) if len(each) == len(path) + 2
        }
        own = list(recipe.record.get("partitions") or ())
        partitions = [None, *own, *sorted(each for each in known if each is not None and each not in own)]
    for each in partitions:
        version = _version(store, path, each, number, digest)
        if version is not None:
            return Given(each, version.number, version.stored)
    if len(path) > 1:  # a channel has no versions of its own
        for each in partitions:
            for entry in entries_of(store, ChannelName(path[:-1], path[-1], each)):
                if entry.after is not None and entry.after.stored.content_hash == digest:
                    return Given(each, entry.after.number, entry.after.stored)
    return None


def _version(
    store: Store, path: Sequence[str], partition: str | None, number: int | None, digest: str
) -> Version | None:
    if number is not None:
        found = find_number(store, path, partition, number)
        if found is not None and found.stored.content_hash == digest:
            return found
    for scope in (store.scope, *store.read_scopes):
        for version in versions_of(store, path, partition, only=scope):
            if version.stored.content_hash == digest:
                return version
    return None
