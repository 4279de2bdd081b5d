"""100,000 results and 10,000 versions of one asset in a store: what a look-up, the newest version and an append cost.

The same calls are timed in turns in a store that holds next to nothing, in a folder and on an S3 server (SeaweedFS).
None of them should cost more in the full store: a look-up is by name, and the newest entry of a history is the first
of its listing, or found by doubling.

    python benchmarks/large_store.py [--results 100000] [--versions 10000] [--rounds 300] [--place folder|s3]
"""

import argparse
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the tests' server

from mlrepro.catalog.history import append_version, newest_version
from mlrepro.store import Store, history, open_store
from tests.store.s3_server import s3_server

THREADS = 16
MODEL = ("churn_model",)


def input_hash(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def record(store: Store, number: int) -> dict[str, Any]:
    stored = store.write_value({"auc": number / 7})
    return {"outputs": {"result": {"stored": stored.to_json()}}, "who": "ada", "run_id": f"run-{number}"}


def fill(store: Store, results: int, versions: int) -> None:
    started = time.perf_counter()
    same = record(store, 0)
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(lambda number: store.put_result(input_hash(number), same), range(results)):
            pass
    for number in range(versions):
        append(store, number)
    print(f"  filled with {results:,} results and {versions:,} versions in {time.perf_counter() - started:.0f} s")


def append(store: Store, number: int) -> None:
    stored = store.hash_value({"auc": number / 7})
    body = {"data_version": stored.content_hash, "input_hash": input_hash(number)}
    _, is_new = append_version(store, MODEL, None, stored, body)
    assert is_new


def first_time(store: Store) -> None:
    history._seen.clear()
    newest_version(store, MODEL)


def calls(store: Store, first: int) -> Iterator[tuple[str, Callable[[int], object]]]:
    yield "look-up, hit", lambda number: store.get_result(input_hash(number % 10))
    yield "look-up, miss", lambda number: store.get_result(input_hash(-1 - number))
    yield "newest version", lambda _number: newest_version(store, MODEL)
    yield "newest version, first time in a process", lambda _number: first_time(store)
    yield "append", lambda number: append(store, first + number)


@contextmanager
def places(names: list[str]) -> Iterator[Iterator[tuple[str, Callable[[str], Store]]]]:
    """Each place, and what opens a store in it by name."""
    with tempfile.TemporaryDirectory() as folder, s3_server(Path(folder)) as server:

        def opened() -> Iterator[tuple[str, Callable[[str], Store]]]:
            if "folder" in names:
                yield "folder", lambda name: open_store(f"{folder}/{name}", options={"durable": "false"})
            if "s3" in names:
                yield "s3", lambda name: open_store(f"s3://mlrepro/{name}", options=server.options)

        yield opened()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=int, default=100_000)
    parser.add_argument("--versions", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--place", choices=["folder", "s3"], action="append")
    arguments = parser.parse_args()
    with places(arguments.place or ["folder", "s3"]) as found:
        for place, opened in found:
            print(f"\n{place}")
            full, empty = opened("full"), opened("empty")
            fill(full, arguments.results, arguments.versions)
            fill(empty, 10, 1)
            sides = zip(calls(full, arguments.versions), calls(empty, arguments.versions), strict=True)
            for (what, in_full), (_, in_empty) in sides:
                seconds: dict[str, list[float]] = {"full": [], "empty": []}
                for number in range(arguments.rounds):
                    for side, call in (("full", in_full), ("empty", in_empty)):
                        started = time.perf_counter()
                        call(number)
                        seconds[side].append(time.perf_counter() - started)
                middle = {side: statistics.median(each) for side, each in seconds.items()}
                print(
                    f"  {what:40} {middle['full'] * 1e3:7.2f} ms in the full store, {middle['empty'] * 1e3:7.2f} ms in"
                    f" the empty one: ratio {middle['full'] / middle['empty']:.2f}"
                )


if __name__ == "__main__":
    main()
