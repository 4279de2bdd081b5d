"""`rerun`: launch a run again with the code, config and input versions that it had then."""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg

from mlrepro.catalog import Version, find_store, parse_version_name
from mlrepro.catalog.history import find_number
from mlrepro.errors import MlreproError, StoreError
from mlrepro.reproducing import environments
from mlrepro.reproducing.code_trees import CodeTree, code_trees
from mlrepro.reproducing.launching import NotServedError, launch, wait
from mlrepro.reproducing.process import run_task
from mlrepro.reproducing.recipe import NoRecipeError, Recipe
from mlrepro.reproducing.records import recipe_of
from mlrepro.reproducing.rerun_task import RerunStep, RerunTask
from mlrepro.reproducing.task import Answer
from mlrepro.reproducing.workspace import workspace as temporary_workspace
from mlrepro.store import Store

RERUN_TAG = "mlrepro/rerun_of"
"""Run tag: the run that this one repeats."""

_OWN = ("dagster/", ".dagster", "mlrepro/")
_KEPT = (
    "dagster/partition",
    "dagster/partition_set",
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
)

_LEFT_OUT = "is not launched again"


class RerunError(MlreproError):
    """A run cannot be launched again, and what is missing."""


@dataclass(frozen=True)
class RerunAsset:
    """What became of one asset of a run when the run was launched again.

    Attributes:
        asset: Its key.
        partition: Partition key, or None.
        cache: ``hit`` or ``computed``.
        same: Whether it is what it was then.
        version: Number of the version that it is.
    """

    asset: str
    partition: str | None
    cache: str
    same: bool
    version: int | None


@dataclass
class Rerun:
    """A run that was launched again.

    Attributes:
        run_id: The new run.
        of: The run that it repeats.
        success: Whether it succeeded.
        assets: What became of each asset.
        code: Where the code came from.
        notes: What is not as it was.
    """

    run_id: str
    of: str
    success: bool
    assets: list[RerunAsset] = field(default_factory=list)
    code: str = ""
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object."""
        return {**vars(self), "assets": [vars(each) for each in self.assets]}


def rerun(
    run_id: str,
    *,
    module: str | None = None,
    repository: str | Path | None = None,
    workspace: str | Path | None = None,
    instance: dg.DagsterInstance | None = None,
    store: Store | str | None = None,
    scope: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Rerun:
    """Launch a run again with the code, config and input versions that it had then.

    It is an ordinary run of the Dagster instance, with the tag ``mlrepro/rerun_of``. What is known comes from the
    cache, and the versions of then become the newest again.

    Where `mlrepro code-server` serves the code location, and launched the run with a version that is still there, it is
    launched by that: through the instance's queue and launcher, a child of the run in the UI. Else a process on this
    machine executes it, without the assets that left no result (plain ones, those that failed).

    Args:
        run_id: The run. The first characters do, where they are of one run.
        module: Module with the Definitions, where assets need resources and no record names it.
        repository: Folder in the git repository of the code. Default: the working directory.
        workspace: The workspace file that names the code servers. Default: ``workspace.yaml`` in the working
            directory, then in DAGSTER_HOME.
        instance: Dagster's instance. Default: that of DAGSTER_HOME.
        store: The store of the run's assets, or its URL. Default: as the resource finds it.
        scope: Whose histories.
        progress: Called with a line for each thing that takes long.

    Raises:
        RerunError: If there is no such run, or its code, config or inputs are not to be had any more.
        StoreError: If the store fails.
    """
    opened = find_store(store, scope=scope)
    if opened.url.startswith("memory:"):
        raise StoreError(f"{opened.url} is this process's memory, which the run's process cannot read")
    if instance is None and "DAGSTER_HOME" not in os.environ:
        raise RerunError("set DAGSTER_HOME: it tells the Dagster instance that knows the run")
    with instance or dg.DagsterInstance.get() as known:
        run = _find(known, run_id)
        recipes, notes = _recipes(known, run, opened)
        say = progress or (lambda _: None)
        try:
            answer, code = _launch(known, run, recipes, opened, _workspace_file(known, workspace, notes), say)
        except NotServedError as error:
            notes += [] if str(error) in notes else [f"a process on this machine executed it: {error}"]
        else:
            return _outcome(known, run, answer, code, notes)
        with temporary_workspace() as folder:
            where = (Path(repository) if repository else Path.cwd()).absolute()
            answer, tree = _execute(known, run, recipes, opened, folder, where, module, say)
        return _outcome(known, run, answer, tree.what, notes, here=True)


def _workspace_file(instance: dg.DagsterInstance, given: str | Path | None, notes: list[str]) -> Path:
    if left_out := [note for note in notes if _LEFT_OUT in note]:  # a code server launches all of a run
        raise NotServedError(left_out[0])
    if given is not None:
        return Path(given)
    places = [Path.cwd(), Path(instance.root_directory)]
    for place in places:
        if (file := place / "workspace.yaml").exists():
            return file
    raise NotServedError(f"there is no workspace.yaml in {places[0]}, nor in {places[1]}, that names a code server")


def _launch(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    recipes: list[Recipe],
    store: Store,
    workspace: Path,
    say: Callable[[str], None],
) -> tuple[Answer, str]:
    run_id, version = launch(instance, run, recipes, store, workspace, _tags(run))
    say(f"launched run {run_id} with {version}")
    done = wait(instance, run_id, say)
    said = [] if done else [f"the run failed: see its log, {run_id}"]
    return Answer("computed" if done else "failed", said, record={"run_id": run_id}), f"its code server, {version}"


def _tags(run: dg.DagsterRun) -> dict[str, str]:
    tags = {name: value for name, value in run.tags.items() if name in _KEPT or not name.startswith(_OWN)}
    return {**{name: value for name, value in tags.items() if name != "user"}, RERUN_TAG: run.run_id}


def _find(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    if run is None:
        alike = [each for each in instance.get_runs(limit=1000) if run_id and each.run_id.startswith(run_id)]
        if len(alike) != 1:
            what = (
                f"{len(alike)} runs that begin so: write more of it"
                if alike
                else "no such run: look at DAGSTER_HOME, and the id"
            )
            raise RerunError(f"{run_id}: the Dagster instance has {what}")
        run = alike[0]
    if not run.is_finished:
        raise RerunError(f"run {run.run_id} is still going on ({run.status.value}): wait for it to end")
    return run


def _recipes(instance: dg.DagsterInstance, run: dg.DagsterRun, store: Store) -> tuple[list[Recipe], list[str]]:
    """What each asset of the run was computed from; a function that computes several stands there once."""
    found: dict[str, Recipe] = {}
    notes, missing = [], []
    told = set()
    for asset, partition, facts in _materialized(instance, run.run_id):
        told.add(asset)
        named = asset if partition is None else f"{asset} (partition {partition})"
        input_hash, number = facts.get("mlrepro/input_hash"), facts.get("mlrepro/version")
        if input_hash in found:
            continue
        if not isinstance(input_hash, str) or not isinstance(number, int):
            notes.append(f"{named} {_LEFT_OUT}: it left no result that tells what it was computed from")
            continue
        version = find_number(store, parse_version_name(asset).asset, partition, number)
        if version is None:
            missing.append(f"{named} v{number}: its history in {store.url} does not have it; --scope names the scope")
            continue
        try:
            recipe = recipe_of(store, _as_made(version, input_hash))
        except NoRecipeError as error:
            missing.append(str(error))
            continue
        missing += [f"{named}: {each}" for each in recipe.missing]
        notes += [f"{named}: {note}" for note in recipe.notes]
        found[input_hash] = recipe
    planned = {
        str(entry.dagster_event.asset_key.to_user_string())
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
        if entry.dagster_event and entry.dagster_event.asset_key
    }
    notes += [f"{asset} {_LEFT_OUT}: it did not succeed then" for asset in sorted(planned - told)]
    if missing:
        raise RerunError(f"run {run.run_id} cannot be launched again: {'; '.join(missing)}")
    if not found:
        raise RerunError(
            f"run {run.run_id} made nothing that mlrepro has a result of: {'; '.join(notes) or 'no asset'}"
        )
    return list(found.values()), notes


def _as_made(version: Version, input_hash: str) -> Version:
    """The version as that run made it: others may have come to the same content from other inputs."""
    return replace(version, body={**version.body, "input_hash": input_hash})


def _materialized(instance: dg.DagsterInstance, run_id: str) -> Iterator[tuple[str, str | None, Mapping[str, Any]]]:
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        event = entry.dagster_event
        if event is not None:
            made = event.step_materialization_data.materialization
            facts = {name: getattr(value, "value", value) for name, value in made.metadata.items()}
            yield made.asset_key.to_user_string(), made.partition, facts


def _execute(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    recipes: list[Recipe],
    store: Store,
    folder: Path,
    repository: Path,
    module: str | None,
    progress: Callable[[str], None],
) -> tuple[Answer, CodeTree]:
    numbers = itertools.count(1)
    reasons = []
    made = {asset for recipe in recipes for asset in recipe.record["assets"]}
    for tree in code_trees(store, recipes, folder / "code", repository):
        if not isinstance(tree, CodeTree):
            reasons.append(tree.why)
            continue
        place = folder / f"task-{next(numbers)}"
        steps = tuple(
            RerunStep(
                record=recipe.record,
                sources=recipe.sources,
                # what the run itself made is taken as it comes out now
                inputs={name: each for name, each in recipe.inputs.items() if each.asset not in made},
                config=recipe.config,
                definitions={"module": module} if module else recipe.record["code"].get("definitions"),
            )
            for recipe in recipes
        )
        task = RerunTask(
            workspace=folder,
            folder=place,
            answer=place / "answer",
            roots=tree.roots,
            store=store,
            instance=instance.get_ref(),
            steps=steps,
            resources=dict(run.run_config.get("resources") or {}),  # type: ignore[call-overload]
            tags=_tags(run),
        )
        progress(f"launching the run again from {tree.what}")
        python = environments.current()

        def waiting(seconds: float) -> None:
            progress(f"still running: {seconds:.0f} s")

        answer = run_task(task, python.python, isolated=False, waiting=waiting)
        if answer.status in ("computed", "failed"):
            return answer, tree
        reasons += [f"{tree.what}: {said}" for said in answer.said]
    raise RerunError(f"run {run.run_id} cannot be launched again, for its code: {'; '.join(reasons)}")


def _outcome(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    answer: Answer,
    code: str,
    notes: list[str],
    *,
    here: bool = False,
) -> Rerun:
    new = str(answer.record.get("run_id") or "")
    if not new:
        raise RerunError(f"the run could not be started from {code}: {'; '.join(answer.said)}")
    then = {(asset, partition): facts for asset, partition, facts in _materialized(instance, run.run_id)}
    assets = []
    for asset, partition, facts in _materialized(instance, new):
        before = then.get((asset, partition), {})
        same = facts.get("mlrepro/content_hash") == before.get("mlrepro/content_hash")
        number = facts.get("mlrepro/version")
        assets.append(
            RerunAsset(
                asset, partition, str(facts.get("mlrepro/cache")), same, number if isinstance(number, int) else None
            )
        )
    if here and (tags := sorted(each for each in run.tags if each.startswith("dagster-k8s/"))):
        notes = [*notes, f"it ran in one process on this machine: {', '.join(tags)} did not count"]
    return Rerun(new, run.run_id, answer.status == "computed", assets, code, [*notes, *answer.said])
