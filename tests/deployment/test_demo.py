"""The demo: that it does what it says, and that it fails where it does not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.demo_home import load_demo
from tests.deployment.pages import ROOT

FEATURES = ["clean_flights", "hourly_weather", "flight_features"]
DELAY = {f"delay/{name}" for name in [*FEATURES, "arrival_model", "arrival_evaluation"]}
AIRCRAFT = {
    f"aircraft/{name}"
    for name in [*FEATURES, "plane_history", "risk_model", "risk_scores", "risk_evaluation", "plane_risk"]
}
OF_THE_CONSTANT = {"delay/flight_features", "delay/arrival_model", "delay/arrival_evaluation"} | {
    f"aircraft/{name}" for name in ["risk_model", "risk_scores", "risk_evaluation", "plane_risk"]
}


@pytest.mark.slow
def test_the_demo_runs_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    checkout = sorted((path, path.read_bytes()) for path in (ROOT / "deployment" / "locations").rglob("*.py"))
    done = subprocess.run(
        [sys.executable, "deployment/demo.py", "--folder", str(tmp_path / "demo")],
        cwd=ROOT,
        env={**os.environ, "MLREPRO_CACHE": "off", "MLREPRO_STORE": str(tmp_path / "not used")},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    steps = [rows(section) for section in re.split(r"^\d\. ", done.stdout, flags=re.MULTILINE)[1:6]]
    ran = [{asset for asset, (outcome, _) in step.items() if outcome == "ran"} for step in steps]
    assert [set(step) for step in steps] == [DELAY, AIRCRAFT, *[DELAY | AIRCRAFT] * 3]
    shared = {f"aircraft/{name}" for name in FEATURES}
    assert ran == [DELAY, AIRCRAFT - shared, set(), OF_THE_CONSTANT, set()]
    assert {steps[1][asset] for asset in shared} == {("hit", "ana")}
    assert steps[3]["aircraft/flight_features"] == ("hit", "ana")
    assert steps[4]["aircraft/risk_model"] == ("hit", "bob")
    assert steps[0]["delay/arrival_model"] == ("ran", "first result of this asset")
    assert steps[3]["delay/flight_features"] == ("ran", "`RECENT_MINUTES` in common/traffic.py changed")
    assert steps[3]["delay/arrival_model"] == ("ran", "input flight_features: v1 -> v2")

    metrics = {
        name: (float(v1), float(v2)) for name, v1, v2 in re.findall(r"(\w+) +([\d.]+) +([\d.]+)$", done.stdout, re.M)
    }
    for version in (0, 1):
        assert metrics["mae_minutes"][version] < 0.9 * metrics["mae_minutes_baseline"][version]
        assert metrics["auc"][version] > metrics["auc_baseline"][version] + 0.1
    assert metrics["mae_minutes"][0] != metrics["mae_minutes"][1]

    assert re.findall(r"^v(\d) ", done.stdout, re.MULTILINE) == ["3", "2", "1"]
    assert "-RECENT_MINUTES = 60\n+RECENT_MINUTES = 120" in done.stdout
    assert not (tmp_path / "not used").exists()
    assert checkout == sorted((path, path.read_bytes()) for path in (ROOT / "deployment" / "locations").rglob("*.py"))


def rows(section: str) -> dict[str, tuple[str, str]]:
    """Outcome of each asset in a step's table, and who computed it or why it ran."""
    found = re.findall(r"^((?:delay|aircraft)/\w+) +(ran|hit) +(?:computed by )?(.+?)  ", section, re.MULTILINE)
    return {asset: (outcome, why) for asset, outcome, why in found}


def a_step(demo, *outcomes: tuple[str, bool, str]):
    return demo.Step("a step", [demo.Outcome(asset, hit, by, "", 1.0, 1.0) for asset, hit, by in outcomes], 2.0)


def test_it_fails_when_something_runs_without_need() -> None:
    demo = load_demo()
    step = a_step(demo, ("delay/model", False, "ana"), ("delay/features", True, "ana"))
    with pytest.raises(demo.DemoFailedError, match=r"ran without need: .*delay/model"):
        demo.check(step, set(), {})


def test_it_fails_when_something_does_not_run_that_should() -> None:
    demo = load_demo()
    with pytest.raises(demo.DemoFailedError, match=r"should have run: .*delay/model"):
        demo.check(a_step(demo, ("delay/model", True, "ana")), {"delay/model"}, {})


def test_it_fails_when_a_hit_comes_from_somebody_else() -> None:
    demo = load_demo()
    with pytest.raises(demo.DemoFailedError, match="should come from ana, not bob"):
        demo.check(a_step(demo, ("aircraft/features", True, "bob")), set(), {"aircraft/features": "ana"})


def test_it_passes_when_all_is_as_expected() -> None:
    demo = load_demo()
    step = a_step(demo, ("delay/model", False, "ana"), ("aircraft/features", True, "ana"))
    demo.check(step, {"delay/model"}, {"aircraft/features": "ana"})
    assert step.summary == {"ran": 1, "hit": 1, "s in assets": 2.0, "s saved": 2.0, "s in all": 2.0}


def test_each_edit_that_the_demo_makes_fits_the_code_once() -> None:
    demo = load_demo()
    text = (ROOT / "deployment" / "locations" / demo.EDITED).read_text()
    assert [text.count(before) for before, _ in (demo.COMMENT, demo.DOCSTRING, demo.CONSTANT)] == [1, 1, 1]


def test_the_number_of_jobs_that_the_cache_ignores_changes_no_model(tmp_path: Path) -> None:
    """`ignore_config` says that a field does not change the result: here it is held to it."""
    script = f"""
import sys
sys.path.insert(0, {str(ROOT / "deployment" / "locations")!r})
import numpy as np, pandas as pd
from delay.assets import CATEGORIES, NUMBERS, ArrivalConfig, arrival_model
from aircraft.assets import CONDITIONS, HISTORY, RiskConfig, risk_model
from mlrepro.versioning import seed_everything
rng = np.random.default_rng(0)
count = 20_000
numbers = {{name: rng.normal(size=count) for name in {{*NUMBERS, *CONDITIONS}}}}
features = pd.DataFrame(numbers | {{name: rng.choice(list("abc"), count) for name in CATEGORIES}})
features["arr_delay"] = features["dep_delay"] * 20 + rng.normal(size=count)
features["dep_delay"] *= 20
features["scheduled"] = pd.Timestamp("2013-09-01", tz="UTC")
history = pd.DataFrame({{name: rng.normal(size=count) for name in HISTORY}})
def arrival(n):
    model = arrival_model(features, ArrivalConfig(n_jobs=n, trees=20))
    return model.predict(features)

def risk(n):
    model = risk_model(features, history, RiskConfig(n_jobs=n, trees=20))
    return model.predict_proba(features.join(history)[HISTORY + CONDITIONS])

for predict in (arrival, risk):
    predicted = []
    for n_jobs in (1, 2, 4):
        seed_everything(13)
        predicted.append(predict(n_jobs).tobytes())
    assert len(set(predicted)) == 1
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
