"""Rolling a model back with 50 assets downstream: from the cache, beside computing them.

A model, a channel and 50 assets downstream of it, in a chain and side by side, each of which works for a while. Two
versions are trained and promoted, and everything downstream is computed for both. Then, in turns in one process and on
one SQLite instance: roll back with a cascade, and compute the same 50 assets with the cache switched off. Printed:
medians, the ratio, and how many assets the rollback computed.

Usage: python benchmarks/cascade.py [--assets 50] [--seconds 0.1] [--rounds 3]
"""

import argparse
import contextlib
import importlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from mlrepro import release, rollback
from mlrepro.execution.cascade import CodeLocation, cascade

MODULE = """
import time

import dagster as dg

from mlrepro import channel, ml_asset, ml_definitions


class Slope(dg.Config):
    value: float = 0.5


@ml_asset
def slope(config: Slope) -> float:
    return config.value


production = channel("production", slope)


def follow(number: int) -> dg.AssetsDefinition:
    before = production.key if number % 10 == 0 else dg.AssetKey(f"report{{number - 1}}")

    @ml_asset(name=f"report{{number}}", ins={{"before": dg.AssetIn(before)}})
    def report(before: float) -> float:
        until = time.monotonic() + {seconds}
        while time.monotonic() < until:  # real work holds a processor
            before = (before * 1.0001) % 1000
        return round(before % 1, 1) + number

    return report


defs = ml_definitions(assets=[slope, production, *map(follow, range({assets}))])
"""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Say nothing of what runs log, in this process and in those that it starts."""
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--assets", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=0.1, help="how long each of them computes")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as name:
        os.environ |= {"DAGSTER_HOME": name}
        Path(name, "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        Path(name, "location.py").write_text(MODULE.format(seconds=options.seconds, assets=options.assets))
        os.chdir(name)
        sys.path.insert(0, name)
        definitions = importlib.import_module("location").defs
        with dg.DagsterInstance.get() as instance:
            job = definitions.resolve_implicit_global_asset_job_def()
            location = CodeLocation.of_definitions("location")
            key = dg.AssetKey(["slope", "production"])
            back, computed = [], []
            with quiet():
                for value in (0.5, 0.4):
                    config = {"ops": {"slope": {"config": {"value": value}}}}
                    assert job.execute_in_process(instance=instance, run_config=config).success
                for _ in range(options.rounds):
                    started = time.perf_counter()
                    moved = rollback("slope", channel="production", cascade=True, definitions="location")
                    back.append(time.perf_counter() - started)
                    assert moved.cascade is not None
                    assert moved.cascade.success
                    assert (moved.cascade.replayed, moved.cascade.computed) == (options.assets, ())
                    started = time.perf_counter()
                    done = cascade(location, key, partition=None, instance=instance, tags={"mlrepro/cache": "off"})
                    computed.append(time.perf_counter() - started)
                    assert len(done.computed) == options.assets
                    release("slope@v2", channel="production")
                    assert job.execute_in_process(
                        instance=instance, asset_selection=[dg.AssetKey("slope"), key], run_config=config
                    ).success
        print(
            f"{options.assets} assets downstream, {options.seconds} s of work each: rolled back in"
            f" {statistics.median(back):.2f} s with 0 computed, computed in {statistics.median(computed):.2f} s:"
            f" ratio {statistics.median(back) / statistics.median(computed):.3f}"
            f" (rollbacks {min(back):.2f}-{max(back):.2f} s)"
        )


if __name__ == "__main__":
    main()
