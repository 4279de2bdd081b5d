from mlrepro.versioning import Change, Evidence, differences


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


def test_json_leaves_out_what_does_not_apply() -> None:
    assert Change("seed", "seed", 1, 2).to_json() == {"kind": "seed", "name": "seed", "before": 1, "after": 2}
