"""Storing and loading 200 MB: ours beside plain files with the same promises.

Plain is an Arrow IPC file (or ``numpy.save``), synced to disk, followed by sha256 of the file; loading is the same file
read and materialised, and its sha256 compared. Rounds alternate and medians are compared within one run, so that a
shared machine disturbs both alike.

    python benchmarks/throughput.py [--size-mb 200] [--rounds 7] [--folder DIR]
"""

import argparse
import gc
import hashlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mlrepro.store import open_store

Timed = dict[str, list[float]]


def mixed_frame(megabytes: int) -> pd.DataFrame:
    rows = megabytes * 1_000_000 // 62
    random = np.random.default_rng(0)
    names = np.array([f"customer-{number:05d}" for number in range(50_000)], dtype=object)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "age": random.integers(18, 90, rows, dtype="int32"),
            "balance": random.normal(size=rows),
            "score": np.where(random.random(rows) < 0.05, np.nan, random.normal(size=rows)),
            "name": pd.array(names[random.integers(0, len(names), rows)], dtype="str"),
            "segment": pd.Categorical.from_codes(random.integers(0, 5, rows), list("abcde")),
            "seen": np.datetime64("2026-01-01", "us") + random.integers(0, 10**12, rows).astype("m8[us]"),
        }
    )


def sync(path: Path) -> None:
    for target in (path, path.parent):
        descriptor = os.open(target, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_frame(frame: pd.DataFrame, path: Path) -> str:
    table = pa.Table.from_pandas(frame)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    sync(path)
    return digest(path)


def load_frame(path: Path, expected: str) -> pd.DataFrame:
    with pa.memory_map(str(path)) as file:
        frame = pa.ipc.open_file(file).read_pandas()
    assert digest(path) == expected
    return frame


def save_array(array: np.ndarray, path: Path) -> str:
    with path.open("wb") as file:
        np.save(file, array)
    sync(path)
    return digest(path)


def load_array(path: Path, expected: str) -> np.ndarray:
    array = np.load(path)
    assert digest(path) == expected
    return array


def timed(times: Timed, name: str, call: Callable[[], Any]) -> Any:
    gc.collect()
    os.sync()
    start = time.perf_counter()
    result = call()
    times.setdefault(name, []).append(time.perf_counter() - start)
    return result


def one_round(times: Timed, value: Any, save: Any, load: Any, folder: Path, ours_first: bool) -> None:
    place = Path(tempfile.mkdtemp(dir=folder))
    store = open_store(f"{place}/store")
    store.check()
    file = place / "plain"

    def ours() -> None:
        stored = timed(times, "store ours", lambda: store.write_value(value))
        timed(times, "load ours", lambda: store.read_value(stored))

    def plain() -> None:
        expected = timed(times, "store plain", lambda: save(value, file))
        timed(times, "load plain", lambda: load(file, expected))

    for step in (ours, plain) if ours_first else (plain, ours):
        step()
    peers(times, value, place)
    shutil.rmtree(place)


def peers(times: Timed, value: Any, place: Path) -> None:
    """What others take for the same value; they neither sync nor check what they read."""
    timed(times, "hash alone, ours", lambda: open_store("memory://").hash_value(value))
    try:
        import joblib
    except ImportError:
        pass
    else:
        call = joblib.Memory(place / "joblib", verbose=0).cache(keep, ignore=["value"])
        timed(times, "store joblib.Memory", lambda: call(value))
        timed(times, "load joblib.Memory", lambda: call(value))
        timed(times, "hash alone, joblib", lambda: joblib.hash(value))
    try:
        from prefect.serializers import PickleSerializer
    except ImportError:
        return
    serializer, path = PickleSerializer(), place / "prefect"
    timed(times, "store Prefect's pickle", lambda: path.write_bytes(serializer.dumps(value)))
    timed(times, "load Prefect's pickle", lambda: serializer.loads(path.read_bytes()))


def keep(value: Any) -> Any:
    return value


def report(title: str, times: Timed, megabytes: float) -> dict[str, float]:
    print(f"\n{title}, {megabytes:.0f} MB, median of {len(times['store ours'])} alternating rounds")
    middle = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in middle.items():
        spread = f"({min(times[name]) * 1e3:.0f} to {max(times[name]) * 1e3:.0f})"
        print(f"  {name:24} {seconds * 1e3:8.0f} ms   {spread:16} {megabytes / seconds:7.0f} MB/s")
    ratios = {}
    for step in ("store", "load"):
        pairs = zip(times[f"{step} plain"], times[f"{step} ours"], strict=True)
        paired = statistics.median(plain / ours for plain, ours in pairs)
        ratios[step] = middle[f"{step} plain"] / middle[f"{step} ours"]
        print(f"  {step}: speed ours/plain {ratios[step]:.2f} (median of pairs {paired:.2f}); wanted at least 0.80")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size-mb", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    print("durable: files and folders are synced by both")
    cases = [
        ("mixed frame", mixed_frame(arguments.size_mb), save_frame, load_frame),
        (
            "float array",
            np.random.default_rng(0).normal(size=arguments.size_mb * 1_000_000 // 8),
            save_array,
            load_array,
        ),
    ]
    worst = 9.0
    for title, value, save, load in cases:
        times: Timed = {}
        for number in range(arguments.rounds + 1):
            if number == 1:
                times.clear()  # The first round warms caches and imports.
            one_round(times, value, save, load, arguments.folder, ours_first=number % 2 == 0)
        size = open_store("memory://").hash_value(value).size / 1e6
        worst = min(worst, *report(title, times, size).values())
    print(f"\nworst ratio: {worst:.2f}")


if __name__ == "__main__":
    main()
