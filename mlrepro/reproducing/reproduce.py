"""`reproduce`: compute a version again from its record alone, and say how alike it comes out."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mlrepro.catalog import Version, VersionName, find_store, version
from mlrepro.comparison.evaluations import evaluations_of
from mlrepro.errors import MlreproError, StoreError
from mlrepro.reproducing import environments
from mlrepro.reproducing.code_trees import CodeTree, code_trees
from mlrepro.reproducing.environments import Interpreter
from mlrepro.reproducing.judging import alike, judge, likely_causes, recorded_outputs
from mlrepro.reproducing.process import run_task
from mlrepro.reproducing.recipe import Given, NoRecipeError, Recipe, RecordedInput
from mlrepro.reproducing.records import recipe_of
from mlrepro.reproducing.reproduction import Reproduction
from mlrepro.reproducing.task import Answer, Task
from mlrepro.reproducing.upstream import upstream_of
from mlrepro.reproducing.workspace import workspace
from mlrepro.store import Origin, Store, StoredValue

Env = Literal["recorded", "current"]
Progress = Callable[[str], None]

TOLERANCE = 1e-6


def reproduce(
    name: str,
    *,
    env: Env = "current",
    deep: bool = False,
    partition: str | None = None,
    module: str | None = None,
    repository: str | Path | None = None,
    tolerance: float = TOLERANCE,
    store: Store | str | None = None,
    scope: str | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Compute a version again from its record alone, in a clean process, and compare.

    The record tells the code (the files stored with the result, else its git commit), the inputs by content hash,
    config, seed and partition. No version is made, and nothing is written to the store or to Dagster.

    Args:
        name: ``asset@v3``, ``asset@production``, or ``asset`` for the newest version.
        env: ``current`` computes with the libraries that are installed here, ``recorded`` with those that were then: a
            fresh environment is built by uv.
        deep: Whether the versions that its inputs were are computed again too, up to the sources.
        partition: Partition key, for a partitioned asset.
        module: Module with the Definitions of the code location, where an asset needs its resources and the record
            does not name it.
        repository: Folder in the git repository of the code. Default: the working directory.
        tolerance: Relative difference up to which numbers count as the same.
        store: A store or its URL. Default: as the resource finds it.
        scope: Whose history.
        progress: Called with a line for each thing that takes long.

    Raises:
        UnknownVersionError: If there is no such version.
        MissingExtraError: If ``env="recorded"`` and there is no uv.
        StoreError: If the store fails, or lies in this process's memory.

    Example:
        >>> reproduce("nobody@v1", store="memory://reproduce-example")
        Traceback (most recent call last):
        mlrepro.errors.StoreError: memory://reproduce-example is this process's memory, which the process that \
computes again cannot read: use a folder or a bucket
    """
    opened = find_store(store, scope=scope)
    if opened.url.startswith("memory:"):
        raise StoreError(
            f"{opened.url} is this process's memory, which the process that computes again cannot read: use a folder or"
            " a bucket"
        )
    found = version(name, partition=partition, store=opened)
    with workspace() as folder:
        where = Path(repository) if repository else Path.cwd()
        reproducing = _Reproducing(opened, env, module, where, tolerance, folder, progress or _silent)
        return reproducing.of(found, deep=deep)


class _Reproducing:
    """One call: what was built and computed in it is not built and computed twice."""

    def __init__(
        self,
        store: Store,
        env: Env,
        module: str | None,
        repository: Path,
        tolerance: float,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._store = store
        self._env = env
        self._module = module
        self._repository = repository.absolute()
        self._tolerance = tolerance
        self._folder = folder
        self._progress = progress
        self._numbers = itertools.count(1)
        self._interpreters: dict[tuple[str, str], Interpreter] = {}
        self._done: dict[tuple[tuple[str, ...], str | None, int], Reproduction] = {}
        self._made: dict[str, tuple[Path, StoredValue]] = {}

    def of(self, of: Version, *, deep: bool) -> Reproduction:
        """Reproduce a version; deep, what is upstream of it first."""
        key = (of.asset, of.partition, of.number)
        if (known := self._done.get(key)) is not None:
            return known
        result = Reproduction(str(VersionName(of.asset, of.number)), of.partition, "not tried")
        self._done[key] = result
        try:
            recipe = recipe_of(self._store, of)
        except (NoRecipeError, StoreError) as error:
            result.missing = [str(error)]
            return result
        if deep:
            found, notes = upstream_of(self._store, recipe)
            result.upstream = [self.of(each, deep=True) for each in found]
            recipe.notes += notes
        self._try(recipe, result)
        return result

    def _try(self, recipe: Recipe, result: Reproduction) -> None:
        _recover(recipe, self._made)
        result.notes = list(recipe.notes)
        result.missing = [*recipe.missing, *recipe.lost.values()]
        if result.missing:
            return
        try:
            interpreter = self._interpreter(recipe)
        except environments.NoEnvironmentError as error:
            result.missing = [str(error)]
            return
        result.environment = interpreter.what
        result.notes += interpreter.notes
        computed = self._first(recipe, interpreter, result)
        if computed is None:
            return
        tree, answer, scratch = computed
        result.code = tree.what
        judge(recipe, answer, self._tolerance, result)
        made = _made(recipe, answer)
        if result.verdict == "same" and made is not None:
            self._made[made.content_hash] = (scratch, made)
            return
        self._progress(f"{result.name} came out otherwise: computing it once more")
        second = self._compute(recipe, interpreter, tree)[0]
        if made is not None and result.verdict == "differs":
            self._evaluate(recipe, answer, (scratch, made), interpreter, result)
        result.causes = likely_causes(recipe, self._store, answer, second, recorded=self._env == "recorded")

    def _first(
        self, recipe: Recipe, interpreter: Interpreter, result: Reproduction
    ) -> tuple[CodeTree, Answer, Path] | None:
        """Compute in the first tree of code that holds what is recorded."""
        reasons = []
        folder = self._folder / f"code-{next(self._numbers)}"
        for tree in code_trees(self._store, [recipe], folder, self._repository):
            if not isinstance(tree, CodeTree):
                reasons.append(tree.why)
                continue
            self._progress(f"computing {result.name} from {tree.what}")
            answer, scratch = self._compute(recipe, interpreter, tree)
            if answer.status == "computed":
                return tree, answer, scratch
            if answer.status == "failed":
                result.code = tree.what
                result.missing = [f"it could not be computed from {tree.what}: {answer.said[0]}", *answer.said[1:]]
                return None
            reasons += [f"{tree.what}: {said}" for said in answer.said]
        result.missing = [f"code: {reason}" for reason in reasons]
        return None

    def _compute(
        self,
        recipe: Recipe,
        interpreter: Interpreter,
        tree: CodeTree,
        inputs: Mapping[str, RecordedInput] | None = None,
    ) -> tuple[Answer, Path]:
        folder = self._folder / f"task-{next(self._numbers)}"
        pointer = {"module": self._module} if self._module else recipe.record["code"].get("definitions")
        task = Task(
            workspace=self._folder,
            store=self._store,
            scratch=self._folder / "scratch" / folder.name,
            folder=folder,
            answer=folder / "answer",
            roots=tree.roots,
            definitions=pointer,
            record=recipe.record,
            sources=recipe.sources,
            inputs=recipe.inputs if inputs is None else inputs,
            dependencies=recipe.dependencies,
            config=recipe.config,
            # a pickle of somebody who is not trusted is not loaded to be compared either
            outputs=recorded_outputs(recipe.record, Origin(recipe.found.scope, recipe.version.input_hash)),
            tolerance=self._tolerance,
        )
        name, took = VersionName(recipe.version.asset, recipe.version.number), recipe.record.get("seconds", 0.0)

        def waiting(seconds: float) -> None:
            self._progress(f"still computing {name}: {seconds:.0f} s; the function took {took:.0f} s then")

        answer = run_task(task, interpreter.python, isolated=interpreter.isolated, waiting=waiting)
        return answer, task.scratch

    def _interpreter(self, recipe: Recipe) -> Interpreter:
        if self._env == "current":
            return environments.current()
        record = recipe.record
        key = (record["environment"]["python"], record["environment"]["freeze"])
        if key not in self._interpreters:
            folder = self._folder / f"environment-{len(self._interpreters) + 1}"
            self._interpreters[key] = environments.recorded(record, self._store, folder, self._progress)
        return self._interpreters[key]

    def _evaluate(
        self,
        recipe: Recipe,
        answer: Answer,
        fresh: tuple[Path, StoredValue],
        interpreter: Interpreter,
        result: Reproduction,
    ) -> None:
        """Judge what has no numbers of its own, such as a model, by what evaluated it then."""
        if not any(each[0] == "unknown" for each in answer.likeness.values()):
            return
        for evaluation in evaluations_of(self._store, recipe.version).values():
            name = str(VersionName(evaluation.asset, evaluation.number))
            try:
                other = recipe_of(self._store, evaluation)
            except MlreproError:
                continue
            inputs = {key: _instead(each, recipe.version, fresh) for key, each in other.inputs.items()}
            if inputs == other.inputs or other.missing:
                continue
            self._progress(f"evaluating what came out by {name}")
            numbers = self._numbers_of(other, inputs, interpreter)
            before = other.record["outputs"][other.output].get("metrics") or {}
            if numbers is None or not before:
                continue
            result.differs += [
                f"{name}: {key} {before[key]:.6g} -> {numbers.get(key, float('nan')):.6g}" for key in before
            ]
            if alike(before, numbers, self._tolerance):
                result.verdict = "close"
            else:
                result.verdict = "differs"
                return

    def _numbers_of(
        self, recipe: Recipe, inputs: Mapping[str, RecordedInput], interpreter: Interpreter
    ) -> Mapping[str, float] | None:
        folder = self._folder / f"code-{next(self._numbers)}"
        for tree in code_trees(self._store, [recipe], folder, self._repository):
            if isinstance(tree, CodeTree):
                answer, _ = self._compute(recipe, interpreter, tree, inputs)
                if answer.status == "computed":
                    return dict(answer.record["outputs"][recipe.output].get("metrics") or {})
        return None


def _made(recipe: Recipe, answer: Answer) -> StoredValue | None:
    made = recorded_outputs(answer.record).get(recipe.output, {})
    return made.get(recipe.version.partition) or made.get(None)


def _recover(recipe: Recipe, made: Mapping[str, tuple[Path, StoredValue]]) -> None:
    """Take inputs whose bytes are lost from what upstream was made again, bit for bit the same."""
    for name, given in recipe.inputs.items():
        recipe.inputs[name] = replace(
            given,
            given=tuple(_from(made, each) if each.stored.content_hash in recipe.lost else each for each in given.given),
        )
    for content in recipe.lost.keys() & made.keys():
        del recipe.lost[content]
        recipe.notes.append(f"an input whose bytes are lost ({content[:12]}) was made again, bit for bit the same")


def _from(made: Mapping[str, tuple[Path, StoredValue]], given: Given) -> Given:
    found = made.get(given.stored.content_hash)
    return given if found is None else replace(given, stored=found[1], place=found[0])


def _instead(given: RecordedInput, old: Version, fresh: tuple[Path, StoredValue]) -> RecordedInput:
    """An input with what was just computed in the place of a version."""
    made = {old.stored.content_hash: fresh}
    return replace(given, given=tuple(_from(made, each) for each in given.given))


def _silent(_: str) -> None:
    """Nobody listens."""
