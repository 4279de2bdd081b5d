"""What it costs that the files of its code are stored with each result: many small results, with the files and without.

A project of 40 modules of 200 lines that import one another; assets that compute next to nothing, in one process (where
nothing else hides the cost). Rounds alternate, each on a store and an instance of its own; all are computed, then all
are hits. Medians of the paired ratios, of wall time and of
processor time, which other work on the machine disturbs less.

    python benchmarks/stored_code.py [--assets 100] [--modules 40] [--rounds 7]
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg

from mlrepro import InputHashIOManager, ReproStore
from mlrepro.versioning.code.files import ProjectFiles

LINES = "\n".join(f"def helper_{number}(value):\n    return value + {number}\n" for number in range(70))


def write_project(folder: Path, modules: int, assets: int) -> None:
    for number in range(modules):
        imported = f"from m{number + 1} import helper_0 as next_one\n" if number + 1 < modules else ""
        (folder / f"m{number}.py").write_text(imported + LINES)
    definitions = "\n".join(
        f"@ml_asset(seed={number})\ndef a{number}() -> int:\n    return helper_{number % 70}({number})\n"
        for number in range(assets)
    )
    (folder / "project.py").write_text(f"from m0 import *\nfrom mlrepro import ml_asset\n\n{definitions}")


def run(assets: list[Any], folder: Path) -> dict[str, float]:
    manager = InputHashIOManager(store=ReproStore(url=str(folder / "store")))
    times = {}
    with dg.DagsterInstance.ephemeral() as instance:
        for name in ("store", "hit"):
            started, cpu = time.perf_counter(), time.process_time()
            dg.materialize(assets, resources={"io_manager": manager}, instance=instance)
            times[name] = (time.perf_counter() - started) / len(assets)
            times[f"{name}, processor"] = (time.process_time() - cpu) / len(assets)
    return times


def main() -> None:
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser()
    parser.add_argument("--assets", type=int, default=100)
    parser.add_argument("--modules", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        write_project(Path(place), given.modules, given.assets)
        sys.path.insert(0, place)
        import project  # type: ignore[import-not-found]

        assets = [value for value in vars(project).values() if isinstance(value, dg.AssetsDefinition)]
        kinds = [f"{name}{kind}" for name in ("store", "hit") for kind in ("", ", processor")]
        ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
        medians: dict[tuple[str, bool], list[float]] = {}
        for number in range(given.rounds + 1):
            both = {}
            for kept in (True, False) if number % 2 else (False, True):
                with tempfile.TemporaryDirectory() as folder:
                    files = {} if kept else {"return_value": ProjectFiles({})}
                    with mock.patch("mlrepro.io_managers.code_record.files_of", **files) if files else mock.MagicMock():
                        both[kept] = run(assets, Path(folder))
            if number:  # the first round warms up
                for name, measured in ratios.items():
                    measured.append(both[True][name] / both[False][name])
                    for kept in (True, False):
                        medians.setdefault((name, kept), []).append(both[kept][name])
    for name, values in ratios.items():
        with_files, without = (statistics.median(medians[name, kept]) * 1000 for kept in (True, False))
        print(
            f"{name}: {with_files:.2f} ms a result with its files, {without:.2f} ms without;"
            f" ratio {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"
        )


if __name__ == "__main__":
    main()
