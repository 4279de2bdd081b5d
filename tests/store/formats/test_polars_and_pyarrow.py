import datetime as dt
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from mlrepro.store import loads_as
from tests.store.formats.round_trip import STORE, round_trip

pl = pytest.importorskip("polars")
from polars.testing import assert_frame_equal, assert_series_equal  # noqa: E402

FRAME = pl.DataFrame(
    {
        "i": [1, None, 3],
        "s": ["a", None, "é"],
        "l": [[1], None, [2, 3]],
        "d": [dt.date(2026, 1, 1), None, dt.date(2026, 1, 3)],
        "t": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * 3,
        "c": pl.Series(["a", "b", "a"], dtype=pl.Categorical),
        "e": pl.Series(["a", "b", None], dtype=pl.Enum(["b", "a"])),
        "st": [{"x": 1, "y": "a"}, {"x": None, "y": None}, None],
        "b": [b"a", None, b""],
        "dur": [dt.timedelta(1), None, dt.timedelta(2)],
        "f": [1.5, float("nan"), None],
        "arr": pl.Series([[1, 2], [3, 4], None], dtype=pl.Array(pl.Int16, 2)),
        "null": [None, None, None],
    }
)


@pytest.mark.parametrize("frame", [FRAME, FRAME.clear(), FRAME.slice(1, 1), pl.DataFrame(), pl.concat([FRAME, FRAME])])
def test_a_polars_frame_comes_back(frame: Any) -> None:
    stored, loaded = round_trip(frame)
    assert stored.format == "arrow"
    assert stored.python_type == "polars:DataFrame"
    assert loaded.schema == frame.schema
    assert_frame_equal(loaded, frame)


def test_polars_chunks_and_slices_do_not_count() -> None:
    pieces = pl.concat([FRAME.slice(0, 1), FRAME.slice(1)], rechunk=False)
    assert STORE.hash_value(pieces).content_hash == STORE.hash_value(FRAME).content_hash


def test_series_and_lazy_frames_come_back() -> None:
    _, series = round_trip(FRAME["s"])
    assert_series_equal(series, FRAME["s"])
    stored, lazy = round_trip(FRAME.lazy())
    assert stored.python_type == "polars:LazyFrame"
    assert_frame_equal(lazy.collect(), FRAME)


def test_objects_in_polars_are_pickled_or_refused_as_a_whole() -> None:
    frame = pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)})
    with pytest.raises(Exception, match="cannot be stored"):
        STORE.write_value(frame)


def test_pyarrow_tables_and_batches_come_back() -> None:
    table = FRAME.select("i", "s", "l").to_arrow().replace_schema_metadata({"of": "the user"})
    stored, loaded = round_trip(table)
    assert stored.python_type == "pyarrow:Table"
    assert loaded.equals(table, check_metadata=True)
    batch = pa.record_batch({"x": [1, None]})
    _, loaded = round_trip(batch)
    assert loaded.equals(batch)
    empty = pa.table({"x": pa.array([], pa.int8())})
    assert round_trip(empty)[1].equals(empty)


@pytest.mark.parametrize("wanted", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.Table, pa.RecordBatch])
@pytest.mark.parametrize(
    "frame",
    [pd.DataFrame({"x": [1, 2], "s": ["a", "b"]}), FRAME.select("i"), pa.table({"x": [1]})],
    ids=["pandas", "polars", "pyarrow"],
)
def test_what_one_library_stored_another_can_load(frame: Any, wanted: type) -> None:
    stored = STORE.write_value(frame)
    assert type(STORE.read_value(stored, as_type=wanted)) is wanted
    assert loads_as(stored.format, wanted) is not None
    assert type(STORE.read_value(stored, as_type=dict)) is type(frame)
    assert loads_as(stored.format, dict) is None
    assert loads_as(stored.format, None) is None
