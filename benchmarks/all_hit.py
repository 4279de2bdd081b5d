"""A run of 200 cached assets that are all hits, against Dagster running 200 trivial plain assets.

Plain: `@asset`s with Dagster's own file IO manager under its in-process executor, the fastest that Dagster has. Ours:
the same graph of `@ml_asset`s under `cache_first(multiprocess_executor)`, all of them hits. Both in one process on the
same kind of instance, in turns; wall time of `execute_job`, with and without the creation of the run (where Dagster
writes one "planned" event an asset for both).

Usage: python benchmarks/all_hit.py [--assets 200] [--rounds 3] [--postgres]
"""

import _posixsubprocess
import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.reconstruct import reconstructable
from dagster._core.execution.api import execute_run

from mlrepro import InputHashIOManager, ReproStore, ml_asset
from mlrepro.execution.cache_first import cache_first

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SHAPES = ("chain", "wide")


def size() -> int:
    return int(os.environ.get("BENCH_ASSETS", "200"))


def plain(shape: str) -> list[dg.AssetsDefinition]:
    assets: list[dg.AssetsDefinition] = []
    for number in range(size()):
        upstream = {"before": dg.AssetIn(f"n{number - 1}")} if shape == "chain" and number else {}

        @dg.asset(name=f"n{number}", ins=upstream)
        def one(**inputs: int) -> int:
            return sum(inputs.values()) + 1

        assets.append(one)
    return assets


def cached(shape: str) -> list[dg.AssetsDefinition]:
    assets: list[dg.AssetsDefinition] = []
    for number in range(size()):
        upstream = {"before": dg.AssetIn(f"n{number - 1}")} if shape == "chain" and number else {}

        # the number keeps the results of a wide graph apart, as those of different assets are
        @ml_asset(name=f"n{number}", ins=upstream, seed=number)
        def one(**inputs: int) -> int:
            return sum(inputs.values()) + 1

        assets.append(one)
    return assets


def job(kind: str, shape: str) -> dg.JobDefinition:
    everything = dg.define_asset_job("everything")
    if kind == "plain":
        manager = dg.FilesystemIOManager(base_dir=os.environ["BENCH_FILES"])
        definitions = dg.Definitions(
            assets=plain(shape), jobs=[everything], executor=dg.in_process_executor, resources={"io_manager": manager}
        )
    else:
        definitions = dg.Definitions(
            assets=cached(shape),
            jobs=[everything],
            executor=dg.in_process_executor if kind == "fill" else cache_first(dg.multiprocess_executor),
            resources={"io_manager": InputHashIOManager(store=ReproStore(url=os.environ["BENCH_STORE"]))},
        )
    return definitions.resolve_job_def("everything")


def plain_chain() -> dg.JobDefinition:
    return job("plain", "chain")


def plain_wide() -> dg.JobDefinition:
    return job("plain", "wide")


def fill_chain() -> dg.JobDefinition:
    return job("fill", "chain")


def fill_wide() -> dg.JobDefinition:
    return job("fill", "wide")


def cached_chain() -> dg.JobDefinition:
    return job("cached", "chain")


def cached_wide() -> dg.JobDefinition:
    return job("cached", "wide")


class Children:
    """Counts the processes that this one starts, however it starts them."""

    def __init__(self) -> None:
        self.count = 0
        for owner, name in (
            (_posixsubprocess, "fork_exec"),
            (subprocess, "_fork_exec"),
            (os, "fork"),
            (os, "posix_spawn"),
        ):
            setattr(owner, name, self._counting(getattr(owner, name)))

    def _counting(self, start: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return start(*args, **kwargs)

        return counted


def run(function: Any, instance: dg.DagsterInstance) -> tuple[float, float, set[str]]:
    """Create and execute a run; seconds for both, seconds for executing alone, and what its materializations say."""
    recon = reconstructable(function)
    definition = recon.get_definition()
    started = time.perf_counter()
    created = instance.create_run_for_job(definition, job_code_origin=recon.get_python_origin())
    executing = time.perf_counter()
    result = execute_run(recon, created, instance)
    ended = time.perf_counter()
    assert result.success
    said = set()
    for number in (0, size() - 1):
        event = instance.get_latest_materialization_event(dg.AssetKey(f"n{number}"))
        value = event.asset_materialization.metadata.get("mlrepro/cache")
        said.add(value.value if value else "ran")
    return ended - started, ended - executing, said


@contextlib.contextmanager
def instance(folder: Path, *, postgres: bool) -> Iterator[dg.DagsterInstance]:
    with contextlib.ExitStack() as stack:
        settings = "telemetry:\n  enabled: false\n"
        if postgres:
            from tests.postgres import throwaway_postgres

            url = stack.enter_context(throwaway_postgres())
            settings += f"storage:\n  postgres:\n    postgres_url: {url}\n"
        (folder / "dagster.yaml").write_text(settings)
        yield stack.enter_context(dg.DagsterInstance.from_config(str(folder)))


def measure(shape: str, rounds: int, *, postgres: bool, children: Children) -> None:
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as name:
        folder = Path(name)
        os.environ |= {"BENCH_FILES": str(folder / "files"), "BENCH_STORE": (folder / "store").as_uri()}
        functions = {
            f"{kind}_{each}": globals()[f"{kind}_{each}"] for kind in ("plain", "fill", "cached") for each in SHAPES
        }
        with instance(folder, postgres=postgres) as where:
            run(functions[f"fill_{shape}"], where)
            run(functions[f"plain_{shape}"], where)  # the first run of a process pays for imports
            run(functions[f"cached_{shape}"], where)
            times: dict[str, list[tuple[float, float]]] = {"plain": [], "cached": []}
            for _ in range(rounds):
                for kind, rows in times.items():
                    before = children.count
                    whole, executing, said = run(functions[f"{kind}_{shape}"], where)
                    assert said == ({"hit"} if kind == "cached" else {"ran"}), said
                    assert kind == "plain" or children.count == before, (
                        f"{children.count - before} processes were started"
                    )
                    rows.append((whole, executing))
        ratios = [
            [ours[which] / theirs[which] for ours, theirs in zip(times["cached"], times["plain"], strict=True)]
            for which in (1, 0)
        ]
        seconds = {kind: statistics.median(row[1] for row in rows) for kind, rows in times.items()}
        print(
            f"{'PostgreSQL' if postgres else 'SQLite':10} {shape:5}  plain {seconds['plain']:6.2f} s"
            f"  all hit {seconds['cached']:6.2f} s  ratio {statistics.median(ratios[0]):.2f}"
            f" ({min(ratios[0]):.2f}-{max(ratios[0]):.2f}); with the run's creation {statistics.median(ratios[1]):.2f};"
            " 0 child processes",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--assets", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgres", action="store_true", help="also on a PostgreSQL instance, started for this")
    arguments = parser.parse_args()
    os.environ["BENCH_ASSETS"] = str(arguments.assets)
    children = Children()
    for postgres in (False, True) if arguments.postgres else (False,):
        for shape in SHAPES:
            measure(shape, arguments.rounds, postgres=postgres, children=children)


if __name__ == "__main__":
    main()
