"""Derivations: what else gave the same, put if absent: ``derivations/<asset key>/<partition>/<input hash>.json``.

A version names the input hash that it was made by. Where another one gives the very same content, no version is
appended; a mark says of which version that content is. There is one for an input hash at most, so that two configs that
take turns add nothing.
"""

import warnings
from collections.abc import Mapping
from typing import Any

from mlrepro.errors import CacheWarning
from mlrepro.store import records
from mlrepro.store.keys import check_sha256, derivation_folder, derivation_key
from mlrepro.store.objects import Objects

_SUFFIX = ".json"


def note(objects: Objects, scope: str, name: tuple[str, ...], input_hash: str, mark: Mapping[str, Any]) -> None:
    """Put a mark unless there is one: one request, whether there is or not."""
    key = derivation_key(scope, name, check_sha256(input_hash, "input hash"))
    objects.create(key, records.sealed(mark))


def latest(objects: Objects, scope: str, name: tuple[str, ...], limit: int) -> list[str]:
    """Input hashes of the marks that were put last, newest first; the marks themselves are not read."""
    found = objects.latest(derivation_folder(scope, name), _SUFFIX, limit)
    return [each.removesuffix(_SUFFIX) for each in found]


def read(objects: Objects, scope: str, name: tuple[str, ...], input_hash: str) -> dict[str, Any] | None:
    """A mark; None where there is none, or with a warning, where it is damaged."""
    key = derivation_key(scope, name, input_hash)
    data = objects.get(key)
    try:
        return None if data is None else records.from_bytes(data)
    except ValueError as error:
        warnings.warn(
            f"The mark {objects.url.rstrip('/')}/{key} is damaged and counts as missing: {error}. Delete it: the next"
            " run that needs it puts it anew",
            CacheWarning,
            stacklevel=2,
        )
        return None
