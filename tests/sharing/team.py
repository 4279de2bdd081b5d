"""Another team: a project in a folder of its own, pushed from there, and run there as its code server would run it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlrepro.bundles.pushing import Pushed, push
from mlrepro.store import Store, open_store
from tests.bundles.project import write_tree

RUN = """
import json, sys, importlib
import dagster as dg
asked = json.loads(sys.argv[1])
defs = importlib.import_module(asked["module"]).defs
job = defs.resolve_implicit_global_asset_job_def()
with dg.DagsterInstance.ephemeral() as instance:
    partition = asked["partition"]
    done = job.execute_in_process(instance=instance, run_config=asked["config"], partition_key=partition)
    said = {}
    for event in done.get_asset_materialization_events():
        made = event.materialization
        facts = {name: getattr(value, "value", value) for name, value in made.metadata.items()}
        facts["code_version"] = made.tags["dagster/code_version"]
        said[made.asset_key.to_user_string()] = {name: facts.get(name) for name in (
            "mlrepro/cache", "mlrepro/input_hash", "mlrepro/content_hash", "mlrepro/version", "code_version")}
    print("said", json.dumps(said))
"""


class Team:
    """A team with a scope of the store."""

    def __init__(self, folder: Path, store: str, scope: str, location: str = "pricing") -> None:
        self.folder = folder
        self.url = store
        self.scope = scope
        self.location = location
        self.pushed: Pushed | None = None

    @property
    def store(self) -> Store:
        return open_store(self.url, scope=self.scope, options={"durable": "false"})

    @property
    def cache(self) -> Path:
        return self.folder.parent / "their-cache"

    def push(self, module: str = "flow", **files: str) -> Pushed:
        """Write modules, a double underscore for a folder, and push them."""
        write_tree(self.folder, {f"{name.replace('__', '/')}.py": text for name, text in files.items()})
        self.pushed = push(self.location, module, root=self.folder, store=self.store, cache=self.cache)
        return self.pushed

    def run(
        self, module: str = "flow", *, config: Any = None, partition: str | None = None, **variables: str
    ) -> dict[str, dict[str, Any]]:
        """Materialize everything in a process that has nothing but what was pushed; what each asset says."""
        assert self.pushed is not None
        assert self.pushed.packed is not None
        outside = {name: value for name, value in os.environ.items() if not name.startswith("MLREPRO_")}
        version = self.pushed.version
        done = subprocess.run(
            [sys.executable, "-c", RUN, json.dumps({"module": module, "config": config or {}, "partition": partition})],
            cwd=self.cache / self.pushed.packed.digest,
            env={
                **outside,
                "MLREPRO_STORE": self.url,
                "MLREPRO_SCOPE": self.scope,
                "MLREPRO_BUNDLE": self.pushed.packed.digest,
                "MLREPRO_WORKFLOW_VERSION": version.name,
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.split("said ")[-1])
