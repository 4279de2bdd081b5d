"""`mlrepro plan` and `mlrepro explain`, called in process."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.definitions.lab import Lab

PROJECT = """
    import dagster as dg
    from mlrepro import ReproStore, ml_asset, ml_definitions

    class Settings(dg.Config):
        C: float = 1.0

    def scale(x):
        return x * {factor}

    @ml_asset
    def features() -> list[int]:
        return [1, scale(2)]

    @ml_asset
    def model(features: list[int], config: Settings) -> dict[str, float]:
        return {{"auc": sum(features) * config.C}}

    defs = ml_definitions(assets=[features, model], store=ReproStore(url={url!r}))
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A project that was materialized once."""
    lab = Lab(tmp_path)
    project = lab.module(PROJECT.format(factor=2, url=lab.url), name="planned_project")
    project.defs.resolve_implicit_global_asset_job_def().execute_in_process(tags={"user": "ana"})
    return lab


@pytest.fixture
def run(lab: Lab, monkeypatch: pytest.MonkeyPatch, command: Command) -> Command:
    monkeypatch.setenv("MLREPRO_STORE", lab.url)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return command


def change(lab: Lab) -> None:
    lab.module(PROJECT.format(factor=3, url=lab.url), name="planned_project")


class TestPlan:
    def test_of_hits(self, run: Command) -> None:
        code, out, _ = run("plan", "-m", "planned_project")
        assert code == 0
        assert "v1, computed by ana on" in out
        assert "2 assets: 2 from the cache" in out

    def test_of_code_that_changed(self, run: Command, lab: Lab) -> None:
        change(lab)
        code, out, _ = run("plan", "-m", "planned_project")
        assert code == 0
        assert "`scale()` in" in out
        assert "depends on what features yields" in out

    def test_of_a_config_file(self, run: Command, tmp_path: Path) -> None:
        config = tmp_path / "config.yaml"
        config.write_text("ops: {model: {config: {C: 2.0}}}")
        assert "config C: 1.0 -> 2.0" in run("plan", "model", "-m", "planned_project", "-c", str(config))[1]

    def test_of_a_refresh_and_of_tags(self, run: Command) -> None:
        assert "a fresh result was asked for" in run("plan", "-m", "planned_project", "--refresh", "features")[1]
        assert "switched off for this run" in run("plan", "-m", "planned_project", "--tag", "mlrepro/cache=off")[1]

    def test_as_json(self, run: Command) -> None:
        told = json.loads(run("plan", "+model", "-m", "planned_project", "--json")[1])
        assert [(each["asset"], each["verdict"], each["version"]) for each in told["assets"]] == [
            ("features", "hit", 1),
            ("model", "hit", 1),
        ]
        assert told["totals"]["seconds_saved"] > 0


class TestExplain:
    def test_with_the_lines_that_changed(self, run: Command, lab: Lab) -> None:
        change(lab)
        code, out, _ = run("explain", "model", "-m", "planned_project")
        assert code == 0
        assert "model: may run: depends on what features yields" in out
        assert "features: runs: `scale()` in" in out
        assert "+    return x * 3" in out

    def test_of_a_hit_and_of_a_version(self, run: Command) -> None:
        assert "model: from the cache: computed by ana" in run("explain", "model", "-m", "planned_project")[1]
        assert run("explain", "model@v1")[1] == "model@v1: was computed: first result of this asset\n"

    def test_as_json(self, run: Command, lab: Lab) -> None:
        change(lab)
        told = json.loads(run("explain", "features", "-m", "planned_project", "--json")[1])
        assert told["verdict"] == "run"
        assert "+    return x * 3" in told["changes"][0]["diff"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plan", "nobody", "-m", "planned_project"], "have no asset nobody"),
        (["plan", "modl", "-m", "planned_project"], "do you mean model?"),
        (["plan", "group:", "-m", "planned_project"], "can't be read"),
        (["plan", "-m", "nowhere"], "no module 'nowhere'"),
        (["plan", "-m", "planned_project", "-p", "x"], "has no partitions"),
        (["plan", "-m", "planned_project", "--tag", "x"], "write KEY=VALUE"),
        (["plan", "-m", "planned_project", "--refresh", "modl"], "modl"),
        (["plan", "-m", "planned_project", "--tag", "mlrepro/cache=maybe"], "one of on, off, refresh"),
        (["explain", "model"], "name the module"),
        (["explain", "model@v9"], "model has no v9"),
        (["explain", "nobody", "-m", "planned_project"], "have no asset nobody"),
        (["explain", "model@v1", "-m", "planned_project"], "without definitions"),
    ],
)
def test_mistakes_end_in_one_line(run: Command, arguments: list[str], says: str) -> None:
    code, out, err = run(*arguments)
    assert code == 1
    assert out == ""
    assert says in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [(None, "does not exist"), ("storage: [", "parsing"), ("nope: 1", 'unexpected config entry "nope"')],
)
def test_a_dagster_home_that_can_not_be_opened_is_one_line(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str | None, says: str
) -> None:
    home = tmp_path / "home"
    if settings is not None:
        home.mkdir()
        (home / "dagster.yaml").write_text(settings)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    code, out, err = run("plan", "-m", "planned_project")
    assert (code, out) == (1, "")
    assert "Dagster's instance can't be opened" in err
    assert says in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("verb", ["plan", "explain"])
def test_help_teaches(run: Command, verb: str) -> None:
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert "Nothing is written" in " ".join(out.split())
    assert f"mlrepro {verb} " in out
