"""What the entry script of a pod does, on another node: an empty cache, an environment and a command."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._grpc.types import ExecuteRunArgs

from mlrepro.bundles import pack, store_bundle
from mlrepro.bundles.version_server import container_context
from mlrepro.catalog.workflows import WorkflowVersion
from mlrepro.store import Store, open_store
from tests.bundles.project import definitions, write_tree
from tests.deployment.programs import environment


class Node:
    def __init__(self, folder: Path) -> None:
        self.store: Store = open_store(str(folder / "store"))
        self.cache = folder / "cache"
        packed = pack(write_tree(folder / "project", {"podded.py": definitions(), "data.txt": "42"}))
        store_bundle(packed, self.store)
        self.digest = packed.digest
        (folder / "home").mkdir()
        self.home = folder / "home"
        self.variables = environment(
            MLREPRO_STORE=str(folder / "store"),
            MLREPRO_BUNDLE_CACHE=str(self.cache),
            MLREPRO_BUNDLE=self.digest,
            MLREPRO_WORKFLOW_VERSION="pricing@v3",
            DAGSTER_HOME=str(self.home),
        )

    def enter(self, command: Sequence[str], **more: str) -> subprocess.CompletedProcess[str]:
        program = str(Path(sys.executable).parent / "mlrepro")
        return subprocess.run(
            [program, "exec", *command], env={**self.variables, **more}, capture_output=True, text=True, check=False
        )


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_command_runs_in_the_bundle_s_folder_with_its_own_exit_code(node: Node) -> None:
    done = node.enter([sys.executable, "-c", "print(open('data.txt').read(), __import__('os').getcwd()); exit(3)"])
    assert (done.returncode, done.stdout) == (3, f"42 {node.cache / node.digest}\n")


def test_without_a_bundle_the_command_runs_as_it_is(node: Node) -> None:
    done = node.enter(["echo", "--help", "-x"], MLREPRO_BUNDLE="")
    assert done.stdout == "--help -x\n"


@pytest.mark.parametrize(
    ("command", "variables", "why"),
    [
        (["echo"], {"MLREPRO_BUNDLE": "5eed" * 16}, "5eed5eed5eed can't be read"),
        (["echo"], {"MLREPRO_BUNDLE": "../../etc"}, "is not a digest of a code bundle"),
        (["no-such-program"], {}, "no-such-program can't be run"),
        ([], {}, "name the command to run"),
    ],
)
def test_what_cannot_be_entered_ends_in_one_line(
    node: Node, command: list[str], variables: dict[str, str], why: str
) -> None:
    done = node.enter(command, **variables)
    assert done.returncode == 1
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_run_and_its_steps_find_their_code_and_the_run_says_which(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLREPRO_STORE", node.variables["MLREPRO_STORE"])
    tree = write_tree(node.cache / node.digest, {"podded.py": definitions(), "data.txt": "42"})
    pointer = ModuleCodePointer("podded", "defs", str(tree))
    job = ReconstructableRepository(pointer).get_reconstructable_job("__ASSET_JOB")
    with dg.DagsterInstance.from_config(str(node.home)) as instance:
        run = instance.create_run_for_job(job.get_definition(), job_code_origin=job.get_python_origin())
        arguments = ExecuteRunArgs(job.get_python_origin(), run.run_id, instance.get_ref())
        shutil.rmtree(node.cache)  # another node has nothing
        command = [str(Path(sys.executable).parent / "dagster"), *arguments.get_command_args()[1:]]
        done = node.enter(command)
        found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == dg.DagsterRunStatus.SUCCESS, done.stderr[-3000:]
    assert found.tags["mlrepro/workflow_version"] == "pricing@v3"
    assert (node.cache / node.digest / "podded.py").is_file()


def test_pods_get_the_bundle_that_their_run_was_submitted_with(tmp_path: Path) -> None:
    k8s = pytest.importorskip("dagster_k8s.container_context", reason="needs the package dagster-k8s")
    bundle = {"content_hash": "5eed" * 16, "format": "folder", "python_type": "pathlib:Path", "size": 1}
    version = WorkflowVersion("pricing", 4, {"of": 2, "bundle": bundle, "module": "m", "digest": "d"})
    given = {"k8s": {"namespace": "pricing", "env": [{"name": "OWN", "value": "kept"}]}}
    context = k8s.K8sContainerContext.create_from_config(container_context(given, version, tmp_path))
    assert context.namespace == "pricing"
    env = context.run_k8s_config.container_config["env"]
    assert {each["name"]: each["value"] for each in env} == {
        "OWN": "kept",
        "MLREPRO_WORKFLOW_VERSION": "pricing@v2",
        "MLREPRO_BUNDLE": "5eed" * 16,
        "MLREPRO_BUNDLE_CACHE": str(tmp_path),
    }
