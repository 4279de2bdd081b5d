import collections
import enum
import functools
import threading
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from mlrepro.errors import StoreError, UnknownFormatError, UnstorableValueError
from mlrepro.store import format_names
from tests.store.data_cases import Estimator, Point
from tests.store.formats.round_trip import STORE, round_trip


class Colour(enum.Enum):
    RED = 1


class Node:
    def __init__(self, name: str) -> None:
        self.name, self.next = name, None


class Pair(NamedTuple):
    a: Any
    b: Any


def double(x: float) -> float:
    return 2 * x


def test_a_scikit_learn_model_predicts_the_same_after_a_round_trip() -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    random = np.random.default_rng(0)
    inputs, wanted = random.random((60, 4)), random.integers(0, 2, 60)
    hashes = set()
    for _ in range(2):
        model = pipeline.make_pipeline(
            preprocessing.StandardScaler(), ensemble.RandomForestClassifier(5, random_state=0)
        ).fit(inputs, wanted)
        stored, loaded = round_trip(model)
        np.testing.assert_array_equal(loaded.predict_proba(inputs), model.predict_proba(inputs))
        hashes.add(stored.content_hash)
    assert len(hashes) == 1, "fitting the same twice gives the same bytes"
    assert stored.format == "pickle"
    assert "sklearn.ensemble._forest:RandomForestClassifier" in stored.references


@pytest.mark.parametrize(
    "name", ["GradientBoostingRegressor", "HistGradientBoostingClassifier", "ExtraTreesClassifier"]
)
def test_other_estimators_fitted_twice(name: str) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    random = np.random.default_rng(0)
    inputs, wanted = random.random((60, 4)), random.integers(0, 2, 60)
    models = [getattr(ensemble, name)(random_state=0).fit(inputs, wanted) for _ in range(2)]
    stored, loaded = round_trip(models[0])
    assert STORE.hash_value(models[1]).content_hash == stored.content_hash
    np.testing.assert_array_equal(loaded.predict(inputs), models[0].predict(inputs))


def test_the_code_that_a_pickle_names_is_listed_without_builtins() -> None:
    stored, loaded = round_trip(
        Estimator(kind=int, call=double, colour=Colour.RED, point=Point(1), at=functools.partial(double, 2.0))
    )
    module = "tests.store.formats.test_pickle_value"
    assert stored.references == (
        "functools:partial",
        "tests.store.data_cases:Estimator",
        "tests.store.data_cases:Point",
        f"{module}:Colour",
        f"{module}:double",
    )
    assert loaded.at() == 4.0
    assert loaded.colour is Colour.RED


@pytest.mark.parametrize(
    "value",
    [
        Pair(1, [2]),
        Colour.RED,
        collections.Counter("abca"),
        collections.defaultdict(list, a=[1]),
        collections.deque([1, 2], maxlen=3),
        Point(1, (2, {3})),
        [Point(1), {"a": Point(2)}],
        double,
        slice(1, 2),
        Ellipsis,
        NotImplemented,
        type(None),
        int,
        ValueError("a", 1),
        frozenset({(1, frozenset({"a"}))}),
        {Pair(1, 2), Pair(0, 5)},
        np.random.default_rng(3),
        memoryview(b"abc").tobytes(),
        bytearray(b""),
        [bytearray(b""), bytearray(b""), b"", b""],
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_picklable_value_comes_back(value: Any) -> None:
    _, loaded = round_trip(value)
    assert type(loaded) is type(value)
    assert repr(loaded) == repr(value) or isinstance(value, np.random.Generator)


def test_objects_that_know_each_other_still_do() -> None:
    one, other = Node("one"), Node("other")
    one.next, other.next = other, one
    _, loaded = round_trip([one, other])
    assert loaded[0].next is loaded[1]
    assert loaded[1].next is loaded[0]


def test_long_chains_are_no_problem() -> None:
    first = last = Node("0")
    for number in range(1, 700):
        last.next = Node(str(number))
        last = last.next
    _, loaded = round_trip(first)
    assert loaded.next.next.name == "2"


def test_frames_inside_objects_count_by_content() -> None:
    frame = pd.DataFrame({"x": np.arange(4), "y": 1.5})
    apart = frame[["x"]].assign(y=frame.y)
    hashes = [STORE.hash_value(Estimator(train=data)).content_hash for data in (frame, apart)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (lambda: 1, "builtins:function"),
        ((number for number in range(3)), "builtins:generator"),
        (threading.Lock(), "_thread:lock"),
        ({"deep": [lambda: 1]}, "builtins:dict"),
        ([np.arange(3), lambda: 1], "builtins:list"),
        (Estimator(lock=threading.Lock()), r"tests.store.data_cases:Estimator"),
    ],
    ids=["lambda", "generator", "lock", "lambda in a dict", "lambda beside an array", "lock in an object"],
)
def test_what_cannot_be_stored_is_one_clear_error(value: Any, told: str) -> None:
    expected = rf"type {told} cannot be stored: .*Return plain data"
    with pytest.raises(UnstorableValueError, match=expected):
        STORE.write_value(value)


def test_an_open_file_is_refused(tmp_path: Any) -> None:
    with (tmp_path / "x").open("w") as file, pytest.raises(UnstorableValueError, match="cannot be stored"):
        STORE.write_value(file)


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(UnknownFormatError, match=r"no format 'parket'\. Known: arrow, bytes, .*parquet"):
        STORE.write_value(1, format="parket")
    assert "safetensors" in format_names()


@pytest.mark.parametrize(
    ("value", "format_name"),
    [
        (1, "arrow"),
        ("a", "npy"),
        (1, "bytes"),
        (object, "json"),
        (b"a", "text"),
        ([1], "tree"),
        (1, "file"),
        ("a", "folder"),
        (1, "safetensors"),
        (1, "parquet"),
    ],
)
def test_a_format_that_cannot_hold_the_value_says_so(value: Any, format_name: str) -> None:
    if format_name == "safetensors":
        pytest.importorskip("torch")
    with pytest.raises(UnstorableValueError, match=f"cannot be stored as '{format_name}'"):
        STORE.write_value(value, format=format_name)


def test_anything_can_be_pickled_on_request() -> None:
    for value in ({"a": 1}, "text", None, pd.DataFrame({"x": [1]}), np.arange(3)):
        stored, loaded = round_trip(value, format="pickle")
        assert stored.format == "pickle"
        assert repr(loaded) == repr(value)


def test_a_pickle_whose_code_is_gone_says_so() -> None:
    global Gone
    Gone = type("Gone", (), {"__module__": __name__})
    stored = STORE.write_value(Gone())
    del Gone
    with pytest.raises(StoreError, match=r"cannot be loaded here: AttributeError: .*Gone"):
        STORE.read_value(stored)
