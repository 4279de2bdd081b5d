"""A step of a shared asset: replayed when its result is known, else computed by a process with its team's code."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mlrepro.bundles import fetch
from mlrepro.errors import (
    BlobDamagedError,
    BlobMissingError,
    BundleError,
    NothingToVerifyError,
    SharedAssetError,
    StoreError,
)
from mlrepro.execution.step_run import StepRun
from mlrepro.io_managers.commit import append_versions, metadata_from_json
from mlrepro.io_managers.deferred import Deferred, Replayed, UpstreamVersion
from mlrepro.io_managers.facts import computed_facts
from mlrepro.io_managers.key import StepKey
from mlrepro.io_managers.lookup import Hit, Miss
from mlrepro.io_managers.modes import CACHE_TAG
from mlrepro.io_managers.provenance import LOCATION_TAG, USER_TAGS, code_location
from mlrepro.reproducing import environments
from mlrepro.reproducing.process import run_task
from mlrepro.reproducing.workspace import workspace
from mlrepro.sharing.foreign import ForeignComputation
from mlrepro.sharing.task import HandedInput, SharedTask
from mlrepro.store import Store, StoredValue
from mlrepro.versioning import digest
from mlrepro.workflow_names import BUNDLE, WORKFLOW_VERSION

_DAGSTERS = ("dagster/", ".dagster", "mlrepro/")


class SharedRun(StepRun):
    """One run of one shared asset by one step."""

    def events(self) -> Iterator[Any]:
        """As `StepRun.events`.

        Raises:
            SharedAssetError: Its values go to another IO manager, or its code can't be run here.
        """
        if self._store() is None:
            raise SharedAssetError(
                f"{self._name} is run from its team's bundle, which hands results over by the store: give it the"
                " InputHashIOManager"
            )
        yield from super().events()

    @property
    def _foreign(self) -> ForeignComputation:
        assert isinstance(self.computation, ForeignComputation), "nothing else is run so"
        return self.computation

    @property
    def _name(self) -> str:
        return f"{next(iter(self._foreign.interface['outputs'].values()))['asset']} of {self._version}"

    @property
    def _version(self) -> str:
        return self._foreign.published.version.name

    def _inputs(self) -> dict[str, Any]:
        """The inputs, all as stand-ins: what another IO manager loaded is stored, so that the process can have it."""
        return {name: self._stand_in(name, value) for name, value in super()._inputs().items()}

    def _stand_in(self, name: str, value: Any) -> Any:
        if isinstance(value, Deferred):
            return value
        store = self._store()
        assert store is not None, "it was looked at before"
        key = self.step_context.job_def.asset_layer.get_asset_key_for_node_input(self.step_context.node_handle, name)
        stored = store.write_value(value)
        version = UpstreamVersion(key.to_user_string() if key else name, None, None, stored)
        stand_in = Deferred((version,), as_mapping=False, load=lambda: value)
        self.kwargs[name] = stand_in
        return stand_in

    def _replayed_value(self, store: Store, name: str, output: Mapping[str, Any]) -> Any:
        try:
            return super()._replayed_value(store, name, output)
        except (BlobMissingError, BlobDamagedError):
            raise
        except StoreError:  # of a class of theirs: whoever looks at the value here sees what stands for it
            stored = {key: StoredValue.from_json(each) for key, each in (output.get("partitions") or {}).items()}
            return Replayed(stored or StoredValue.from_json(output["stored"]))

    def _verify(self, store: Store, key: StepKey, found: Hit | Miss) -> Iterator[Any]:  # noqa: ARG002 -- as for others
        raise NothingToVerifyError(
            f"{self._name} is verified in its own code location; `mlrepro reproduce` computes a version again here"
        )

    def _compute(self, store: Store, key: StepKey, miss: Miss, turn: ExitStack) -> Iterator[Any]:
        if key.uncacheable:
            raise SharedAssetError(f"{self._name} can't be handed over to be computed: {key.uncacheable}")
        record = self._elsewhere(store, key, miss)
        turn.close()  # whoever waits finds the result from here on
        if record["input_hash"] != key.input_hash:
            self.step_context.log.warning(
                f"{self._name} was stored under another input hash than its team's notes led to expect, so the next run"
                " computes it again: something that its inputs hold, or that it asks its context for, counts in its key"
                " and can't be told without its code"
            )
        versions = append_versions(self.step_context, store, key, record)
        for name in self.outputs.selected():
            if (output := record["outputs"].get(name)) is None:
                continue
            version = versions.get(name)
            differs = bool(version and version.body.get("nondeterministic"))
            facts = computed_facts(key, miss, output, version, record["seconds"], nondeterministic=differs)
            facts["mlrepro/workflow_version"] = self._version
            metadata = {**facts, **metadata_from_json(output["metadata"]), **facts}
            yield self.outputs.event(name, self._replayed_value(store, name, output), output, metadata)
        for check in record["checks"]:
            if self.outputs.is_selected(check):
                yield self.outputs.check_result(check)

    def _elsewhere(self, store: Store, key: StepKey, miss: Miss) -> Mapping[str, Any]:
        """Compute it in a process of its own, which stores the result.

        Raises:
            SharedAssetError: With what it was that failed, and the next step.
        """
        foreign, log = self._foreign, self.step_context.log
        if (refusal := foreign.published.refusal()) is not None:
            raise SharedAssetError(refusal)
        try:
            tree = fetch(foreign.published.store, foreign.published.bundle)
        except BundleError as error:
            raise SharedAssetError(f"{self._name} can't be computed: {error}") from None
        with workspace() as folder:
            interpreter = environments.current()
            if foreign.env == "recorded":
                told = {"environment": foreign.published.environment}
                interpreter = environments.recorded(told, foreign.published.store, folder / "environment", log.info)
            task = self._task(store, key, miss, folder, tree)
            log.info(f"computing {self._name} from its code bundle {foreign.published.bundle[:12]}")
            answer = run_task(
                task,
                interpreter.python,
                isolated=interpreter.isolated,
                waiting=lambda seconds: log.info(f"still computing {self._name}: {seconds:.0f} s"),
            )
            printed = folder / "task" / "log"
            if printed.exists():
                # it belongs to the step's own output
                print(printed.read_text("utf-8", "replace"), end="")
        if answer.status == "computed":
            return answer.record
        hint = ""
        if answer.status == "missing" and foreign.env == "current":
            hint = ": shared_asset(..., env='recorded') computes with those of its team"
        raise SharedAssetError(f"{self._name} could not be computed: {'; '.join(answer.said)}{hint}")

    def _task(self, store: Store, key: StepKey, miss: Miss, folder: Path, tree: Path) -> SharedTask:
        foreign, version = self._foreign, self._foreign.published.version
        interface = foreign.interface
        place = folder / "task"
        given = self._inputs()
        assets = {each["asset"] for each in (*interface["outputs"].values(), *interface["inputs"].values())}
        return SharedTask(
            workspace=folder,
            folder=place,
            answer=place / "answer",
            tree=tree,
            roots=(tree / version.import_from,),
            variables={BUNDLE: foreign.published.bundle, WORKFLOW_VERSION: version.name},
            store=store,
            record={
                "code": {"function": interface["function"], "fingerprint": interface["code"]["fingerprint"]},
                "assets": sorted(each["asset"] for each in interface["outputs"].values()),
                "inputs": {name: {"asset": each["asset"]} for name, each in interface["inputs"].items()},
            },
            sources=foreign.sources,
            definitions={"module": version.module, "attribute": version.attribute},
            distributions=interface["code"]["distributions"],
            renamed={each: foreign.renamed(each) for each in assets},
            inputs={name: _handed(value, store) for name, value in given.items()},
            upstream=_data_versions(key),
            config=self._config(),
            partitions=key.partitions,
            run_id=self.step_context.run_id,
            tags=self._tags(miss),
        )

    def _config(self) -> Any:
        """The config as it was given, so that the process itself takes secrets from the environment."""
        ops: Any = self.step_context.dagster_run.run_config.get("ops") or {}
        given = (ops.get(self.step_context.node_handle.name) or {}).get("config")
        return self.step_context.op_config if given is None else given

    def _tags(self, miss: Miss) -> dict[str, str]:
        tags = self.step_context.dagster_run.tags
        kept = {name: value for name, value in tags.items() if not name.startswith(_DAGSTERS) or name in USER_TAGS}
        location = code_location(self.step_context)
        return {
            **kept,
            # this step has looked already, and holds the lease where there is one
            CACHE_TAG: "refresh" if miss.supersedes else "off",
            **({LOCATION_TAG: location} if location else {}),
        }


def _handed(value: Deferred, store: Store) -> HandedInput:
    values = {version.partition: version.stored for version in value.versions}
    file = None
    if value.source is not None and value.source.get("kept") and not value.source.get("reader"):
        file = str(value.source["file"])
    elif value.source is not None:  # read by code of this code location
        values = {None: store.write_value(value.load())}
    return HandedInput(
        value.versions, value.as_mapping, value.loaded_as, value.code, value.source, values=values, file=file
    )


def _data_versions(key: StepKey) -> dict[str, str]:
    """Data version of each upstream asset that is no argument: it counts in the key."""
    found = {}
    for name, origin in key.inputs.items():
        if name.startswith("(asset) "):
            version = origin["data_version"]
            found[origin["asset"]] = version if isinstance(version, str) else digest(version)
        elif origin.get("asset"):
            content = origin.get("content_hash")
            found[origin["asset"]] = content if isinstance(content, str) else digest(content)
    return found
