"""A small laboratory: materialize assets on a store of its own, and tell what was computed and what was a hit."""

import importlib.util
import itertools
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from mlrepro import InputHashIOManager, ReproStore
from mlrepro.store import Store, open_store
from tests.instances import new_instance

_numbers = itertools.count()


@dataclass
class Outcome:
    """What one run did."""

    result: dg.ExecuteInProcessResult
    calls: list[str] = field(default_factory=list)

    @property
    def success(self) -> bool:
        return self.result.success

    def materialization(self, asset: str, partition: str | None = None) -> dg.AssetMaterialization:
        found = [
            event.materialization
            for event in self.result.get_asset_materialization_events()
            if event.materialization.asset_key.to_user_string() == asset
            and event.materialization.partition == partition
        ]
        assert len(found) == 1, f"{asset} was materialized {len(found)} times"
        return found[0]

    def metadata(self, asset: str, partition: str | None = None) -> dict[str, Any]:
        values = self.materialization(asset, partition).metadata
        return {name: getattr(value, "value", value) for name, value in values.items()}

    @property
    def cache(self) -> dict[str, str]:
        """``hit`` or ``computed`` for each asset that mlrepro ran."""
        return {
            event.materialization.asset_key.to_user_string(): str(event.materialization.metadata["mlrepro/cache"].value)
            for event in self.result.get_asset_materialization_events()
            if "mlrepro/cache" in event.materialization.metadata
        }

    def data_version(self, asset: str, partition: str | None = None) -> str:
        return self.materialization(asset, partition).tags["dagster/data_version"]

    def code_version(self, asset: str, partition: str | None = None) -> str:
        return self.materialization(asset, partition).tags["dagster/code_version"]

    def value(self, asset: str) -> Any:
        return self.result.output_for_node(asset.replace("/", "__"))


class Lab:
    """A Dagster instance and a store, thrown away with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = str(folder / "store")
        self.settings: dict[str, Any] = {}
        self.instance = new_instance()

    def store(self, scope: str = "default") -> Store:
        return open_store(self.url, scope=scope, options={"durable": "false"})

    def io_manager(self, scope: str = "default") -> InputHashIOManager:
        options = {"durable": "false"}
        return InputHashIOManager(store=ReproStore(url=self.url, scope=scope, options=options, **self.settings))

    def definitions(self, *assets: Any, scope: str = "default", **arguments: Any) -> dg.Definitions:
        resources = {"io_manager": self.io_manager(scope), **arguments.pop("resources", {})}
        return dg.Definitions(assets=list(assets), resources=resources, **arguments)

    def run(
        self,
        *assets: Any,
        select: list[str] | None = None,
        partition: str | None = None,
        config: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
        scope: str = "default",
        raise_on_error: bool = True,
        fresh_instance: bool = False,
        **definitions: Any,
    ) -> Outcome:
        defs = self.definitions(*assets, scope=scope, **definitions)
        if fresh_instance:
            self.instance = new_instance()
        job = defs.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey.from_user_string(key) for key in select] if select else None,
            partition_key=partition,
            run_config={"ops": {key: {"config": value} for key, value in config.items()}} if config else None,
            tags=tags,
            raise_on_error=raise_on_error,
        )
        return Outcome(result)

    def module(self, source: str, name: str = "flow", **others: str) -> Any:
        """Import a module from source, as a fresh process would find it; others are modules beside it."""
        folder = self.folder / f"code{next(_numbers)}"
        folder.mkdir()
        for other, text in {name: source, **others}.items():
            (folder / f"{other}.py").write_text(textwrap.dedent(text))
            sys.modules.pop(other, None)
        importlib.invalidate_caches()
        sys.path.insert(0, str(folder))
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(folder))

    def blobs(self) -> list[Path]:
        return [path for path in Path(self.url).rglob("blobs/sha256/*/*") if path.is_file()]

    def blob(self, digest: str) -> Path:
        found = [path for path in self.blobs() if path.name == digest]
        assert found, f"no blob {digest}"
        return found[0]

    def results(self) -> list[Path]:
        return [path for path in Path(self.url).rglob("results/*/*.json") if path.is_file()]
