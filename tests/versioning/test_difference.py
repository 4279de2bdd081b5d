from typing import get_args

from mlrepro.versioning import Change, Evidence, differences, say, sentence
from mlrepro.versioning.difference import Kind


def source(name: str, text: str, line: int = 1) -> dict[str, object]:
    return {"name": name, "file": name.partition(":")[0] + ".py", "line": line, "text": text}


def test_nothing_differs() -> None:
    record = {"config": {"C": 1}, "inputs": {"x": {"asset": "a", "content_hash": "c" * 64, "version": 1}}}
    assert differences(Evidence(record, [source("m:f", "x")]), Evidence(record, [source("m:f", "x", 9)])) == []


def test_code_is_shown_line_by_line() -> None:
    before = [source("m:f", "def f():\n    return 1"), source("m:gone", "GONE = 1")]
    after = [source("m:f", "def f():\n    return 2", line=5), source("m:new", "NEW = 1")]
    changed, gone, new = differences(Evidence({}, before), Evidence({}, after))
    assert changed.name == "m:f"
    assert changed.diff is not None
    assert changed.diff.splitlines() == [
        "--- m.py:1",
        "+++ m.py:5",
        "@@ -1,2 +1,2 @@",
        " def f():",
        "-    return 1",
        "+    return 2",
    ]
    assert (gone.name, gone.after) == ("m:gone", None)
    assert (new.name, new.before) == ("m:new", None)


def test_config_inputs_seed_environment_libraries_and_metrics() -> None:
    before = Evidence(
        {
            "config": {"model": {"C": 1.0}},
            "inputs": {"x": {"asset": "features", "content_hash": "a" * 64, "version": 3}},
            "seed": 1,
            "environment": {"python": "3.11.7", "freeze": "ignored"},
        },
        freeze="numpy==2.0\npandas==2.2\n",
        metrics={"auc": 0.5},
    )
    after = Evidence(
        {
            "config": {"model": {"C": 2.0, "depth": 3}},
            "inputs": {"x": {"asset": "features", "content_hash": "b" * 64, "version": 4}},
            "seed": 2,
            "environment": {"python": "3.12.1", "freeze": "other"},
        },
        freeze="numpy==2.1\npandas==2.2\n",
        metrics={"auc": 0.75},
    )
    assert differences(before, after) == [
        Change("config", "model.C", 1.0, 2.0),
        Change("config", "model.depth", None, 3),
        Change("input", "x", "features v3 (aaaaaaaaaaaa)", "features v4 (bbbbbbbbbbbb)"),
        Change("seed", "seed", 1, 2),
        Change("environment", "python", "3.11.7", "3.12.1"),
        Change("library", "numpy", "2.0", "2.1"),
        Change("metric", "auc", 0.5, 0.75),
    ]


def test_every_difference_can_be_said() -> None:
    def record(number: int, **more: object) -> dict[str, object]:
        return {
            "config": {"model": {"C": float(number)}},
            "inputs": {
                "x": {"asset": "team/x", "content_hash": str(number) * 64, "version": number},
                "y": {"asset": f"y{number}", "content_hash": "a" * 64, "version": 1},
                "other": {"asset": "prices", "content_hash": "b" * 64, "version": number},
                "file": {"asset": "file", "data_version": f"etag {number}"},
                "read": {"asset": None, "content_hash": str(number) * 64},
                "days": {"asset": "days", "content_hash": {"mon": str(number) * 64}},
                "(asset) table": {"asset": "table", "data_version": f"{number}"},
            },
            "seed": number,
            "partitions": [f"2026-01-0{number}"],
            "environment": {"python": f"3.1{number}", "platform": f"linux {number}"},
            "key_parts": {
                "resources": {"db": number},
                "outputs": {"result": {"type": None, "format": f"f{number}"}},
                "inputs": {"x": {"loaded_as": f"l{number}", "content": "c", "code": {"m:f": number}}},
                "code_version": f"{number}",
                "salt": number,
                "surroundings": {"run_tags": number},
                "ignore_config": [number],
            },
            **more,
        }

    gone = {"asset": "gone", "content_hash": "d" * 64, "version": 1}
    old = record(1)
    old["inputs"] = {**record(1)["inputs"], "gone": gone}  # type: ignore[dict-item]
    before = Evidence(old, [source("m:f", "def f(): 1")], "numpy==1.0", {"auc": 0.5})
    after = Evidence(record(2), [source("m:f", "def f(): 2")], "numpy==2.0", {"auc": 0.75})
    said = {(change.kind, change.name): say(change) for change in differences(before, after)}
    assert {name: text for (kind, name), text in said.items() if kind == "input"} == {
        "x": "input x: v1 -> v2",
        "y": "input y: y1 v1 -> y2 v1",
        "other": "input other: prices v1 -> v2",
        "file": "input file: etag 1 -> etag 2",
        "read": f"input read: {'1' * 12} -> {'2' * 12}",
        "days": f"input days: {{'mon': '{'1' * 64}'}} -> {{'mon': '{'2' * 64}'}}",
        "(asset) table": "upstream table: 1 -> 2",
        "gone": "input gone is gone",
    }
    assert said["metric", "auc"] == "auc 0.5 -> 0.75"
    assert {kind for kind, _ in said} == set(get_args(Kind)) - {"dependency"}
    assert sentence(differences(before, after)).startswith("`f()` in m.py changed; config model.C: 1.0 -> 2.0; and ")


def test_json_leaves_out_what_does_not_apply() -> None:
    assert Change("seed", "seed", 1, 2).to_json() == {"kind": "seed", "name": "seed", "before": 1, "after": 2}


def test_what_is_installed_from_a_folder_is_no_difference() -> None:
    old = Evidence({"environment": {"python": "3.11.7", "freeze": "a"}})
    new = Evidence({"environment": {"python": "3.11.7", "freeze": "b", "local": ["shop"]}})
    assert differences(old, new) == []
