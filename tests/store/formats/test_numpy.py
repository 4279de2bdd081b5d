from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.store.formats.round_trip import STORE, round_trip

ARRAYS = [
    np.arange(6.0),
    np.arange(24).reshape(2, 3, 4)[:, ::2],
    np.array(5),
    np.array([], dtype="f4"),
    np.zeros((0, 3), dtype="i2"),
    np.array([True, False]),
    np.array(["a", "bcd", ""]),
    np.array([b"a", b"\0b"]),
    np.array(["2026-01-01", "NaT"], dtype="M8[s]"),
    np.array([1, 2], dtype="m8[D]"),
    np.array([1 + 2j, np.nan]),
    np.arange(3, dtype=">i4"),
    np.array([(1, 2.5, "x")], dtype=[("a", "i4"), ("b", "f8"), ("c", "U3")]),
    np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    np.zeros(2, dtype="V5"),
    np.zeros(2, dtype=[("m", "f4", (2, 2))]),
    np.arange(3, dtype="f2"),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}-{array.shape}")
def test_an_array_comes_back(array: np.ndarray) -> None:
    stored, loaded = round_trip(array)
    assert stored.format == "npy"
    assert stored.summary == {"shape": list(array.shape), "dtype": str(array.dtype)}
    assert loaded.dtype == array.dtype
    assert loaded.flags.writeable
    np.testing.assert_array_equal(loaded, array)


@settings(max_examples=80, deadline=None)
@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0)), st.data())
def test_any_array_any_view_of_it_any_order(array: np.ndarray, data: st.DataObject) -> None:
    view = array[data.draw(hnp.basic_indices(array.shape, allow_newaxis=True))]
    for value in (np.asarray(view), np.asarray(view).T):
        stored, loaded = round_trip(value)
        np.testing.assert_array_equal(loaded, value)
        for twin in (np.ascontiguousarray(value).reshape(value.shape), np.asfortranarray(value).reshape(value.shape)):
            assert STORE.hash_value(twin).content_hash == stored.content_hash


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, "a", None, [2]], dtype=object),
        np.ma.masked_array([1, 2], mask=[True, False]),
        np.array([1.5], dtype="longdouble"),
        np.array(["a"], dtype=np.dtypes.StringDType()),
        np.rec.array([(1, 2)], dtype=[("a", int), ("b", int)]),
    ],
    ids=lambda array: f"{type(array).__name__}-{array.dtype}",
)
def test_what_a_npy_file_cannot_hold_is_pickled(array: Any) -> None:
    stored = STORE.write_value(array)
    loaded = STORE.read_value(stored)
    assert stored.format == "pickle"
    assert type(loaded) is type(array)
    np.testing.assert_array_equal(loaded, array)


def test_numpy_reads_the_file(tmp_path: Any) -> None:
    path = STORE.export_value(STORE.write_value(np.arange(5.0)), tmp_path / "x.npy")
    np.testing.assert_array_equal(np.load(path), np.arange(5.0))
