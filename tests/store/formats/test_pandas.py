import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import pandas as hpd
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal

from tests.store.formats.round_trip import STORE, round_trip

DAYS = pd.date_range("2026-01-01", periods=5)
COLUMNS: dict[str, Any] = {
    "int": np.arange(5),
    "float": [1, np.nan, 3, np.inf, -0.0],
    "half": np.arange(5, dtype="f2"),
    "single": np.arange(5, dtype="f4"),
    "byte": np.arange(5, dtype="i1"),
    "unsigned": np.array([0, 1, 2, 3, 2**64 - 1], dtype="u8"),
    "bool": [True, False, True, False, True],
    "text": ["a", None, "", "é", "x" * 100],
    "text object": pd.Series(["a", "b", "c", "d", "e"], dtype=object),
    "text object with None": pd.Series(["a", None, "", "é", "x"], dtype=object),
    "text object with nan": pd.Series(["a", np.nan, "", "é", "x"], dtype=object),
    "mixed object": pd.Series([1, "1", None, [1, {"k": (2,)}], True], dtype=object),
    "lists of one length": pd.Series([[1, 2], [3, 4], [], [5], [6]], dtype=object),
    "bytes": pd.Series([b"a", b"", b"\xff", b"x", b"y"], dtype=object),
    "bools and None": pd.Series([True, None, False, True, None], dtype=object),
    "decimal": pd.Series([Decimal("1.10"), None, *map(Decimal, "123")], dtype=object),
    "date": pd.Series([dt.date(2026, 1, day) for day in range(1, 6)], dtype=object),
    "pandas scalars": pd.Series(
        [pd.NA, pd.NaT, pd.Timestamp("2026-01-01", tz="UTC"), pd.Timedelta("1h"), None], dtype=object
    ),
    "surrogate": pd.Series(["\ud800", "a", "b", "c", "d"], dtype=object),
    "time": DAYS,
    "time with a gap": pd.to_datetime(["2026-01-01", None, "2026-01-03", None, "1700-01-01"]),
    "time in seconds": np.arange(5).astype("M8[s]"),
    "time in nanoseconds": np.arange(5).astype("M8[ns]"),
    "zone": pd.date_range("2026-03-28", periods=5, tz="Europe/Berlin"),
    "utc": pd.date_range("2026-03-28", periods=5, tz="UTC"),
    "duration": pd.to_timedelta([1, 2, None, 3, 4], unit="s"),
    "category": pd.Categorical([*"abca", None], categories=["c", "b", "a", "unused"], ordered=True),
    "category of numbers": pd.Categorical([3, 1, 2, 1, 3]),
    "category of objects": pd.Categorical(pd.Series([1, "a", 2, "a", 1], dtype=object)),
    "category of days": pd.Categorical(DAYS),
    "bins": pd.cut([1.0, 2.0, 3.0, 4.0, np.nan], 3),
    "nullable int": pd.array([1, None, 3, 2**60 + 1, 5], dtype="Int64"),
    "nullable bool": pd.array([True, None, False, True, None], dtype="boolean"),
    "nullable float": pd.array([1.5, None, 3, 4, 5], dtype="Float32"),
    "string": pd.array(["a", None, "b", "", "d"], dtype="string"),
    "python string": pd.array(["a", None, "b", "", "d"], dtype=pd.StringDtype("python")),
    "period": pd.period_range("2026-01", periods=5, freq="M"),
    "interval": pd.IntervalIndex.from_breaks(range(6)),
    "arrow int": pd.array([1, None, 3, 4, 5], dtype="int64[pyarrow]"),
    "arrow list": pd.array([[1], None, [], [2, 3], [4]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
}


def check(value: Any, wanted: str = "arrow") -> Any:
    stored, loaded = round_trip(value)
    assert stored.format == wanted
    assert type(loaded) is type(value)
    if isinstance(value, pd.DataFrame):
        assert_frame_equal(loaded, value, check_exact=True, check_freq=True, check_flags=True, check_index_type=True)
        assert_index_equal(loaded.columns, value.columns, exact=True)
    elif isinstance(value, pd.Series):
        assert_series_equal(loaded, value, check_exact=True, check_freq=True, check_flags=True, check_index_type=True)
    else:
        assert_index_equal(loaded, value, exact=True)
        return loaded
    assert type(loaded.index) is type(value.index)
    assert loaded.attrs == value.attrs
    return loaded


@pytest.mark.parametrize("name", COLUMNS)
def test_column(name: str) -> None:
    frame = pd.DataFrame({name: COLUMNS[name]})
    check(frame)
    check(frame[name])
    check(frame.iloc[:0])
    check(frame.iloc[1:4].reset_index(drop=True))
    check(frame.assign(other=1.5, third=2)[[name, "other", "third"]])


def test_all_columns_at_once() -> None:
    frame = pd.DataFrame(COLUMNS)
    loaded = check(frame)
    assert list(map(type, loaded["mixed object"])) == list(map(type, frame["mixed object"]))
    assert loaded["text object with None"][1] is None


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(5),
        pd.RangeIndex(5, 15, 2, name="r"),
        pd.Index([0, 1, 2, 3, 4]),
        pd.Index(list("abcde"), name=("a", 1)),
        pd.Index([1, "a", None, 2.5, (1, 2)], dtype=object),
        pd.date_range("2026-01-01", periods=5, freq="h", name="hour"),
        DAYS._with_freq(None),
        pd.date_range("2026-03-28", periods=5, tz="Europe/Berlin"),
        pd.timedelta_range("1h", periods=5),
        pd.period_range("2026-01", periods=5, freq="M"),
        pd.CategoricalIndex(list("ababc")),
        pd.IntervalIndex.from_breaks(range(6)),
        pd.Index([1.5, np.nan, 2, 3, 4]),
        pd.MultiIndex.from_product([["a"], DAYS._with_freq(None)], names=["x", None]),
        pd.MultiIndex.from_arrays([[1, 1, 2, 2, 3], [*"abc", None, "d"], pd.Categorical(list("xyxyx"))]),
    ],
    ids=lambda index: f"{type(index).__name__}-{index.dtype}",
)
def test_index(index: pd.Index) -> None:
    check(pd.DataFrame({"x": range(5)}, index=index))
    check(pd.Series(range(5), index=index, name="s"))
    check(pd.DataFrame(index=index))
    check(index)


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "a", "b"],
        [1, "a", None],
        [0, 1, 2],
        [1.5, np.nan, 2.0],
        [("a", 1), ("b", 2), "c"],
        ["0", "__index_0__", "é"],
        ["", " ", "\0"],
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["l", None]),
        pd.date_range("2026-01-01", periods=3, freq="D", name="day"),
        pd.date_range("2026-01-01", periods=3, tz="UTC"),
        pd.Index(["a", "b", "c"], dtype=object, name="object"),
        pd.Index([True, False, True]),
        pd.Index(["a", None, "b"]),
    ],
    ids=str,
)
def test_column_labels(labels: Any) -> None:
    frame = pd.DataFrame(np.arange(6).reshape(2, 3))
    frame.columns = labels
    check(frame)
    check(frame.assign(extra="text"))


def test_what_belongs_to_a_frame_besides_its_cells() -> None:
    frame = pd.DataFrame({"x": [1]})
    frame.attrs = {"unit": ("m", {1: None})}
    check(frame)
    check(frame.set_flags(allows_duplicate_labels=False))
    for empty in (
        pd.DataFrame(),
        pd.DataFrame({"a": []}),
        pd.DataFrame(columns=["a", "b"]),
        pd.Series([], dtype=float),
    ):
        check(empty)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"c": [1 + 2j]}),
        pd.DataFrame({"types": [int]}),
        pd.DataFrame({"sparse": pd.arrays.SparseArray([0, 0, 1])}),
        pd.DataFrame({"big endian": np.arange(2, dtype=">i4")}),
        pd.DataFrame({"x": [1]}, columns=pd.CategoricalIndex(["x"])),
        pd.DataFrame(
            {"offsets": pd.date_range("2026-01-01", periods=2, tz=dt.timezone(dt.timedelta(minutes=3), "odd"))}
        ),
    ],
    ids=lambda frame: str(frame.columns[0]),
)
def test_what_arrow_would_change_is_pickled_instead(frame: pd.DataFrame) -> None:
    check(frame, wanted="pickle")


def test_arrays_in_cells_are_pickled() -> None:
    frame = pd.DataFrame({"embedding": [np.arange(3.0), np.arange(3.0)]})
    stored, loaded = round_trip(frame)
    assert stored.format == "pickle"
    np.testing.assert_array_equal(loaded["embedding"][0], np.arange(3.0))


@settings(max_examples=60, deadline=None)
@given(
    hpd.data_frames(
        [
            hpd.column("i", dtype="int64"),
            hpd.column("f", dtype="float32"),
            hpd.column("s", elements=st.text() | st.none(), dtype=object),
            hpd.column("t", dtype="M8[ns]"),
            hpd.column("o", elements=st.booleans() | st.integers() | st.text(), dtype=object),
        ],
        index=hpd.range_indexes() | hpd.indexes(dtype="int64"),
    ),
    st.integers(0, 10),
    st.integers(0, 10),
)
def test_any_frame_and_any_slice_of_it(frame: pd.DataFrame, start: int, stop: int) -> None:
    check(frame)
    part = frame.iloc[start:stop]
    check(part)
    assert STORE.hash_value(part).content_hash == STORE.hash_value(part.copy()).content_hash


def test_a_loaded_frame_can_be_changed() -> None:
    _, loaded = round_trip(pd.DataFrame({"x": np.arange(200_000), "y": 1.5, "s": "text"}))
    loaded["x"] += 1
    loaded.loc[3, "y"] = 2.5
    loaded.loc[3, "s"] = "other"
    loaded["y"].to_numpy().sum()
    assert loaded.loc[3].tolist() == [4, 2.5, "other"]


def test_a_subclass_keeps_its_class() -> None:
    stored, loaded = round_trip(Special({"x": [1]}))
    assert stored.format == "pickle"
    assert type(loaded) is Special


class Special(pd.DataFrame):
    @property
    def _constructor(self) -> type:
        return Special


def test_parquet_on_request() -> None:
    frame = pd.DataFrame({name: COLUMNS[name] for name in ("int", "float", "text", "category", "zone", "mixed object")})
    stored = STORE.write_value(frame, format="parquet")
    assert_frame_equal(STORE.read_value(stored), frame, check_exact=True)


def test_others_can_read_the_file(tmp_path: Any) -> None:
    frame = pd.DataFrame({"x": [1, 2], "s": ["a", None]})
    path = STORE.export_value(STORE.write_value(frame), tmp_path / "frame.arrow")
    with pa.memory_map(str(path)) as file:
        assert pa.ipc.open_file(file).read_all().to_pydict() == {"x": [1, 2], "s": ["a", None]}
