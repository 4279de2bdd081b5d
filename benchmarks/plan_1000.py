"""`plan` over 1,000 cached assets in a bucket, against fetching the same 1,000 result records with obstore alone.

A module of 1,000 functions, each with a body of its own and helpers that they share, ten levels deep and a hundred
wide, is generated and materialized once into a real S3 store (SeaweedFS). Then, in turns in one process: fetch the
1,000 result records concurrently with bare obstore (`asyncio.gather` of `get_async`, and a thread pool: the faster one
counts), and call `plan` on the Definitions. Printed: medians, the ratio, and the requests of each.

The import of the module, the Definitions and Dagster's own repository and job behind them are made before; what the
first call of a process pays for them is printed apart. The server runs on the same machine and takes its share of the
processors.

Usage: python benchmarks/plan_1000.py [--wide 100] [--levels 10] [--rounds 5] [--profile]
"""

import argparse
import asyncio
import contextlib
import cProfile
import importlib
import pstats
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import obstore
from obstore.store import S3Store

from mlrepro import InputHashIOManager, ReproStore, plan
from mlrepro.execution.plan import Plan

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.store.s3_server import BUCKET, s3_server

HEAD = """
from mlrepro import ml_asset

FACTOR = 1.5


def scale(value: float) -> float:
    return value * FACTOR


def clip(value: float, low: float = 0.0, high: float = 1e9) -> float:
    return min(max(scale(value), low), high)
"""

FIRST = '''

@ml_asset
def n0_{i}() -> float:
    """Row {i}."""
    values = [clip(each) for each in range({i}, {i} + 5)]
    total = sum(values)
    return total + {i}
'''

NEXT = '''

@ml_asset
def n{level}_{i}(n{before}_{i}: float) -> float:
    """Row {i}, level {level}."""
    value = clip(n{before}_{i}, high={level}{i:03}.0)
    # keep what is usable
    for step in range({level}):
        value += step * {i}
    return value
'''


def write(folder: Path, levels: int, wide: int) -> None:
    """Write the module."""
    body = [FIRST.format(i=i) for i in range(wide)]
    body += [NEXT.format(level=n, before=n - 1, i=i) for n in range(1, levels) for i in range(wide)]
    (folder / "thousand.py").write_text(HEAD + "".join(body))


def fastest_fetch(store: S3Store, paths: list[str]) -> float:
    """Seconds to fetch all records, by the faster of the two ways."""

    async def gather() -> int:
        async def one(path: str) -> bytes:
            return bytes(await (await obstore.get_async(store, path)).bytes_async())

        return len(await asyncio.gather(*[one(path) for path in paths]))

    def pool() -> int:
        with ThreadPoolExecutor(max_workers=32) as threads:
            return len(list(threads.map(lambda path: bytes(obstore.get(store, path).bytes()), paths)))

    return min(timed(lambda: asyncio.run(gather()))[0], timed(pool)[0])


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


@contextlib.contextmanager
def counted_requests() -> Iterator[Counter[str]]:
    """Count the requests that a store makes through obstore."""
    counts: Counter[str] = Counter()
    originals = {name: getattr(obstore, name) for name in ("get", "head", "list", "put")}

    def counting(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return originals[name](*args, **kwargs)

        return call

    for name in originals:
        setattr(obstore, name, counting(name))
    try:
        yield counts
    finally:
        for name, function in originals.items():
            setattr(obstore, name, function)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--wide", type=int, default=100)
    parser.add_argument("--levels", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="print what `plan` spends its time on")
    options = parser.parse_args()
    number = options.wide * options.levels
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as name, s3_server(Path(name)) as server:
        write(Path(name), options.levels, options.wide)
        sys.path.insert(0, name)
        url, access = f"s3://{BUCKET}/bench", server.options
        importing, module = timed(lambda: importlib.import_module("thousand"))
        assets = [value for value in vars(module).values() if isinstance(value, dg.AssetsDefinition)]
        assert len(assets) == number

        def define() -> dg.Definitions:
            manager = InputHashIOManager(store=ReproStore(url=url, options=access))
            return dg.Definitions(assets=assets, resources={"io_manager": manager})

        defining, definitions = timed(define)
        with dg.DagsterInstance.ephemeral() as instance:
            resolving, job = timed(definitions.resolve_implicit_global_asset_job_def)
            filling, _ = timed(lambda: job.execute_in_process(instance=instance))
            first, _ = timed(lambda: plan(define(), instance=instance))

            def look() -> Plan:
                return plan(definitions, instance=instance)

            with counted_requests() as requests:
                made = look()
            assert made.counts["hit"] == number, made.counts
            store = S3Store(BUCKET, client_options={"allow_http": True}, **access)
            paths = [
                f"bench/default/results/{row.input_hash[:2]}/{row.input_hash}.json"
                for row in made.assets
                if row.input_hash
            ]
            assert len(set(paths)) == number
            fastest_fetch(store, paths)
            fetched, planned = [], []
            for _ in range(options.rounds):
                fetched.append(fastest_fetch(store, paths))
                planned.append(timed(look)[0])
            ratios = [ours / theirs for ours, theirs in zip(planned, fetched, strict=True)]
            print(
                f"import {importing:.2f} s, Definitions {defining:.2f} s, Dagster's job of them {resolving:.2f} s;"
                f" materialized in {filling:.0f} s; first plan of new Definitions {first:.2f} s"
            )
            print(f"requests of a plan: {dict(requests)} for {number} hits")
            print(
                f"{number} records fetched {statistics.median(fetched):.3f} s, plan {statistics.median(planned):.3f} s:"
                f" ratio {statistics.median(planned) / statistics.median(fetched):.2f}"
                f" (rounds {min(ratios):.2f}-{max(ratios):.2f})",
                flush=True,
            )
            if options.profile:
                profile = cProfile.Profile()
                profile.runcall(look)
                pstats.Stats(profile).sort_stats("tottime").print_stats(45)
                pstats.Stats(profile).sort_stats("cumulative").print_stats(70)


if __name__ == "__main__":
    main()
