"""`--env recorded`: the libraries that a version was computed with, where others are installed now."""

import importlib.metadata
import subprocess
from pathlib import Path

import pytest

from mlrepro.errors import MissingExtraError
from mlrepro.reproducing.environments import NoEnvironmentError, find_uv, recorded
from mlrepro.store import open_store
from mlrepro.versioning import environment
from tests.deployment.pages import ROOT
from tests.reproducing.conftest import Reproduce
from tests.reproducing.project import Project

OLD_SKLEARN = "1.5.2"

TRAINING = """
    import dagster as dg
    import pandas as pd
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    from mlrepro import ml_asset, ml_definitions

    @ml_asset
    def tumours() -> pd.DataFrame:
        return load_breast_cancer(as_frame=True).frame

    @ml_asset(seed=7)
    def model(tumours: pd.DataFrame) -> HistGradientBoostingClassifier:
        train = tumours.iloc[::2]
        return HistGradientBoostingClassifier(max_iter=20).fit(train.drop(columns="target"), train["target"])

    @ml_asset
    def evaluation(model: HistGradientBoostingClassifier, tumours: pd.DataFrame) -> dict[str, float]:
        held_out = tumours.iloc[1::2]
        scores = model.predict_proba(held_out.drop(columns="target"))[:, 1]
        return {"auc": float(roc_auc_score(held_out["target"], scores))}

    defs = ml_definitions(assets=[tumours, model, evaluation])
"""


@pytest.fixture(scope="session")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with an older scikit-learn than this one's."""
    folder = tmp_path_factory.mktemp("old") / "environment"
    pinned = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "scikit-learn" not in line]
    constraints = folder.with_suffix(".txt")
    constraints.write_text("\n".join([*pinned, f"scikit-learn=={OLD_SKLEARN}"]))
    uv = find_uv()
    python = folder / "bin" / "python"
    for command in (
        [uv, "venv", "--no-project", "--python", "3.11", str(folder)],
        [uv, "pip", "install", "--python", str(python), "-c", str(constraints), f"{ROOT}[pandas]", "scikit-learn"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return python


@pytest.mark.slow
def test_another_scikit_learn_is_told_and_the_recorded_one_gives_the_same_bits(
    project: Project, reproduced: Reproduce, old_python: Path
) -> None:
    here = importlib.metadata.version("scikit-learn")
    assert here != OLD_SKLEARN
    project.write(shop=TRAINING)
    project.materialize(python=str(old_python))

    now = reproduced("model")
    assert now.verdict in ("close", "differs")
    assert any(f"scikit-learn {OLD_SKLEARN} -> {here}" in cause for cause in now.causes)
    assert "--env recorded" in now.causes[0]
    assert any(line.startswith("evaluation@v1: auc") for line in now.differs)

    then = reproduced("evaluation", env="recorded", deep=True)
    assert [(each.name, each.verdict) for each in then.everything()] == [
        ("tumours@v1", "same"),
        ("model@v1", "same"),
        ("evaluation@v1", "same"),
    ]
    assert "the recorded environment" in str(then.environment)


def test_without_uv_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uv", None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingExtraError, match=r"pip install 'mlrepro\[reproduce\]'"):
        find_uv()


def test_a_distribution_that_is_nowhere_is_named(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    where = environment()
    freeze = "".join(f"{name}\n" for name in ("mlrepro==0.0.1", "no-such-thing-of-ours==9.9.9", "ours==1.0"))
    said = {"python": where.python, "platform": "linux-other", "freeze": store.write_bytes(freeze.encode())}
    lines: list[str] = []
    with pytest.raises(NoEnvironmentError, match="no-such-thing-of-ours"):
        recorded({"environment": {**said, "local": ["ours"]}}, store, tmp_path / "environment", lines.append)
    assert lines[0] == f"building an environment: Python {where.python}, 1 distributions"


def test_a_python_that_is_nowhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    store = open_store(str(tmp_path / "store"))
    said = {"python": "3.4.0", "platform": "linux", "local": [], "freeze": store.write_bytes(b"six==1.17.0\n")}
    with pytest.raises(NoEnvironmentError, match=r"Python 3\.4\.0 is not here, nor another 3\.4.*uv python install"):
        recorded({"environment": said}, store, tmp_path / "environment", print)
