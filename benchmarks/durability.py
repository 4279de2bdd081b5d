"""What syncing to the disk costs: a folder with ``durable`` (the default) beside one without, in alternating rounds.

python benchmarks/durability.py [--results 200] [--size-mb 200] [--rounds 5] [--folder DIR]
"""

import argparse
import hashlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mlrepro.store import Store, open_store

Act = Callable[[Store], None]


def small_results(count: int) -> Act:
    """What a run of so many small steps stores: a value, a result that names it, a version."""

    def act(store: Store) -> None:
        for number in range(count):
            stored = store.write_value({"number": number}).to_json()
            store.put_result(hashlib.sha256(b"%d" % number).hexdigest(), {"outputs": {"result": stored}})
            store.append(("versions", f"asset{number}", "_"), lambda _newest, stored=stored: {"output": stored})

    return act


def one_value(megabytes: int) -> Act:
    data = os.urandom(megabytes * 1_000_000)

    def act(store: Store) -> None:
        store.write_value(data)

    return act


def seconds(act: Act, folder: Path, durable: str) -> float:
    place = Path(tempfile.mkdtemp(dir=folder))
    store = open_store(f"{place}/store", options={"durable": durable})
    store.check()
    os.sync()  # what others wrote before is not ours to wait for
    start = time.perf_counter()
    act(store)
    taken = time.perf_counter() - start
    shutil.rmtree(place)
    return taken


def compare(title: str, act: Act, folder: Path, rounds: int) -> float:
    taken: dict[str, list[float]] = {"true": [], "false": []}
    for number in range(rounds):
        for durable in ("true", "false") if number % 2 else ("false", "true"):
            taken[durable].append(seconds(act, folder, durable))
    middle = {durable: statistics.median(each) for durable, each in taken.items()}
    ratio = middle["true"] / middle["false"]
    print(f"{title}: durable {middle['true'] * 1e3:.0f} ms, not {middle['false'] * 1e3:.0f} ms, ratio {ratio:.2f}")
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--results", type=int, default=200)
    parser.add_argument("--size-mb", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    print(f"median of {arguments.rounds} alternating rounds in {arguments.folder}")
    compare(f"{arguments.results} small results", small_results(arguments.results), arguments.folder, arguments.rounds)
    compare(f"one value of {arguments.size_mb} MB", one_value(arguments.size_mb), arguments.folder, arguments.rounds)


if __name__ == "__main__":
    main()
