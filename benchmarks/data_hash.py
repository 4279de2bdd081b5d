"""Which values a content hash tells apart, and which it should not: ours beside other tools.

Each case is a pair that must have the same hash, or must not. A dot is right; "unstable" is a needless cache miss;
"COLLIDES" would be wrong data. The last line asks whether another process with another hash seed gives the same hashes.
Other tools are asked where they are installed (joblib, dask, prefect, redun, hamilton).

    python benchmarks/data_hash.py
"""

import hashlib
import json
import logging
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.store import data_cases  # noqa: E402

Digest = Callable[[Any], str]


def ours() -> Digest:
    from mlrepro.store import open_store

    store = open_store("memory://")
    return lambda value: store.hash_value(value).content_hash


def pickled() -> Digest:
    return lambda value: hashlib.sha256(pickle.dumps(value, 5)).hexdigest()


def joblib() -> Digest:
    import joblib

    return lambda value: str(joblib.hash(value))


def dask() -> Digest:
    from dask.base import tokenize

    return tokenize


def prefect() -> Digest:
    from prefect.cache_policies import INPUTS

    return lambda value: str(INPUTS.compute_key(None, {"x": value}, {}))  # type: ignore[arg-type]


def redun() -> Digest:
    from redun.value import get_type_registry

    return lambda value: str(get_type_registry().get_hash(value))


def hamilton() -> Digest:
    from hamilton.caching.fingerprinting import hash_value

    return lambda value: str(hash_value(value))


TOOLS: dict[str, Callable[[], Digest]] = {
    "mlrepro": ours,
    "joblib": joblib,
    "pickle5+sha256": pickled,
    "dask": dask,
    "prefect": prefect,
    "redun": redun,
    "hamilton": hamilton,
}


def ask(tool: str) -> dict[str, Any] | None:
    """Verdicts of a tool, asked in a process of its own, and its hashes under two hash seeds."""
    answers = []
    for seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, __file__, tool],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
        )
        if told.returncode:
            return None
        answers.append(json.loads(told.stdout.splitlines()[-1]))
    names = answers[0]["hashes"]
    moved = [name for name in names if answers[1]["hashes"][name] != names[name]]
    return {**answers[0], "moved": moved}


def answer(tool: str) -> None:
    logging.disable(logging.CRITICAL)
    digest = TOOLS[tool]()
    with tempfile.TemporaryDirectory() as folder:
        cases = data_cases.cases() + data_cases.file_cases(Path(folder))
        verdicts = data_cases.verdicts(digest, cases)
    hashes = {}
    for name, _, one, _ in data_cases.cases():
        try:
            hashes[name] = digest(one)
        except Exception as error:  # noqa: BLE001 - a tool may fail in any way
            hashes[name] = type(error).__name__
    print(json.dumps({"verdicts": verdicts, "hashes": hashes}))


def main() -> None:
    found = {tool: told for tool in TOOLS if (told := ask(tool)) is not None}
    widths = {tool: max(len(tool), 10) for tool in found}
    cases = list(found["mlrepro"]["verdicts"])
    print(" " * 50 + "  ".join(f"{tool:{widths[tool]}}" for tool in found))
    for case in cases:
        row = (f"{told['verdicts'].get(case, '?')[: widths[tool]]:{widths[tool]}}" for tool, told in found.items())
        print(f"{case[:48]:50}" + "  ".join(row))
    print("-" * 50)
    summary = {
        f"right, of {len(cases)}": lambda told: sum(v == "." for v in told["verdicts"].values()),
        "collisions (wrong data)": lambda told: sum(v == "COLLIDES" for v in told["verdicts"].values()),
        "other under another hash seed": lambda told: len(told["moved"]),
    }
    for title, count in summary.items():
        print(f"{title:50}" + "  ".join(f"{count(told):<{widths[tool]}}" for tool, told in found.items()))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        answer(sys.argv[1])
    else:
        main()
