"""From two records of one computation to a verdict, and to the likely cause of a difference."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlrepro.reproducing.recipe import Recipe
from mlrepro.reproducing.reproduction import Reproduction
from mlrepro.reproducing.task import Answer
from mlrepro.store import Origin, Store, StoredValue
from mlrepro.versioning import Change, Evidence, differences

_MOST = 6


def recorded_outputs(
    record: Mapping[str, Any], origin: Origin | None = None
) -> dict[str, dict[str | None, StoredValue]]:
    """What a result's outputs were, by name and then by partition (None where there is one value).

    Args:
        record: The result record.
        origin: Who says so, where the values may be loaded.
    """
    found: dict[str, dict[str | None, StoredValue]] = {}
    for name, output in record["outputs"].items():
        if partitions := output.get("partitions"):
            found[name] = {str(key): StoredValue.from_json(each, origin) for key, each in partitions.items()}
        elif output.get("stored"):
            found[name] = {None: StoredValue.from_json(output["stored"], origin)}
    return found


def judge(recipe: Recipe, answer: Answer, tolerance: float, into: Reproduction) -> None:
    """Decide how alike what came out is, for the output that the version is.

    Args:
        recipe: What is recorded.
        answer: What came out.
        tolerance: Relative difference up to which numbers count as the same.
        into: Gets the verdict and what differs.
    """
    wanted = recipe.version.stored
    made = _made(answer.record, recipe)
    into.recorded_hash = wanted.content_hash
    into.content_hash = made.content_hash if made else None
    into.seconds, into.recorded_seconds = answer.seconds, recipe.record.get("seconds")
    if made is not None and (made.content_hash, made.format) == (wanted.content_hash, wanted.format):
        into.verdict = "same"
        return
    several = recipe.record["outputs"][recipe.output].get("partitions")
    title = f"{recipe.output}[{recipe.version.partition}]" if several else recipe.output
    likeness, lines = answer.likeness.get(title, ("different", ["it did not come out this time"]))
    into.differs = list(lines)
    if likeness == "equal":
        into.differs = ["nothing but the bytes: the values are equal"]
    numbers = _metrics(recipe.record, recipe), _metrics(answer.record, recipe)
    metrics_alike = bool(numbers[0]) and alike(*numbers, tolerance)
    into.verdict = "close" if likeness in ("equal", "close") or metrics_alike else "differs"


def alike(before: Mapping[str, float], after: Mapping[str, float], tolerance: float) -> bool:
    """Whether two sets of metrics are the same within a tolerance."""
    return before.keys() == after.keys() and all(
        math.isclose(before[name], after[name], rel_tol=tolerance, abs_tol=tolerance * 1e-6) for name in before
    )


def likely_causes(recipe: Recipe, store: Store, first: Answer, second: Answer | None, recorded: bool) -> list[str]:
    """Say why a result came out otherwise, the likeliest first.

    Args:
        recipe: What is recorded.
        store: Where the recorded lists of libraries are.
        first: What came out.
        second: What came out in a second process, with the same of everything.
        recorded: Whether the environment was built from the record.
    """
    causes = []
    if second is not None and second.status == "computed" and not same_outputs(first.record, second.record):
        seed = recipe.record.get("seed")
        why = (
            "no seed is set: give seed=... to @ml_asset"
            if seed is None
            else f"the seed {seed} does not reach everything: generators of its own, threads, time, unordered sets"
        )
        causes.append(f"unseeded randomness: computed twice, it differs from itself; {why}")
    environment, others = _environment_causes(recipe, store, first)
    if environment:
        advice = "" if recorded else "; --env recorded computes it with what it had then"
        causes.append(f"environment: {'; '.join(environment[:_MOST])}{advice}")
    causes += others
    causes += [note for note in recipe.notes if note not in causes]
    if not causes:
        causes.append(
            "nothing that is recorded differs, and computed twice it comes out the same: something that is not"
            " recorded counts, such as the processor, the number of threads, files or services that the code reads"
        )
    return causes


def same_outputs(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records have the same content."""
    return recorded_outputs(one) == recorded_outputs(other)


def _made(record: Mapping[str, Any], recipe: Recipe) -> StoredValue | None:
    found = recorded_outputs(record).get(recipe.output, {})
    return found.get(recipe.version.partition) or found.get(None)


def _metrics(record: Mapping[str, Any], recipe: Recipe) -> dict[str, float]:
    output = record["outputs"].get(recipe.output) or {}
    by_partition = output.get("partition_metrics") or {}
    return dict(by_partition.get(recipe.version.partition) or output.get("metrics") or {})


def _environment_causes(recipe: Recipe, store: Store, answer: Answer) -> tuple[list[str], list[str]]:
    before = Evidence(recipe.record, recipe.sources, _freeze(recipe, store))
    after = Evidence(answer.record, answer.sources, answer.freeze)
    used = set(recipe.record["code"].get("distributions") or {}) | set(_input_libraries(recipe.record))
    environment, others = [], []
    ranked = sorted(_told(differences(before, after)), key=lambda change: change.name not in used)
    for change in ranked:
        line = f"{change.name} {change.before} -> {change.after}"
        if change.kind in ("library", "environment"):
            if change.kind == "environment" or change.name in used:
                environment.append(line)
        elif change.kind == "code":
            others.append(f"code: {change.name} is other code")
        elif change.kind not in ("metric", "input", "partition", "dependency"):
            others.append(f"{change.kind}: {line}")
    if not environment and (count := sum(change.kind == "library" for change in ranked)):
        environment.append(f"{count} libraries in other versions, none of which the code names itself")
    return environment, others


def _told(changes: Sequence[Change]) -> Iterator[Change]:
    """What may change a value: the version of mlrepro itself may not."""
    return (change for change in changes if change.name != "mlrepro")


def _input_libraries(record: Mapping[str, Any]) -> Iterator[str]:
    inputs = (record.get("key_parts") or {}).get("inputs") or {}
    for each in inputs.values():
        yield from (name for name in each.get("code") or {} if ":" not in name)


def _freeze(recipe: Recipe, store: Store) -> str:
    digest = (recipe.record.get("environment") or {}).get("freeze")
    return store.read_bytes(digest).decode() if digest else ""
