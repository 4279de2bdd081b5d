"""The versions that a version was made from."""

from mlrepro.catalog import Version, parse_version_name
from mlrepro.catalog.history import find_number, versions_of
from mlrepro.reproducing.recipe import Given, Recipe
from mlrepro.store import Store


def upstream_of(store: Store, recipe: Recipe) -> tuple[list[Version], list[str]]:
    """Find the versions that a recipe's inputs were.

    Returns:
        The versions, and a note on each input that has none: the lineage ends there.
    """
    versions: list[Version] = []
    notes = []
    for name, given in recipe.inputs.items():
        if given.source is not None:
            notes.append(f"{name} is a source: the copy that is kept of the file {given.source['file']} was read")
            continue
        for each in given.given:
            found = _version(store, given.asset, each)
            if found is None:
                notes.append(f"{name} ({given.asset}) has no history that tells what it was made from")
            elif found not in versions:
                versions.append(found)
    return versions, notes


def _version(store: Store, asset: str, given: Given) -> Version | None:
    path = parse_version_name(asset).asset
    # what came by a channel is a version of the asset that the channel is of
    for candidate in (path, path[:-1]):
        if not candidate:
            continue
        if given.number is not None:
            found = find_number(store, candidate, given.partition, given.number)
            if found is not None and found.stored.content_hash == given.stored.content_hash:
                return found
        for scope in (store.scope, *store.read_scopes):
            for version in versions_of(store, candidate, given.partition, only=scope):
                if version.stored.content_hash == given.stored.content_hash:
                    return version
    return None
