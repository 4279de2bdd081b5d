"""Values whose content hashes are frozen, and a small store that holds them.

    python -m tests.store.golden_values

writes both again. Do so only together with a new schema version: what was stored before must stay readable, and equal
values must keep their hashes.
"""

import collections
import datetime as dt
import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mlrepro.store import Store, open_store

GOLDEN = Path(__file__).parent / "golden"
HASHES = GOLDEN / "hashes.json"
STORE = GOLDEN / "store"
RESULT = "5eed" * 16
HISTORY = ("versions", "churn model/é", "2026-01-01|eu")
LONG_HISTORY = ("versions", "x" * 300, "_")


def values() -> dict[str, Any]:
    return {
        "none": None,
        "true": True,
        "int": 7,
        "large int": 2**100,
        "float": 0.1,
        "nan": float("nan"),
        "text": "é",
        "bytes": b"\0\xff",
        "json": {"auc": 0.5, "names": ["a", None], "t": (1, 1.0, True), 1: {2, 3}, "b": b"x", "d": Decimal("1.10")},
        "dates": [dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC), dt.timedelta(1, 2, 3)],
        "numpy scalar": {"auc": np.float32(0.5)},
        "array": np.arange(6.0).reshape(2, 3),
        "text array": np.array(["a", "bc"]),
        "frame": pd.DataFrame(
            {
                "i": np.arange(3),
                "f": [0.5, np.nan, -0.0],
                "b": [True, False, True],
                "s": pd.array(["a", None, "é"], dtype="string[pyarrow]"),
                "o": pd.Series(["a", None, "c"], dtype=object),
                "m": pd.Series([1, "1", (2,)], dtype=object),
                "c": pd.Categorical([3, 1, 3], categories=[1, 3], ordered=True),
                "n": pd.array([1, None, 3], dtype="Int64"),
                "t": pd.Series(np.array([0, 1, 2], dtype="M8[ns]")),
                "z": pd.Series(np.array([0, 1, 2], dtype="M8[us]")).dt.tz_localize("UTC"),
            },
            index=pd.Index([3, 1, 2], name="id"),
            columns=pd.Index(list("ifbsomcntz"), dtype=object),
        ),
        "series": pd.Series([1.5, 2.5], name="s"),
        "index": pd.RangeIndex(3, name="r"),
        "table": pa.table({"x": [1, None], "l": [["a"], None]}),
        "tree": {"x": np.arange(2), "deep": [{"t": pa.table({"x": [1]})}, 1]},
        "pickle": collections.Counter("abca"),
        "pickled set": {collections.Counter: {1, "a"}, "f": frozenset({"x", "y"})},
    }


def write(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    store = open_store(str(folder / "store"))
    stored = {name: store.write_value(value).to_json() for name, value in values().items()}
    (folder / "hashes.json").write_text(json.dumps(stored, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    record_all(store)
    for leftover in (folder / "store").glob("*/tmp"):
        leftover.rmdir()


def record_all(store: Store) -> None:
    store.put_result(RESULT, {"outputs": {}, "who": "ada"})
    store.note_deviation(RESULT, {"who": "bob"})
    store.replace_result(RESULT, {"outputs": {}, "who": "eve"})
    for history in (HISTORY, LONG_HISTORY):
        for number in range(1, 4):
            store.append(history, lambda newest, number=number: {"after": newest and newest.number, "is": number})


if __name__ == "__main__":
    write(GOLDEN)
