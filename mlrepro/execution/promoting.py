"""The step of a channel: it asks the gates about the newest version, and moves the channel or leaves it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from mlrepro.catalog.channels import ChannelEntry, ChannelName, Pointer, newest_entry
from mlrepro.catalog.history import Version, find_version
from mlrepro.catalog.moving import Mover, promote, propose
from mlrepro.catalog.names import VersionName
from mlrepro.dagster_internals import StepExecutionContext, StepOutputHandle, current_execution_context, repository_of
from mlrepro.errors import ChannelError, UnknownVersionError
from mlrepro.execution.channel_facts import entry_facts, refusal_facts
from mlrepro.execution.exporting import export, export_served, is_exported
from mlrepro.execution.served import candidate_of, channel_of, pointer_of, served, standing
from mlrepro.execution.step_outputs import StepOutputs
from mlrepro.io_managers.commit import append_versions
from mlrepro.io_managers.computation import attach
from mlrepro.io_managers.deferred import Replayed
from mlrepro.io_managers.facts import PREFIX, hit_facts
from mlrepro.io_managers.input_hash_io_manager import InputHashIOManager
from mlrepro.io_managers.key import StepKey, step_key
from mlrepro.io_managers.lookup import Hit, Miss
from mlrepro.io_managers.promotion import Promotion
from mlrepro.io_managers.provenance import launched_by
from mlrepro.quality import Condition, Verdict, View
from mlrepro.store import Store


def promoting_function(promotion: Promotion) -> Callable[[], Iterator[Any]]:
    """Make the function of a channel's op."""

    def decide_what_is_served() -> Iterator[Any]:
        context = current_execution_context.get()
        if context is None:
            raise ChannelError("a channel is not called: materialize it, or load what it serves (mlrepro.load)")
        step_context = context.op_execution_context.get_step_execution_context()
        yield from PromotionRun(step_context, promotion).events()

    # Dagster would take the annotation for the type of the output
    decide_what_is_served.__annotations__ = {}
    attach(decide_what_is_served, promotion)
    return decide_what_is_served


@dataclass(frozen=True)
class Refusal:
    """A version that did not pass its gates.

    Attributes:
        version: The version.
        said: What the gates say against it, and what is served on.
        gates: What each gate said.
    """

    version: Version
    said: str
    gates: list[dict[str, Any]]


@dataclass(frozen=True)
class PromotionRun:
    """One decision of one channel.

    Attributes:
        step_context: The step.
        promotion: What its author said.
    """

    step_context: StepExecutionContext
    promotion: Promotion

    def events(self) -> Iterator[Any]:
        """Yield the materialization of the channel; where a gate failed, an observation that says so.

        Raises:
            dagster.Failure: If a gate failed and that is to fail the step.
            StoreError: If the store can't be read or written: the channel stays as it was.
        """
        outputs = StepOutputs(self.step_context, self.promotion)
        store = self._store()
        key = step_key(self.step_context, self.promotion, {}, store)
        if key.partitions is not None and len(key.partitions) > 1:
            raise ChannelError(
                f"a channel decides about one partition at a time, not {len(key.partitions)}: launch a run for each"
            )
        name = channel_of(outputs, key)
        stands = served(outputs, store, key)
        decided = self._decided(outputs, store, key, name) if isinstance(stands, Miss) else stands
        if isinstance(decided, ChannelEntry):
            assert decided.after is not None, "it was promoted just now"
            self.step_context.log.info(_moved(decided))
            yield self._event(outputs, decided.after.data_version, entry_facts(store, decided))
        elif isinstance(decided, Hit):
            self.step_context.log.info(decided.said)
            pointer = pointer_of(decided)
            if self.promotion.export and not is_exported(pointer, self.promotion.export):
                export(store, name, pointer, self.promotion.export)
            (output,) = decided.record["outputs"].values()
            version = append_versions(self.step_context, store, key, decided.record)[next(iter(outputs.assets()))]
            yield self._event(outputs, output["data_version"], hit_facts(key, decided, output, version))
        elif isinstance(decided, Refusal):
            facts = refusal_facts(store, name, decided.version, decided.said, decided.gates)
            yield dg.AssetObservation(dg.AssetKey(name.key), partition=name.partition, metadata=facts)
            if self.promotion.on_failure == "fail":
                gates = facts[f"{PREFIX}gates"]
                raise dg.Failure(decided.said, metadata={f"{PREFIX}gates": gates}, allow_retries=False)
            self.step_context.log.warning(decided.said)

    def _decided(
        self, outputs: StepOutputs, store: Store, key: StepKey, name: ChannelName
    ) -> ChannelEntry | Hit | Refusal | None:
        """Ask the gates about the newest version; None if it waits for approval and nothing is served."""
        version = self._candidate(store, key, name)
        entry = newest_entry(store, name)
        if entry is not None and entry.after is not None:
            # the same content under another data version, which the data version alone did not tell
            if Pointer.to(version).is_same(entry.after):
                return standing(outputs, store, entry, f"{name} serves the content of v{version.number} already")
            if entry.after.number > version.number:  # another run was faster, with a newer one
                said = f"{name} serves v{entry.after.number}, which is newer than v{version.number}"
                return standing(outputs, store, entry, said)
            if (why := entry.quarantined_like(version)) is not None:
                return standing(outputs, store, entry, f"{name} stays at v{entry.after.number}: {why}")
        verdicts = self._verdicts(name, version, entry)
        gates = [{"gate": str(gate), "passed": verdict.passes, "said": verdict.said} for gate, verdict in verdicts]
        failed = [verdict.said for _, verdict in verdicts if not verdict.passes]
        candidate = VersionName(version.asset, version.number)
        stays = f"{name} stays at v{entry.after.number}" if entry and entry.after else f"{name} serves nothing"
        if failed:
            return Refusal(version, f"{candidate} is not promoted, {stays}: {'; '.join(failed)}", gates)
        if _number(newest_entry(store, name)) != _number(entry):
            # what the gates said is about a channel that has moved since
            return self._decided(outputs, store, key, name)
        metrics = self._metrics(verdicts, version)
        tags = dict(self.step_context.dagster_run.tags)
        reason = "all gates passed" if gates else "newest version"
        mover = Mover(launched_by(tags), reason, self.step_context.run_id)
        if self.promotion.approval:
            approvers = self.promotion.approvers
            to = self.promotion.export
            proposal = propose(
                store, name, version, mover, gates=gates, metrics=metrics, approvers=approvers, export=to
            )
            said = f"{candidate} waits for approval, {stays}: mlrepro approve {candidate} --channel {name.channel}"
            if name.partition is not None:
                said += f" -p {name.partition}"
            present = proposal or newest_entry(store, name)
            if present is not None and present.after is not None:
                return standing(outputs, store, present, said)
            self.step_context.log.warning(said)
            return None
        promote(store, name, version, mover, gates=gates, metrics=metrics, approvers=(), export=self.promotion.export)
        moved = newest_entry(store, name)  # where somebody else was faster, what they made it serve
        assert moved is not None and moved.after is not None, "it was promoted just now"  # noqa: PT018
        export_served(store, moved)
        return moved

    def _candidate(self, store: Store, key: StepKey, name: ChannelName) -> Version:
        data_version = candidate_of(key, name)
        version = find_version(store, name.asset, name.partition, data_version) if data_version else None
        if version is None:
            self._check_partitions(name)
            asset = VersionName(name.asset, None)
            at = f" with data version {data_version[:12]}" if data_version else ""
            raise UnknownVersionError(
                f"{asset} has no version{at} in {store.url} that {name} could serve: materialize it through"
                " InputHashIOManager first"
            )
        return version

    def _check_partitions(self, name: ChannelName) -> None:
        """A channel of a model that is given by name has the partitions that it is told to have."""
        graph, model = self._graph(), dg.AssetKey(name.asset)
        if not graph.has(model):
            return
        theirs, ours = graph.get(model).partitions_def, graph.get(dg.AssetKey(name.key)).partitions_def
        # of a model in another code location nothing is known
        if theirs != ours and (theirs is not None or graph.get(model).is_materializable):
            raise ChannelError(
                f"{dg.AssetKey(name.key).to_user_string()} has {_partitions(ours)}, and"
                f" {model.to_user_string()} has {_partitions(theirs)}: give the channel the same,"
                " channel(..., partitions_def=...)"
            )

    def _verdicts(
        self, name: ChannelName, version: Version, entry: ChannelEntry | None
    ) -> list[tuple[Condition, Verdict]]:
        view = View(
            instance=self.step_context.instance,
            model=dg.AssetKey(name.asset),
            channel=entry,
            partition=name.partition,
            candidate=Pointer.to(version),
            graph=self._graph(),
        )
        return [(gate, _judged(gate, view)) for gate in self.promotion.gates]

    def _graph(self) -> Any:
        """All assets of the code location; of the job alone in a run without one (a test, a script)."""
        repository = repository_of(self.step_context)
        return repository.asset_graph if repository else self.step_context.job_def.asset_layer.asset_graph

    def _metrics(self, verdicts: list[tuple[Condition, Verdict]], version: Version) -> dict[str, float]:
        """What is known of the version, for those that come after it to be compared with."""
        return own_metrics(version) | {
            key: float(value) for _, verdict in verdicts for key, value in verdict.values.items()
        }

    def _event(self, outputs: StepOutputs, data_version: str, facts: Mapping[str, Any]) -> Any:
        (name,) = outputs.assets()
        return outputs.event(name, Replayed(None), {"data_version": data_version, "tags": {}}, facts)

    def _store(self) -> Store:
        (output,) = (output.name for output in self.step_context.step.step_outputs)
        manager = self.step_context.get_io_manager(StepOutputHandle(self.step_context.step.key, output))
        if not isinstance(manager, InputHashIOManager):
            raise ChannelError(
                f"a channel needs InputHashIOManager as its IO manager, not {type(manager).__name__}: use"
                " ml_definitions, or name the right one with io_manager_key=..."
            )
        return manager.open_store(self.step_context.instance)


def _number(entry: ChannelEntry | None) -> int:
    return entry.number if entry is not None else 0


def _partitions(partitions: Any) -> str:
    return "no partitions" if partitions is None else str(partitions)


def own_metrics(version: Version) -> dict[str, float]:
    """The numbers of a version itself, by the names under which a `Metric` looks for them."""
    found = {key: float(value) for key, value in (version.body.get("metrics") or {}).items()}
    # a condition may name the asset as it was before it was loaded under a prefix
    names = {str(VersionName(version.asset, None)), version.asset[-1]}
    return {f"{name}.{key}": value for name in sorted(names) for key, value in found.items()}


def _judged(gate: Condition, view: View) -> Verdict:
    try:
        return gate.judge(view)
    except Exception as error:  # noqa: BLE001 -- a gate may be anybody's function; one that fails lets nothing pass
        return Verdict.unknown(f"{gate} raised {type(error).__name__}: {error}")


def _moved(entry: ChannelEntry) -> str:
    before = f"v{entry.before.number}" if entry.before else "nothing"
    after = f"v{entry.after.number}" if entry.after else "nothing"
    return f"{entry.name}: {before} -> {after} ({entry.kind}, entry {entry.number}): {entry.reason}"
