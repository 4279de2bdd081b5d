import collections
import datetime as dt
import json
import math
import struct
import uuid
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.formats.round_trip import STORE, round_trip

ZONES = st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=-3)), zoneinfo.ZoneInfo("Europe/Berlin")])
HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=ZONES)
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.uuids()
    | st.complex_numbers(allow_nan=False)
    | st.sampled_from([2**63, -(2**63), 2**64, -(10**4000), math.inf, "$", "nan", ""]),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=5)
        | st.dictionaries(st.sampled_from(["$", "a", "v", "b"]), inner, max_size=5)
        | st.sets(HASHABLE, max_size=5)
        | st.binary().map(bytearray)
    ),
    max_leaves=15,
)


def typed(value: Any) -> Any:
    """A value with all of its types spelled out, so that == tells 1, 1.0 and True, list and tuple apart."""
    kind = type(value)
    if kind is float:
        return (kind, "nan" if math.isnan(value) else struct.pack("<d", value))
    if kind is complex:
        return (kind, typed(value.real), typed(value.imag))
    if kind in {list, tuple}:
        return (kind, [typed(item) for item in value])
    if kind in {set, frozenset}:
        return (kind, sorted((typed(item) for item in value), key=repr))
    if kind in {dict, collections.OrderedDict}:
        return (kind, [(typed(key), typed(item)) for key, item in value.items()])
    if kind is Decimal:
        return (kind, value.as_tuple())
    if kind in {dt.datetime, dt.time}:
        return (kind, value.replace(tzinfo=None), value.fold, repr(value.tzinfo))
    return (kind, value)


@given(VALUES)
def test_json_like_values_come_back_with_all_their_types(value: Any) -> None:
    stored, loaded = round_trip(value)
    assert stored.format in {"json", "bytes"}
    assert typed(loaded) == typed(value)


@given(VALUES, VALUES)
def test_equal_values_have_equal_bytes_and_different_ones_never(one: Any, other: Any) -> None:
    hashes = [STORE.hash_value(value, format="json").content_hash for value in (one, other)]
    assert (hashes[0] == hashes[1]) == (typed(one) == typed(other))


@pytest.mark.parametrize(
    "value",
    [
        range(1, 10, 3),
        Decimal("1.10"),
        Decimal("NaN"),
        Fraction(1, 3),
        uuid.UUID(int=5),
        collections.OrderedDict([(1, 2), ("a", [])]),
        dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        {(1, "a"): {2: {3}}},
        [[], (), {}, set(), "", b"", None],
        2**20_000,
        "x" * 1_000_000,
        list(range(10_000)),
        [0.5] * 10_000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_unusual_values(value: Any) -> None:
    stored, loaded = round_trip(value)
    assert stored.format == "json"
    assert typed(loaded) == typed(value)


@pytest.mark.parametrize(
    "value",
    [
        np.float64(0.1), np.float32(0.1), np.float16(0.1), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True),
        np.str_("a"), np.datetime64("2026-01-01T00:00:01", "s"), np.timedelta64(3, "D"), np.float64("nan"),
        np.datetime64("NaT", "ns"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_numpy_scalars_keep_their_type(value: Any) -> None:
    stored, loaded = round_trip({"metric": value})
    assert stored.format == "json"
    assert type(loaded["metric"]) is type(value)
    assert loaded["metric"].dtype == value.dtype
    assert loaded["metric"] == value or value != value


@pytest.mark.parametrize(
    "value",
    [
        pd.Timestamp("2026-01-01T00:00:00.000000001"),
        pd.Timestamp("2026-10-25T00:30Z").tz_convert("Europe/Berlin"),
        pd.Timestamp("2026-10-25T01:30Z").tz_convert("Europe/Berlin"),
        pd.Timestamp("2026-01-01", tz=dt.timezone(dt.timedelta(hours=-3))),
        pd.Timedelta("1h"),
        pd.NaT,
        pd.NA,
    ],
    ids=repr,
)
def test_pandas_scalars_keep_their_type(value: Any) -> None:
    stored, loaded = round_trip({"since": value})
    # Before pandas 3 a named zone is pytz's, which only a pickle can hold.
    assert stored.format == ("json" if pd.__version__ >= "3" or "Berlin" not in repr(value) else "pickle")
    assert type(loaded["since"]) is type(value)
    assert repr(loaded["since"]) == repr(value)
    assert getattr(loaded["since"], "unit", None) == getattr(value, "unit", None)
    assert loaded["since"] is value or loaded["since"] == value


def test_what_json_can_say_is_said_in_plain_json() -> None:
    value = {"auc": 0.5, "n": 3, "names": ["a", None, True], "é": {}}
    stored, _ = round_trip(value)
    assert json.loads(STORE.read_bytes(stored.content_hash)) == value


def test_a_container_that_holds_itself_is_pickled() -> None:
    value: list[Any] = [1]
    value.append(value)
    stored, loaded = round_trip(value)
    assert stored.format == "pickle"
    assert loaded[1] is loaded
