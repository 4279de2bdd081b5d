import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlrepro.store import Entry, FoundResult, StoredValue, open_store
from tests.store import golden_values
from tests.store.faults import files_below

STORED = {name: StoredValue.from_json(data) for name, data in json.loads(golden_values.HASHES.read_text()).items()}
STORE = open_store(str(golden_values.STORE))


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, pd.DataFrame | pd.Series | pd.Index) or type(one).__module__.startswith("pyarrow"):
        return one.equals(other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other or (one != one and other != other)


@pytest.mark.parametrize("name", STORED)
def test_what_this_version_stored_stays_readable(name: str) -> None:
    value = STORE.read_value(STORED[name])
    assert type(value) is type(golden_values.values()[name])
    assert equal(value, golden_values.values()[name])


@pytest.mark.parametrize("name", golden_values.values())
def test_equal_values_keep_their_content_hash(name: str) -> None:
    assert STORE.hash_value(golden_values.values()[name]) == STORED[name]


@pytest.mark.parametrize("place", ["store", "before_checksums"])
def test_records_and_histories_stay_readable(place: str) -> None:
    store = open_store(str(golden_values.GOLDEN / place))
    assert store.get_result(golden_values.RESULT) == FoundResult({"outputs": {}, "who": "eve"}, "default")
    assert store.deviations(golden_values.RESULT) == [{"who": "bob"}]
    assert set(store.histories(("versions",))) == {golden_values.HISTORY, golden_values.LONG_HISTORY}
    for history in (golden_values.HISTORY, golden_values.LONG_HISTORY):
        assert list(store.entries(history)) == [
            Entry(number, {"after": number - 1 or None, "is": number}) for number in (3, 2, 1)
        ]


def test_the_layout_is_frozen(tmp_path: Path) -> None:
    golden_values.write(tmp_path)
    assert files_below(tmp_path / "store") == files_below(golden_values.STORE)
    for name in files_below(golden_values.STORE):
        assert (tmp_path / "store" / name).read_bytes() == (golden_values.STORE / name).read_bytes()
