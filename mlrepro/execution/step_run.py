"""Running an asset's function in a step: replayed when its result is known, else computed and kept."""

import asyncio
import contextlib
import datetime as dt
import functools
import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from mlrepro.catalog.keeping import publish
from mlrepro.dagster_internals import (
    StepExecutionContext,
    StepOutputHandle,
    coerce_result_to_events,
    current_execution_context,
)
from mlrepro.errors import (
    BlobDamagedError,
    BlobMissingError,
    NondeterminismError,
    NothingToVerifyError,
    UnstorableValueError,
)
from mlrepro.execution.decision import decide
from mlrepro.execution.pods.interrupts import started_again
from mlrepro.execution.single_flight import take_turn, waits_its_turn
from mlrepro.execution.step_outputs import StepOutputs
from mlrepro.io_managers.commit import (
    ComputedOutput,
    append_versions,
    metadata_from_json,
    result_record,
    store_output,
)
from mlrepro.io_managers.computation import Computation, attach, computation_of
from mlrepro.io_managers.dagster_types import StandInType
from mlrepro.io_managers.deferred import Deferred, Replayed
from mlrepro.io_managers.facts import computed_facts, hit_facts
from mlrepro.io_managers.input_hash_io_manager import InputHashIOManager
from mlrepro.io_managers.key import StepKey, step_key
from mlrepro.io_managers.lookup import Hit, Miss, well_formed
from mlrepro.io_managers.modes import VERIFY_TAG
from mlrepro.io_managers.reasons import explained
from mlrepro.store import Store, StoredValue
from mlrepro.versioning import seed_everything


def cached_function(computation: Computation, run_of: type["StepRun"] | None = None) -> Callable[..., Any]:
    """Wrap a function so that a step replays its result when that is known.

    Called outside of a step, in a unit test or from another function, it is the function itself.

    Args:
        computation: The function.
        run_of: How a step runs it. Default: `StepRun`.
    """
    fn = computation.fn

    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        context = current_execution_context.get()
        step_context = context.op_execution_context.get_step_execution_context() if context else None
        if step_context is None or computation_of(step_context.op_def) is not computation:
            return fn(*args, **kwargs)
        return _until_disrupted((run_of or StepRun)(context, step_context, computation, args, kwargs))

    @functools.wraps(fn)
    def generate(*args: Any, **kwargs: Any) -> Any:
        return (yield from run(*args, **kwargs))

    # Dagster reads a return annotation as the type of the output, but for what a generator yields
    wrapper = generate if inspect.isgeneratorfunction(fn) else run
    attach(wrapper, computation)
    return wrapper


def _until_disrupted(run: "StepRun") -> Iterator[Any]:
    with started_again(run.step_context):
        yield from run.events()


_unanswered: set[tuple[str, str]] = set()
"""Runs, and their stores, of which this process has warned that they do not answer."""


@dataclass
class StepRun:
    """One run of one cached function by one step.

    Attributes:
        context: The context that the user's function would get.
        step_context: Dagster's own view of the step.
        computation: The function.
        args: Positional arguments from Dagster: the context, if the function takes it.
        kwargs: Inputs (or their stand-ins), config and resources.
    """

    context: Any
    step_context: StepExecutionContext
    computation: Computation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @functools.cached_property
    def outputs(self) -> StepOutputs:
        """The step's outputs, and the way between the user's results, records and Dagster's events."""
        return StepOutputs(self.step_context, self.computation)

    def events(self) -> Iterator[Any]:
        """Yield what Dagster makes outputs, materializations and check evaluations of.

        Raises:
            StoreError: If the store can't be written.
            UnstorableValueError: If no format takes the result, and something downstream needs it.
        """
        store = self._store()
        if store is None:
            yield from self._call(self._loaded())
            return
        key = step_key(self.step_context, self.computation, self._inputs(), store)
        with contextlib.ExitStack() as turn:
            found = self._look_up(store, key, turn)
            if VERIFY_TAG in self.step_context.dagster_run.tags:
                yield from self._verify(store, key, found)
                return
            if isinstance(found, Hit):
                try:
                    values = self._replayed_values(store, found)
                except (BlobMissingError, BlobDamagedError) as error:
                    self.step_context.log.warning(f"computing: {error}")
                    found = Miss(str(error), warning=True, supersedes=True)
                else:
                    yield from self._replay(store, key, found, values)
                    return
            yield from self._compute(store, key, found, turn)

    def _look_up(self, store: Store, key: StepKey, turn: contextlib.ExitStack) -> Hit | Miss:
        """Look the result up; where it has to be computed under a lease, `turn` gives that back in the end."""
        found = decide(self.outputs, store, key)
        if waits_its_turn(self.outputs, key, found):
            taken = take_turn(self.outputs, store, key, lambda: decide(self.outputs, store, key))
            if isinstance(taken, Hit):
                return taken
            if taken is not None:
                turn.enter_context(taken)
        if isinstance(found, Miss):
            assets = sorted(list(asset.path) for asset in self.step_context.get_output_asset_keys())
            found = explained(found, store, assets, key)
            log = self.step_context.log
            warn = found.warning and not (found.unanswered and self._said_before(store))
            (log.warning if warn else log.info)(f"computing: {found.reason}")
        return found

    def _said_before(self, store: Store) -> bool:
        """Whether this process has warned already that the store does not answer this run."""
        run = (self.step_context.run_id, store.url)
        before = run in _unanswered
        _unanswered.add(run)
        return before

    # --- a hit

    def _replay(self, store: Store, key: StepKey, hit: Hit, values: Mapping[str, Any]) -> Iterator[Any]:
        record = hit.record
        versions = append_versions(self.step_context, store, key, record, pinned=hit.kind == "pinned")
        self.step_context.log.info(f"hit: {hit.describe()}")
        for name, value in values.items():
            output = record["outputs"][name]
            # what a person looks for first stands first
            facts = hit_facts(key, hit, output, versions.get(name))
            metadata = {**facts, **metadata_from_json(output["metadata"]), **facts}
            yield self.outputs.event(name, value, output, metadata)
        for check in record["checks"]:
            if self.outputs.is_selected(check):
                yield self.outputs.check_result(check)

    def _replayed_values(self, store: Store, hit: Hit) -> dict[str, Any]:
        """What stands for each output; one that the function did not return is left out."""
        outputs = hit.record["outputs"]
        return {
            name: self._replayed_value(store, name, outputs[name])
            for name in self.outputs.selected()
            if name in outputs
        }

    def _replayed_value(self, store: Store, name: str, output: Mapping[str, Any]) -> Any:
        if output.get("valueless"):
            return Replayed(None)
        stored: Any = output.get("stored") and StoredValue.from_json(output["stored"])
        if partitions := output.get("partitions"):
            stored = {partition: StoredValue.from_json(value) for partition, value in partitions.items()}
        dagster_type = self.step_context.op_def.output_def_named(name).dagster_type
        seen = self.step_context.output_capture is not None or self.step_context.step_output_capture is not None
        # execute_in_process hands values to its caller, hooks see them, and a type that is not ours looks at them
        if not (seen or not (isinstance(dagster_type, StandInType) or dagster_type.is_any)):
            return Replayed(stored)
        if isinstance(stored, dict):
            return {partition: store.read_value(value) for partition, value in stored.items()}
        return store.read_value(stored)

    # --- a miss

    def _compute(self, store: Store, key: StepKey, miss: Miss, turn: contextlib.ExitStack) -> Iterator[Any]:
        started, clock = dt.datetime.now(dt.UTC), time.perf_counter()
        made: list[tuple[Any, ComputedOutput | None]] = []
        written: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        failure: Exception | None = None
        unstorable: UnstorableValueError | None = None
        events = self._call(self._loaded())
        try:
            while True:
                try:
                    event = next(events)
                except StopIteration:
                    break
                except Exception as error:
                    if not written:
                        raise
                    failure = error  # raised again below, after what the function had yielded before
                    break
                output = self.outputs.read(event)
                made.append((event, output))
                if output is None:
                    continue
                if not self.outputs.type_checks(output):
                    # Dagster refuses the value in its own words; nothing is kept
                    yield from (event for event, _ in made)
                    yield from events
                    return
                # at once, while a generator waits: it may change the value, or remove the file, when it goes on
                written[output.name] = store_output(store, output, key)
        except UnstorableValueError as error:
            # a store that fails fails the step: its asset would be green with nothing behind it
            if self._needed_downstream():
                raise
            unstorable = error
            made += [(event, self.outputs.read(event)) for event in events]
        seconds = time.perf_counter() - clock
        if unstorable is not None:
            self.step_context.log.warning(f"the result was computed but not stored: {unstorable}")
            for event, _ in made:
                yield self._without_value(event, key, unstorable)
            return
        record = result_record(
            self.step_context,
            store,
            self.computation,
            key,
            outputs={name: entry for name, (entry, _) in written.items()},
            skipped=sorted(set(self.outputs.selected()) - set(written)),
            checks=[check for event, _ in made for check in self.outputs.read_checks(event)],
            started=started,
            seconds=seconds,
        )
        differs = failure is None and self._keep(store, key, miss, record)
        turn.close()  # whoever waits finds the result from here on
        versions = append_versions(self.step_context, store, key, record, nondeterministic=differs)
        for event, output in made:
            if output is None:
                yield event
                continue
            entry, described = written[output.name]
            facts = computed_facts(key, miss, entry, versions.get(output.name), seconds, nondeterministic=differs)
            # what a person looks for first stands first, and nobody's own metadata takes its place
            metadata = {**facts, **described, **output.metadata, **facts}
            value = output.value if output.has_value else Replayed(None)
            yield self.outputs.event(output.name, value, entry, metadata)
            for check in self.outputs.read_checks(event) if isinstance(event, dg.MaterializeResult) else ():
                yield self.outputs.check_result(check)
        if failure is not None:
            raise failure

    def _keep(self, store: Store, key: StepKey, miss: Miss, record: dict[str, Any]) -> bool:
        """Store the result record; tell whether an earlier computation of the same key had other content."""
        if (
            not self.computation.cache.enabled
            or key.uncacheable
            or len(self.outputs.selected()) < len(self.outputs.assets())
        ):
            return False
        if self._changed_meanwhile(key):
            self.step_context.log.warning(
                "code, an environment variable or a file that the result depends on changed while it was computed: this"
                " run keeps its version, but nobody gets it from the cache"
            )
            return False
        earlier = store.get_result(key.input_hash) if miss.supersedes else None
        other: Mapping[str, Any]
        if earlier is None:
            other, is_ours = store.put_result(key.input_hash, record)
        else:
            other, is_ours = earlier.record, False
            store.replace_result(key.input_hash, record, lost=miss.lost)
        # the own scope first, so that nobody who trusts nobody else has to compute it twice
        if (scope := self.outputs.scope(store)) is not None:
            published = publish(store, key.input_hash, record, scope, replacing=earlier is not None)
            other = published if is_ours else other
        # with max_age the author says that the same inputs may give something else later
        if (
            not well_formed(other)
            or _contents(other) == _contents(record)
            or self.computation.cache.max_age is not None
        ):
            return False
        store.note_deviation(key.input_hash, record)
        self.step_context.log.warning(
            f"nondeterministic: the same code, config and inputs gave other bytes than in run {other['run_id']}"
            f" by {other['who']}. Set a seed (seed=...) or remove what varies (time, unordered sets, threads);"
            " this run keeps its own version"
        )
        return True

    def _changed_meanwhile(self, key: StepKey) -> bool:
        inputs = [value for value in self.kwargs.values() if isinstance(value, Deferred)]
        return self.computation.fingerprint().digest != key.code.digest or not all(each.unchanged() for each in inputs)

    def _without_value(self, event: Any, key: StepKey, error: Exception) -> Any:
        output = self.outputs.read(event)
        if output is None:
            return event
        entry = {"data_version": output.data_version or key.input_hash, "tags": output.tags}
        metadata = {**output.metadata, "mlrepro/cache": "not stored", "mlrepro/because": str(error)}
        return self.outputs.event(output.name, Replayed(None), entry, metadata)

    # --- computing again on purpose

    def _verify(self, store: Store, key: StepKey, found: Hit | Miss) -> Iterator[Any]:
        if isinstance(found, Miss):
            raise NothingToVerifyError(
                f"there is no result to compare with under the present code, config and inputs: {found.reason}"
            )
        if found.kind == "pinned":
            raise NothingToVerifyError(
                f"{found.said}. What its code gives now is not to be that version: release it first"
            )
        events = list(self._call(self._loaded()))
        computed = {output.name: output for event in events if (output := self.outputs.read(event)) is not None}
        recorded = found.record["outputs"]
        differing = [
            name
            for name, output in computed.items()
            if output.has_value and _content_of(store, output) != _contents(found.record)[name]
        ]
        if differing:
            note = {"run_id": self.step_context.run_id, "outputs": differing, "found_by": "verify"}
            store.note_deviation(key.input_hash, note)
            raise NondeterminismError(
                f"computed again, {', '.join(differing)} came out with other bytes than in run"
                f" {found.record['run_id']} by {found.record['who']} (input hash {key.input_hash[:12]})"
            )
        for name, output in computed.items():
            value = output.value if output.has_value else Replayed(None)
            yield self.outputs.event(name, value, recorded[name], {"mlrepro/verified": True})

    # --- calling the function

    def _loaded(self) -> dict[str, Any]:
        return {name: self._load(name, value) for name, value in self.kwargs.items()}

    def _load(self, name: str, value: Any) -> Any:
        if not isinstance(value, Deferred):
            return value
        loaded = value.load()
        dagster_type = self.step_context.op_def.input_def_named(name).dagster_type
        checked = dagster_type.type_check(self.step_context.for_type(dagster_type), loaded)
        if not checked.success:
            raise dg.DagsterTypeCheckDidNotPass(
                description=(
                    f'Type check failed for step input "{name}" - expected type "{dagster_type.display_name}".'
                    f" Description: {checked.description}"
                ),
                metadata=checked.metadata,
                dagster_type=dagster_type,
            )
        return loaded

    def _call(self, kwargs: dict[str, Any]) -> Iterator[Any]:
        if self.computation.seed is not None:
            seed_everything(self.computation.seed, libraries=self.computation.fingerprint().distributions)
        result = self.computation.fn(*self.args, **kwargs)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        if inspect.isasyncgen(result):
            result = asyncio.run(_drained(result))
            yield from result
            return
        yield from coerce_result_to_events(result, self.context, self.step_context.op_def.output_defs)

    def _inputs(self) -> dict[str, Any]:
        names = {step_input.name for step_input in self.step_context.step.step_inputs}
        return {name: value for name, value in self.kwargs.items() if name in names}

    def _store(self) -> Store | None:
        """Open the store of the step's IO manager; None if its values go somewhere else."""
        handles = [StepOutputHandle(self.step_context.step.key, name) for name in self.outputs.assets()]
        managers = [self.step_context.get_io_manager(handle) for handle in handles]
        ours = [manager for manager in managers if isinstance(manager, InputHashIOManager)]
        if not ours or len(ours) < len(managers):
            return None
        return ours[0].open_store(self.step_context.instance)

    def _needed_downstream(self) -> bool:
        layer = self.step_context.job_def.asset_layer
        return any(layer.get(key).child_keys for key in self.step_context.get_output_asset_keys())


async def _drained(generator: Any) -> list[Any]:
    return [event async for event in generator]


def _content_of(store: Store, output: ComputedOutput) -> tuple[str | None, dict[str, str]]:
    """What `_contents` would say of an output, without storing it."""
    return store.hash_value(output.value, format=output.format).content_hash, {}


def _contents(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says the outputs were, and nothing of who computed them."""
    return {
        name: (
            (output.get("stored") or {}).get("content_hash"),
            {key: value["content_hash"] for key, value in (output.get("partitions") or {}).items()},
        )
        for name, output in record["outputs"].items()
    }
