"""Pairs of values that a content hash must, or must not, tell apart."""

import collections
import dataclasses
import datetime as dt
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

Case = tuple[str, str, Any, Any]
"""What the pair shows, "same" or "diff", and the two values."""


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 0


class Estimator:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


def reloaded(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value, 5))


def cases() -> list[Case]:
    s, s2 = ("".join(["long", "string", "x" * 30]) for _ in range(2))
    df = pd.DataFrame({"x": np.arange(6), "y": np.linspace(0, 1, 6), "s": ["a", "b", "c", "d", "e", "f"]})
    view = df.iloc[1:4].reset_index(drop=True)
    fresh = pd.DataFrame({"x": [1, 2, 3], "y": df.y.iloc[1:4].to_numpy().copy(), "s": ["b", "c", "d"]})
    twins = {"k": [s, s], "n": {s: s2}}
    return [
        ("list of one string twice vs two equal strings", "same", [s, s], [s, s2]),
        ("dict, same content, pickled and reloaded", "same", twins, reloaded(twins)),
        ("df, pickled and reloaded", "same", df, reloaded(df)),
        ("df, filtered view vs fresh copy", "same", view, fresh),
        ("df, blocks consolidated or not", "same", df, df[["x"]].assign(y=df.y, s=df.s)),
        ("np slice view vs contiguous copy", "same", np.arange(12.0)[::2], np.arange(12.0)[::2].copy()),
        (
            "np C vs Fortran order",
            "same",
            np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            np.arange(6.0).reshape(2, 3),
        ),
        ("set built in other order", "same", {1, 9, 17, 25}, {25, 17, 9, 1}),
        ("set of str", "same", {"alpha", "beta", "gamma", "delta"}, {"delta", "gamma", "alpha", "beta"}),
        ("dict key order", "diff", {"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ("column rename", "diff", df, df.rename(columns={"x": "z"})),
        ("column order", "diff", df, df[["y", "x", "s"]]),
        (
            "duplicate index, other rows",
            "diff",
            pd.DataFrame({"x": [1, 2, 3]}, index=[0, 0, 0]),
            pd.DataFrame({"x": [9, 9, 3]}, index=[0, 0, 0]),
        ),
        ("row order", "diff", df, df.iloc[::-1]),
        ("index values", "diff", df, df.set_axis([1, 2, 3, 4, 5, 6])),
        (
            "int64 vs int32 column",
            "diff",
            pd.DataFrame({"x": np.arange(3)}),
            pd.DataFrame({"x": np.arange(3, dtype="int32")}),
        ),
        ("np reshape", "diff", np.arange(6.0), np.arange(6.0).reshape(2, 3)),
        ("np dtype reinterpreted", "diff", np.arange(6.0), np.arange(6.0).view("int64")),
        ("1 vs '1'", "diff", 1, "1"),
        ("1 vs True", "diff", 1, True),
        ("1 vs 1.0", "diff", 1, 1.0),
        ("[1, 2] vs (1, 2)", "diff", [1, 2], (1, 2)),
        ("0.0 vs -0.0", "diff", 0.0, -0.0),
        ("None vs 'None'", "diff", None, "None"),
        ("['ab', 'c'] vs ['a', 'bc']", "diff", ["ab", "c"], ["a", "bc"]),
        (
            "str vs categorical",
            "diff",
            pd.DataFrame({"s": ["a", "b"]}),
            pd.DataFrame({"s": pd.Categorical(["a", "b"])}),
        ),
        *_plain_cases(),
        *_array_cases(),
        *_frame_cases(df),
        *_arrow_cases(),
        *_object_cases(s, s2),
    ]


def _plain_cases() -> list[Case]:
    return [
        ("nan of another sign", "same", float("nan"), -float("nan")),
        ("int keys vs str keys", "diff", {1: 2}, {"1": 2}),
        ("1 vs True as keys", "diff", {1: 2}, {True: 2}),
        ("set vs frozenset", "diff", {1}, frozenset({1})),
        ("bytes vs str", "diff", b"a", "a"),
        ("bytes vs bytearray in a list", "diff", [b"a"], [bytearray(b"a")]),
        ("None vs empty list", "diff", None, []),
        ("empty list vs empty tuple vs empty dict", "diff", [], {}),
        ("a dict that looks like our own tag", "diff", (1,), {"$": "tuple", "v": [1]}),
        ("naive vs aware datetime", "diff", dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),  # noqa: DTZ001
        ("date vs its text", "diff", dt.date(2026, 1, 1), "2026-01-01"),
        ("numpy float vs float", "diff", {"auc": np.float64(0.5)}, {"auc": 0.5}),
        ("numpy float of other width", "diff", np.float32(0.5), np.float64(0.5)),
        ("OrderedDict vs dict", "diff", collections.OrderedDict(a=1), {"a": 1}),
        ("nested sets of tuples", "same", {(1, "a"), (2, "b")}, {(2, "b"), (1, "a")}),
    ]


def _array_cases() -> list[Case]:
    padded = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    one, other = np.zeros(3, padded), np.frombuffer(b"\xff" * 3 * padded.itemsize, padded).copy()
    for name in padded.names or ():
        other[name] = one[name]
    odd_nan = np.array([0x7FF8000000000001, 0xFFF8000000000000], "u8").view("f8")
    return [
        ("garbage in the padding of a structured array", "same", one, other),
        ("nan payloads", "same", np.array([np.nan, np.nan]), odd_nan),
        ("byte order", "diff", np.arange(3, dtype="<i4"), np.arange(3, dtype=">i4")),
        ("no values of another shape", "diff", np.zeros((0, 3)), np.zeros((3, 0))),
        ("scalar vs one element", "diff", np.array(1.0), np.array([1.0])),
        ("transposed view vs copy", "same", np.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T.copy()),
        ("object arrays", "same", np.array([1, "a", None], object), np.array([1, "a", None], object)),
        ("list of arrays", "same", [np.arange(4.0)[::2]], [np.array([0.0, 2.0])]),
    ]


def _frame_cases(df: pd.DataFrame) -> list[Case]:
    indexed = pd.DataFrame({"x": [1, 2]})
    masked, dirty = pd.array([1, None], dtype="Int64"), pd.array([1, 7], dtype="Int64")
    dirty._mask[1] = True  # type: ignore[attr-defined]
    wide = pd.DataFrame(np.arange(12.0).reshape(3, 4), columns=list("abcd"))
    return [
        ("range index vs equal integers", "diff", indexed, indexed.set_axis(pd.Index([0, 1]))),
        ("index name", "diff", indexed, indexed.rename_axis("i")),
        ("columns name", "diff", indexed, indexed.rename_axis(columns="i")),
        ("attrs", "diff", indexed, _with_attrs(indexed, {"unit": "m"})),
        ("equal attrs", "same", _with_attrs(indexed, {"unit": "m"}), _with_attrs(indexed, {"unit": "m"})),
        ("garbage under a missing value", "same", pd.DataFrame({"x": masked}), pd.DataFrame({"x": dirty})),
        (
            "missing value vs zero",
            "diff",
            pd.DataFrame({"x": masked}),
            pd.DataFrame({"x": pd.array([1, 0], dtype="Int64")}),
        ),
        ("duplicate column names", "diff", _named(wide, list("aabb")), _named(wide, list("abab"))),
        ("column labels 1 vs '1'", "diff", _named(wide, [0, 1, 2, 3]), _named(wide, list("0123"))),
        (
            "row slice of one block vs columns apart",
            "same",
            wide.iloc[:2],
            pd.DataFrame({c: wide[c].iloc[:2] for c in wide}),
        ),
        ("categories in another order", "diff", *(pd.Series(pd.Categorical(["a"], list(c))) for c in ("ab", "ba"))),
        ("ordered or not", "diff", *(pd.Series(pd.Categorical(["a"], ordered=o)) for o in (True, False))),
        ("unused category", "diff", *(pd.Series(pd.Categorical(["a"], list(c))) for c in ("ab", "a"))),
        ("other time zone, same instant", "diff", *(_instant(zone) for zone in ("UTC", "Europe/Berlin"))),
        ("other time unit", "diff", *(pd.Series(pd.to_datetime(["2026-01-01"])).dt.as_unit(u) for u in ("s", "ns"))),
        ("series vs frame", "diff", df["x"], df[["x"]]),
        ("series name", "diff", df["x"], df["x"].rename("q")),
        ("dict of frames, reloaded", "same", {"a": df, "b": [df]}, reloaded({"a": df, "b": [df]})),
        ("list of frames, order", "diff", [df, df.head(1)], [df.head(1), df]),
        ("object column 1 vs '1'", "diff", *(pd.DataFrame({"x": pd.Series([v, "a"], dtype=object)}) for v in (1, "1"))),
        (
            "None vs nan in an object column",
            "diff",
            *(pd.DataFrame({"x": pd.Series([v, "a"], dtype=object)}) for v in (None, np.nan)),
        ),
        ("multi index, reloaded", "same", df.set_index(["s", "x"]), reloaded(df.set_index(["s", "x"]))),
        (
            "multi index with unused levels",
            "same",
            df.set_index(["s", "x"]).iloc[:2],
            df.iloc[:2].set_index(["s", "x"]),
        ),
        ("empty frames of other dtypes", "diff", df.iloc[:0], df.iloc[:0].astype({"x": "int8"})),
    ]


def _named(frame: pd.DataFrame, labels: list[Any]) -> pd.DataFrame:
    return frame.set_axis(labels, axis=1)


def _with_attrs(frame: pd.DataFrame, attrs: dict[str, Any]) -> pd.DataFrame:
    frame = frame.copy()
    frame.attrs = attrs
    return frame


def _instant(zone: str) -> pd.Series:
    return pd.Series(pd.to_datetime(["2026-01-01T00:00:00Z"]).tz_convert(zone))


def _arrow_cases() -> list[Case]:
    table = pa.table({"x": [1, 2, None, 4], "s": ["a", None, "ccc", "d"], "l": [[1], None, [2, 3], []]})
    chunks = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    return [
        ("arrow chunks", "same", table, chunks),
        (
            "arrow slice vs copy",
            "same",
            table.slice(1, 2),
            pa.table(table.slice(1, 2).to_pydict(), schema=table.schema),
        ),
        ("arrow null vs empty list", "diff", pa.table({"l": [[1], None]}), pa.table({"l": [[1], []]})),
        ("table vs batch", "diff", pa.table({"x": [1]}), pa.record_batch({"x": [1]})),
    ]


def _object_cases(s: str, s2: str) -> list[Case]:
    array = np.arange(6.0)
    model = Estimator(name=s, other=s, coef=array[::2], steps=[(s, array)], seen={s, "b", "c"})
    twin = Estimator(name=s, other=s2, coef=array[::2].copy(), steps=[(s2, array.copy())], seen={"c", s2, "b"})
    shared = [1]
    return [
        ("object with equal strings, slices and sets", "same", model, twin),
        ("object, pickled and reloaded", "same", model, reloaded(model)),
        ("object with a changed number", "diff", Estimator(c=1.0), Estimator(c=2.0)),
        ("object 1 vs True", "diff", Estimator(c=[1, (1, 2)]), Estimator(c=[True, (True, 2)])),
        ("one list twice vs two lists, in an object", "diff", Estimator(c=[shared, shared]), Estimator(c=[[1], [1]])),
        ("equal tuples in an object", "same", Estimator(c=[(s, 1), (s, 1)]), Estimator(c=[(s, 1), (s2, 1)])),
        (
            "tuples of lists in an object",
            "same",
            Estimator(c=[([1],), ([1],)]),
            reloaded(Estimator(c=[([1],), ([1],)])),
        ),
        ("dataclass fields in another order", "same", Point(1, 2), _in_order(Point(1, 2), "y", "x")),
        ("frozenset in another order", "same", Estimator(c=frozenset("abc")), Estimator(c=frozenset("cba"))),
    ]


def _in_order(point: Point, *names: str) -> Point:
    other = Point.__new__(Point)
    vars(other).update({name: getattr(point, name) for name in names})
    return other


def file_cases(folder: Path) -> list[Case]:
    def file(name: str, text: str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def tree(name: str, **files: str) -> Path:
        for inner, text in files.items():
            file(f"{name}/{inner.replace('__', '/')}", text)
        return folder / name

    return [
        ("file at another path", "same", file("a/one.txt", "x"), file("b/two.txt", "x")),
        ("file with other content", "diff", file("c.txt", "x"), file("d.txt", "y")),
        ("folder at another path", "same", tree("e", a="1", sub__b="2"), tree("f", sub__b="2", a="1")),
        ("folder with a renamed file", "diff", tree("g", a="1"), tree("h", b="1")),
        ("file vs folder that holds it", "diff", tree("i", a="1") / "a", tree("i", a="1")),
    ]


def verdicts(digest: Callable[[Any], str], found: list[Case] | None = None) -> dict[str, str]:
    """For each case "." where the digest is right, else what is wrong."""
    result = {}
    for name, wanted, one, other in cases() if found is None else found:
        try:
            got = "same" if digest(one) == digest(other) else "diff"
        except Exception as error:
            result[name] = f"error {type(error).__name__}"
        else:
            result[name] = "." if got == wanted else "COLLIDES" if got == "same" else "unstable"
    return result
