"""From `mlrepro push` to the new definitions being served, beside what an image at least costs.

A real code server follows the history of a folder store; each push changes one line. For an image, docker is not
needed here, and what stands for it is a lower bound: the libraries of a small project (Dagster, mlrepro, pandas,
scikit-learn) written as one compressed layer and extracted again, without installing them, without a registry,
without Python itself, and without starting a pod. An image whose layers are
all cached but the code's costs less than that; then the pod's start is what remains, which is not part of this.

    python benchmarks/push_to_served.py [--pushes 5]
"""

import argparse
import contextlib
import importlib.metadata
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from dagster._grpc.client import DagsterGrpcClient
from packaging.requirements import Requirement

from mlrepro.bundles.pushing import push
from mlrepro.store import open_store
from tests.bundles.project import write_project
from tests.deployment.programs import Programs, environment, free_port


def served(folder: Path, pushes: int) -> tuple[list[float], list[float]]:
    """Seconds of each push, and from its begin until another server answers."""
    store, port = open_store(str(folder / "store")), free_port()
    variables = environment(
        DAGSTER_HOME=str(folder), MLREPRO_STORE=str(folder / "store"), MLREPRO_BUNDLE_CACHE=str(folder / "cache")
    )
    pushed, all_of_it = [], []

    def push_one(factor: int) -> None:
        root = write_project(folder / "project", factor)
        push("pricing", "pricing.definitions", root=root, store=store, cache=folder / "cache")

    push_one(0)
    programs = Programs(folder)
    with programs.running("code", ["mlrepro", "code-server", "pricing", "-p", str(port)], variables):
        programs.wait_for_port("the code server", port)
        client = DagsterGrpcClient(port=port, host="localhost")
        for factor in range(1, pushes + 1):
            before, began = client.get_server_id(), time.perf_counter()
            push_one(factor)
            pushed.append(time.perf_counter() - began)
            programs.wait("the version", lambda before=before: client.get_server_id() != before)  # type: ignore[misc]
            all_of_it.append(time.perf_counter() - began)
    return pushed, all_of_it


def files_of_libraries() -> list[str]:
    """The installed files of a project's libraries, and of what they need."""
    left, seen = ["mlrepro", "pandas", "scikit-learn", "dagster-k8s", "dagster-postgres"], set[str]()
    files = []
    while left:
        name = left.pop()
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found = importlib.metadata.distribution(name)
            needed = [Requirement(each) for each in found.requires or ()]
            more = {each.name.lower() for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})}
            left += more - seen
            seen |= more
            files += [
                str(path)
                for file in found.files or ()
                if (path := Path(os.path.normpath(str(file.locate())))).is_file()
            ]
    return sorted(set(files))


def layer(folder: Path) -> tuple[float, float, int]:
    """Seconds to write the libraries as a compressed layer, and to extract it; its bytes."""
    packed, unpacked, names = folder / "layer.tar.gz", folder / "layer", folder / "names"
    unpacked.mkdir()
    names.write_text("\n".join(files_of_libraries()))
    began = time.perf_counter()
    subprocess.run(
        ["tar", "-P", "--hard-dereference", "-I", "gzip -1", "-T", str(names), "-cf", str(packed)], check=True
    )
    written = time.perf_counter()
    subprocess.run(["tar", "-C", str(unpacked), "--strip-components=1", "-xf", str(packed)], check=True)
    return written - began, time.perf_counter() - written, packed.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as name:
        folder = Path(name)
        pushed, all_of_it = served(folder, arguments.pushes)
        write, extract, size = layer(folder)
    median = statistics.median(all_of_it)
    print(f"push:                    {statistics.median(pushed):6.1f} s (median of {arguments.pushes})")
    print(f"push -> served:          {median:6.1f} s")
    print(f"libraries as a layer:    {write:6.1f} s to write {size / 1e6:.0f} MB, {extract:.1f} s to extract")
    print(f"ratio:                   {median / (write + extract):6.2f}")


if __name__ == "__main__":
    main()
