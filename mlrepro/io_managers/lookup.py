"""Looking a result up: a hit that can be replayed, or the reason why the step computes."""

import datetime as dt
import math
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlrepro.errors import CacheWarning, StoreError
from mlrepro.io_managers.cache import Cache
from mlrepro.io_managers.key import StepKey
from mlrepro.io_managers.modes import Mode
from mlrepro.store import Store, format_names
from mlrepro.store.results import values_of_output

_FORMATS = frozenset(format_names())


@dataclass(frozen=True)
class Hit:
    """A result that stands for the computation.

    Attributes:
        record: The result record.
        scope: The scope that it was found in.
        kind: Whether it was found by its key, or stands for the asset because somebody pinned or promoted it.
        said: Why it stands, where it was not found by its key.
    """

    record: Mapping[str, Any]
    scope: str
    kind: Literal["hit", "pinned", "served"] = "hit"
    said: str = ""

    def describe(self) -> str:
        """Say in a line whose result it is: ``computed by ana in run 1f3a on 2026-11-02; 12.0 s saved``."""
        return self.said or (
            f"computed by {self.record['who']} in run {self.record['run_id']} on {self.record['started'][:10]};"
            f" {self.record['seconds']:.1f} s saved"
        )


@dataclass(frozen=True)
class Miss:
    """No result that could stand for the computation.

    Attributes:
        reason: Why, in words for the run's log.
        warning: Whether the user should be warned: something that ought to be there is not.
        supersedes: Whether the new result takes the place of one that stands under the same key.
        lost: Blobs of the standing result that are not there.
        unanswered: Whether the store did not tell.
        unknown: Whether nothing was found under the input hash: then something that counts differs from every
            earlier result.
    """

    reason: str
    warning: bool = False
    supersedes: bool = False
    lost: tuple[str, ...] = ()
    unanswered: bool = False
    unknown: bool = False


def look_up(
    store: Store,
    key: StepKey,
    cache: Cache,
    outputs: Collection[str],
    *,
    check_values: bool = True,
    replaced: Collection[str] | None = None,
) -> Hit | Miss:
    """Look the result of a step up.

    Args:
        store: Where results are.
        key: The step's key.
        cache: What the asset's author said.
        outputs: Names of the outputs that the run selected.
        check_values: Whether a hit's values have to be in the store: a request a blob. Who only shows what a run
            would do can leave that to the run.
        replaced: All replaced results, where that is known, see `Store.get_result`.

    Returns:
        A hit only if every selected output is in the record, and its blobs are in the store where that is checked.
    """
    if key.uncacheable:
        return Miss(key.uncacheable)
    refused: list[str] = []
    try:
        found = store.get_result(key.input_hash, replaced=replaced, to_load=True, refused=refused)
    except StoreError as error:
        return Miss(f"the store could not be read: {error}", warning=True, unanswered=True)
    if found is None and refused:
        return Miss("; ".join(refused), warning=True)
    for why in refused:
        warnings.warn(why, CacheWarning, stacklevel=2)
    if found is None:
        return Miss("no result has this input hash yet", unknown=True)
    if not well_formed(found.record):
        return Miss(f"the record of result {key.input_hash[:12]} is damaged", warning=True, supersedes=True)
    if cache.max_age is not None:
        age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(found.record["finished"])
        if age > cache.max_age:
            return Miss(f"the result is {age} old, older than max_age {cache.max_age}", supersedes=True)
    recorded = found.record["outputs"]
    if missing := sorted(set(outputs) - set(recorded) - set(found.record.get("skipped", ()))):
        return Miss(f"the result lacks the outputs {', '.join(missing)}", supersedes=True)
    if not check_values:
        return Hit(found.record, found.scope)
    try:
        lost = [
            (name, stored.content_hash)
            for name in outputs
            for stored in values_of_output(recorded.get(name, {}))
            if not store.has_value(stored)
        ]
    except StoreError as error:
        return Miss(f"the store could not be read: {error}", warning=True, unanswered=True)
    if lost:
        named = ", ".join(f"{name} (blob {blob})" for name, blob in lost)
        return Miss(
            f"what result {key.input_hash[:12]} of run {found.record['run_id']} stored is missing or damaged: {named}",
            warning=True,
            supersedes=True,
            lost=tuple(blob for _, blob in lost),
        )
    return Hit(found.record, found.scope)


def declined(cache: Cache, mode: Mode) -> Miss | None:
    """Why a step computes without asking the store: its author, the run or the process said so; None if it asks."""
    if not cache.enabled:
        return Miss("the asset's cache is switched off")
    if mode == "off":
        return Miss("the cache is switched off for this run")
    if mode == "refresh":
        return Miss("a fresh result was asked for", supersedes=True)
    return None


def well_formed(record: Mapping[str, Any]) -> bool:
    """Whether a record has what a replay needs: somebody may have edited it, or a disk may have."""
    try:
        outputs = list(record["outputs"].values())
        texts = [record[name] for name in ("who", "run_id", "started", "finished")]
        texts += [record["code"]["fingerprint"], *(output["data_version"] for output in outputs)]
        times = [dt.datetime.fromisoformat(record[name]) for name in ("started", "finished")]
        objects = [*record["checks"], *(output[name] for output in outputs for name in ("metadata", "tags"))]
        skipped = record.get("skipped", [])
        stored = [list(values_of_output(output)) for output in outputs]
        texts += [value.python_type for values in stored for value in values]
        known = all(value.format in _FORMATS for values in stored for value in values)
        finite = math.isfinite(record["seconds"])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, StoreError):
        return False
    return (
        known
        and finite
        and isinstance(record["checks"], list)
        and isinstance(skipped, list)
        and all(isinstance(text, str) for text in texts)
        and all(time.tzinfo is not None for time in times)
        and all(isinstance(each, dict) for each in objects)
        and all(stored)
    )
