"""Constants count by type and content: equal values of one type are equal, all others differ."""

import contextlib
import datetime as dt
import decimal
import fractions
import uuid
from collections import OrderedDict, defaultdict, deque
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlrepro.versioning import code_fingerprint, fingerprint


def digest(value: object) -> str:
    def holder() -> object:
        return value

    return code_fingerprint(holder)


def typed(value: object) -> object:
    """A form in which equal means same type and same content."""
    kind = type(value).__name__
    if isinstance(value, dict):
        return kind, [(typed(key), typed(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return kind, [typed(item) for item in value]
    if isinstance(value, set | frozenset):
        return kind, sorted(repr(typed(item)) for item in value)
    return kind, repr(value)


atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(0, 2),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0]),
    st.complex_numbers(),
    st.text(st.characters(codec=None), max_size=6),
    st.binary(max_size=6),
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(atoms, inner, max_size=4),
        st.frozensets(atoms, max_size=4),
        st.sets(atoms, max_size=4),
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(values, values)
def test_fingerprints_are_equal_if_and_only_if_the_values_are(one: object, two: object) -> None:
    assert (digest(one) == digest(two)) == (typed(one) == typed(two))


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=4), values, max_size=5))
def test_a_copy_has_the_same_fingerprint(value: dict[str, object]) -> None:
    import copy

    assert digest(value) == digest(copy.deepcopy(value))


SAMPLES = [
    dt.date(2024, 1, 1),
    dt.datetime(2024, 1, 1),  # noqa: DTZ001
    dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    dt.timedelta(1),
    dt.timedelta(seconds=1),
    dt.time(1),
    decimal.Decimal("1.0"),
    decimal.Decimal("1.00"),
    fractions.Fraction(1, 2),
    uuid.UUID(int=1),
    uuid.UUID(int=2),
    PurePosixPath("a/b"),
    PurePosixPath("a/c"),
    range(3),
    range(4),
    slice(1, 2),
    slice(1, 2, 3),
    deque([1, 2]),
    deque([1, 2], maxlen=2),
    OrderedDict(a=1),
    {"a": 1},
    defaultdict(list, a=1),
    defaultdict(int, a=1),
    bytearray(b"a"),
    b"a",
    "a",
    ("a", "b"),
    ("ab",),
    ["a", "b"],
    int,
    float,
    list[int],
    list[str],
    int | str,
    len,
    "x".upper,
    "y".upper,
    str.upper,
    np.array([1, 2]),
    np.array([1, 2], dtype="i4"),
    np.array([[1, 2]]),
    np.array([1.0, 2.0]),
    np.array(["a", "b"]),
    np.array(["a", "b"], dtype=object),
    np.array(["a", 1], dtype=object),
    np.float64(1),
    np.float32(1),
    np.dtype("f4"),
    np.dtype("f8"),
    np.random.default_rng(1),
    np.random.default_rng(2),
    pd.Timestamp("2024-01-01"),
    pd.Timedelta("1D"),
    pd.DataFrame({"a": [1, 2]}),
    pd.DataFrame({"a": [1, 3]}),
    pd.DataFrame({"b": [1, 2]}),
    pd.DataFrame({"a": [1, 2]}, index=[1, 2]),
    pd.DataFrame({"a": [1.0, 2.0]}),
    pd.DataFrame({"a": pd.Categorical(["x", "y"])}),
    pd.DataFrame({"a": pd.Categorical(["x", "y"], categories=["y", "x"])}),
    pd.Series([1, 2], name="a"),
    pd.Series([1, 2], name="b"),
    pd.Index([1, 2]),
    pa.table({"a": [1, 2]}),
    pa.table({"a": [1, 3]}),
    pa.array([1, 2]),
    pa.array([1, 2], pa.int32()),
    pa.int32(),
    pa.int64(),
]


def test_values_of_many_types_are_all_told_apart() -> None:
    seen: dict[str, object] = {}
    for sample in SAMPLES:
        found = digest(sample)
        assert found not in seen, f"{sample!r} and {seen[found]!r} have one fingerprint"
        seen[found] = sample


@pytest.mark.parametrize("sample", SAMPLES, ids=[f"{number} {type(it).__name__}" for number, it in enumerate(SAMPLES)])
def test_a_value_pickled_and_back_has_the_same_fingerprint_and_no_report(sample: object) -> None:
    import copy
    import pickle

    def holder(value: object) -> object:
        def inner() -> object:
            return value

        return fingerprint(inner)

    first = holder(sample)
    assert first.reports == ()  # type: ignore[attr-defined]
    with contextlib.suppress(TypeError, pickle.PicklingError):
        assert holder(pickle.loads(pickle.dumps(sample))) == first
    assert holder(copy.deepcopy(sample)) == first


def test_looking_at_a_frame_does_not_change_its_fingerprint() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [1.5, 2.5]})
    before = digest(frame)
    frame.loc[0]
    frame["a"].is_unique
    frame.index.get_loc(1)
    frame.columns.is_unique
    len(frame[frame["a"] > 1])
    assert digest(frame) == before


def test_memory_order_and_slices_do_not_count() -> None:
    array = np.arange(12).reshape(3, 4)
    assert digest(np.asfortranarray(array)) == digest(array)
    assert digest(array[:, ::2]) == digest(array[:, ::2].copy())
    table = pa.table({"a": [1, 2, 3]})
    assert digest(table.slice(1, 2)) == digest(pa.table({"a": [2, 3]}))


def test_containers_that_hold_themselves() -> None:
    def cyclic(last: int) -> list[object]:
        items: list[object] = [1, last]
        items.append(items)
        return items

    assert digest(cyclic(1)) == digest(cyclic(1))
    assert digest(cyclic(1)) != digest(cyclic(2))


def test_a_chain_longer_than_the_recursion_limit() -> None:
    def chain(last: int) -> list[object]:
        items: list[object] = [last]
        for _ in range(5000):
            items = [items]
        return items

    assert digest(chain(1)) == digest(chain(1))
    assert digest(chain(1)) != digest(chain(2))


def test_all_nans_are_one() -> None:
    assert digest(float("nan")) == digest(-float("nan"))
