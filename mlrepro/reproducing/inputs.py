"""From what a record says of an input to the stored values that it held."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlrepro.catalog.channels import ChannelName, entries_of
from mlrepro.catalog.history import Version, find_number, partition_of_part, versions_of
from mlrepro.catalog.names import parse_version_name
from mlrepro.reproducing.recipe import Given, Recipe, RecordedInput
from mlrepro.store import Origin, Store, StoredValue


def add_input(store: Store, recipe: Recipe, name: str, origin: Mapping[str, Any]) -> None:
    """Find what an input held, and add it to a recipe; what is not there any more is added to what is missing.

    Args:
        store: The store.
        recipe: Gets it.
        name: Name of the argument.
        origin: What the record says of it.

    Raises:
        StoreError: The store failed.
    """
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
        if each is None or (source is not None and not source.get("kept")):
            recipe.missing.append(_gone(name, str(asset), partition, of_this, digest, source))
        elif not store.has_value(each.stored):
            what = f"{asset} v{of_this}" if of_this else str(asset)
            recipe.lost[each.stored.content_hash] = (
                f"the bytes of the input {name} ({what}, blob {each.stored.content_hash}), which"
                f" {_nowhere(store, recipe, source)}"
            )
            given.append(each)
        else:
            given.append(each)
    recipe.inputs[name] = RecordedInput(str(asset), isinstance(content, Mapping), tuple(given), source)


def _nowhere(store: Store, recipe: Recipe, source: object) -> str:
    where = f"are in none of the scopes that are read ({', '.join((store.scope, *store.read_scopes))})"
    if recipe.found.scope != store.scope:
        return f"{where}: MLREPRO_READ_SCOPES names further ones, such as that of who published the result"
    return where if source else f"{where}: --deep makes them again where it can"


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
