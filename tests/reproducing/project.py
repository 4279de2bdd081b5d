"""A project of a user in a folder of its own, materialized in processes of its own, as a scheduler would."""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MATERIALIZE = """
import json, sys, importlib
import dagster as dg
module, selection, config, partition, tags = json.loads(sys.argv[1])
defs = importlib.import_module(module).defs
job = defs.resolve_implicit_global_asset_job_def()
with dg.DagsterInstance.get() as instance:
    selected = selection and [dg.AssetKey.from_user_string(each) for each in selection]
    what = {"run_config": config, "asset_selection": selected, "partition_key": partition, "tags": tags}
    done = job.execute_in_process(instance=instance, **what)
    print("run", done.run_id)
"""


@dataclass
class Project:
    """A folder with code, a Dagster home and a store."""

    folder: Path

    @classmethod
    def new(cls, folder: Path) -> "Project":
        (folder / "code").mkdir()
        return cls(folder)

    @property
    def code(self) -> Path:
        return self.folder / "code"

    @property
    def store(self) -> Path:
        return self.folder / "home" / "mlrepro"

    def environment(self, **variables: str) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("MLREPRO_", "PYTHON"))}
        return {**outside, "DAGSTER_HOME": str(self.folder / "home"), **variables}

    def write(self, **files: str) -> None:
        """Write modules; a double underscore in a name stands for a folder."""
        for name, text in files.items():
            package, _, module = name.partition("__")
            path = self.code / package / f"{module}.py" if module else self.code / f"{package}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))

    def materialize(
        self,
        module: str = "shop",
        *,
        select: list[str] | None = None,
        config: dict[str, Any] | None = None,
        partition: str | None = None,
        tags: dict[str, str] | None = None,
        python: str = sys.executable,
        **variables: str,
    ) -> str:
        """Materialize in a process of its own; the run's id."""
        (self.folder / "home").mkdir(parents=True, exist_ok=True)
        given = json.dumps([module, select, config, partition, tags])
        done = self.run(python, "-c", MATERIALIZE, given, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.split("run ")[-1].split()[0]

    def run(self, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=self.code,
            env=self.environment(PYTHONPATH=str(self.code), **variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def tree(self) -> dict[str, bytes]:
        """Every file of the home, the store's and Dagster's, and what is in it."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted((self.folder / "home").rglob("*"))
            if path.is_file() and path.suffix not in (".db-shm", ".db-wal")
        }
