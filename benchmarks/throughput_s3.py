"""Storing and loading on an S3 server: ours beside bare obstore and Dagster's own S3PickleIOManager, in one run.

A frame of 200 MB, and 1,000 small results from 16 threads. Bare obstore writes the same Arrow bytes, and for a small
result the same two objects, with neither hash nor check; Dagster's IO manager pickles, and keeps one object. Rounds
alternate, and medians of pairs are compared, so that a shared machine disturbs all alike.

    python benchmarks/throughput_s3.py [--size-mb 200] [--results 1000] [--rounds 5]
"""

import argparse
import gc
import io
import itertools
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import obstore
import pandas as pd
import pyarrow as pa
from dagster import build_output_context
from dagster_aws.s3.io_manager import PickledObjectS3IOManager
from obstore.store import S3Store
from upath import UPath

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the tests' server

from benchmarks.throughput import mixed_frame
from mlrepro.store import Store, StoredValue, open_store
from tests.store.s3_server import BUCKET, S3Server, s3_server

THREADS = 16
PART = 16 * 1024 * 1024
Timed = dict[str, list[float]]


class Ours:
    """mlrepro's store."""

    name = "mlrepro"

    def __init__(self, server: S3Server) -> None:
        self.store: Store = open_store(f"s3://{BUCKET}/{uuid.uuid4().hex}", options=server.options)
        self.store.check()

    def store_frame(self, frame: pd.DataFrame) -> StoredValue:
        return self.store.write_value(frame)

    def load_frame(self, stored: StoredValue) -> pd.DataFrame:
        frame: pd.DataFrame = self.store.read_value(stored)
        return frame

    def store_result(self, value: dict[str, float]) -> str:
        stored = self.store.write_value(value)
        key = uuid.uuid4().hex * 2
        self.store.put_result(key, {"outputs": {"result": {"stored": stored.to_json()}}})
        return key

    def load_result(self, key: str) -> dict[str, float]:
        found = self.store.get_result(key, replaced=())
        assert found is not None
        value: dict[str, float] = self.store.read_value(
            StoredValue.from_json(found.record["outputs"]["result"]["stored"])
        )
        return value


class Bare:
    """obstore, and nothing else."""

    name = "bare obstore"

    def __init__(self, server: S3Server) -> None:
        options: Any = server.options
        self.store = S3Store(BUCKET, config=options, client_options={"allow_http": True, "timeout": "300s"})
        self.prefix = uuid.uuid4().hex

    def store_frame(self, frame: pd.DataFrame) -> str:
        table = pa.Table.from_pandas(frame)
        body = io.BytesIO()
        with pa.ipc.new_file(body, table.schema) as writer:
            writer.write_table(table)
        body.seek(0)
        path = f"{self.prefix}/{uuid.uuid4().hex}"
        obstore.put(self.store, path, body, use_multipart=True, chunk_size=PART, max_concurrency=4)
        return path

    def load_frame(self, path: str) -> pd.DataFrame:
        data = obstore.get(self.store, path).bytes()
        frame: pd.DataFrame = pa.ipc.open_file(pa.py_buffer(data)).read_pandas()
        return frame

    def store_result(self, value: dict[str, float]) -> str:
        name = uuid.uuid4().hex
        obstore.put(self.store, f"{self.prefix}/blobs/{name}", json.dumps(value).encode())
        record = json.dumps({"blob": name}).encode()
        obstore.put(self.store, f"{self.prefix}/results/{name}", record, mode="create")
        return name

    def load_result(self, name: str) -> dict[str, float]:
        record = json.loads(bytes(obstore.get(self.store, f"{self.prefix}/results/{name}").bytes()))
        value: dict[str, float] = json.loads(
            bytes(obstore.get(self.store, f"{self.prefix}/blobs/{record['blob']}").bytes())
        )
        return value


class Dagster:
    """Dagster's S3PickleIOManager, by the methods that its steps call."""

    name = "S3PickleIOManager"

    def __init__(self, server: S3Server) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id=server.options["access_key_id"],
            aws_secret_access_key=server.options["secret_access_key"],
            region_name=server.options["region"],
        )
        self.manager = PickledObjectS3IOManager(BUCKET, client, s3_prefix=uuid.uuid4().hex)
        self.context = build_output_context()

    def store_frame(self, value: Any) -> UPath:
        path = UPath(uuid.uuid4().hex)
        self.manager.dump_to_path(self.context, value, path)
        return path

    def load_frame(self, path: UPath) -> Any:
        return self.manager.load_from_path(self.context, path)  # type: ignore[arg-type]

    store_result = store_frame
    load_result = load_frame


def timed(times: Timed, name: str, call: Callable[[], Any]) -> Any:
    gc.collect()
    start = time.perf_counter()
    result = call()
    times.setdefault(name, []).append(time.perf_counter() - start)
    return result


def many(call: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, items))


def one_round(times: dict[str, Timed], side: Any, frame: pd.DataFrame, results: Sequence[dict[str, float]]) -> None:
    kept = timed(times["frame: store"], side.name, lambda: side.store_frame(frame))
    loaded = timed(times["frame: load"], side.name, lambda: side.load_frame(kept))
    assert len(loaded) == len(frame)
    names = timed(times["small results: store"], side.name, lambda: many(side.store_result, results))
    values = timed(times["small results: load"], side.name, lambda: many(side.load_result, names))
    assert values == list(results)


def report(times: dict[str, Timed]) -> dict[str, float]:
    """Print all, and return the speed of ours beside bare obstore."""
    ratios = {}
    for what, sides in times.items():
        print(f"\n{what}")
        for name, seconds in sides.items():
            paired = [other / ours for other, ours in zip(seconds, sides[Ours.name], strict=True)]
            beside = "" if name == Ours.name else f"   speed ours/theirs {statistics.median(paired):.2f}"
            spread = f"({min(seconds):.2f} to {max(seconds):.2f})"
            print(f"  {name:18} {statistics.median(seconds):7.2f} s  {spread}{beside}")
            if name == Bare.name:
                ratios[what] = statistics.median(paired)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size-mb", type=int, default=200)
    parser.add_argument("--results", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    counter = itertools.count()
    with tempfile.TemporaryDirectory() as folder, s3_server(Path(folder)) as server:
        sides = [Ours(server), Bare(server), Dagster(server)]
        times: dict[str, Timed] = {
            f"{kind}: {verb}": {} for kind, verb in itertools.product(("frame", "small results"), ("store", "load"))
        }
        frame = mixed_frame(arguments.size_mb)
        for number in range(arguments.rounds + 1):
            if number == 1:  # the first round warms connections and imports
                for each in times.values():
                    each.clear()
            frame.iloc[0, 0] = number  # new content each round, so that all of it is sent
            results = [{"auc": next(counter) / 7} for _ in range(arguments.results)]
            for side in (*sides[number % 3 :], *sides[: number % 3]):
                one_round(times, side, frame, results)
    ratios = report(times)
    print(f"\nbeside bare obstore, worst of {len(ratios)}: {min(ratios.values()):.2f}; wanted at least 0.80")


if __name__ == "__main__":
    main()
