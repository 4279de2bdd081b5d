"""The command, called in process; what it prints is what a user reads."""

import json
import textwrap
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

import mlrepro
from mlrepro.errors import UnknownVersionError, VersionNameError
from tests.cli.conftest import Command
from tests.definitions.lab import Lab

PROJECT = """
    import dagster as dg
    import pandas as pd
    from mlrepro import InputHashIOManager, ReproStore, ml_asset

    class Settings(dg.Config):
        C: float = 1.0

    def scale(x):
        return x * {factor}

    @ml_asset
    def features() -> pd.DataFrame:
        return pd.DataFrame({{"x": [1, scale(2)]}})

    @ml_asset
    def model(features: pd.DataFrame, config: Settings) -> dict[str, float]:
        return {{"auc": float(features.x.sum()) * config.C}}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Three versions of a model: as it was, with another helper, with another config."""
    lab = Lab(tmp_path)
    first, second = (lab.module(textwrap.dedent(PROJECT).format(factor=factor)) for factor in (2, 3))
    lab.run(first.features, first.model, tags={"user": "ana"})
    lab.run(second.features, second.model, tags={"user": "bob"})
    lab.run(second.features, second.model, config={"model": {"C": 2.0}})
    return lab


@pytest.fixture
def run(lab: Lab, monkeypatch: pytest.MonkeyPatch, command: Command) -> Command:
    monkeypatch.setenv("MLREPRO_STORE", lab.url)
    return command


class TestVersions:
    def test_lists_newest_first(self, run: Command) -> None:
        code, out, _ = run("versions", "model")
        assert code == 0
        assert [line.split()[0] for line in out.splitlines()[2:]] == ["v3", "v2", "v1"]
        assert "auc 5" in out
        assert "bob" in out

    def test_as_json(self, run: Command) -> None:
        _, out, _ = run("versions", "model", "--json")
        newest, *_ = json.loads(out)
        assert (newest["asset"], newest["version"], newest["metrics"]) == ("model", 3, {"auc": 14.0})

    def test_of_everything(self, run: Command) -> None:
        assert run("versions")[1].split() == ["features", "model"]
        assert json.loads(run("versions", "--json")[1]) == ["features", "model"]

    def test_in_python(self, lab: Lab) -> None:
        assert [version.number for version in mlrepro.versions("model", store=lab.url)] == [3, 2, 1]


class TestShow:
    def test_what_made_it(self, run: Command) -> None:
        _, out, _ = run("show", "model@v2")
        for fact in ("model@v2", "by bob in run", "features: features v2", "{'C': 1.0}", "auc = 7"):
            assert fact in out

    def test_its_code(self, run: Command) -> None:
        assert "return x * 3" in run("show", "features@v2", "--code")[1]
        assert "return x * 2" in run("show", "features@v1", "--code")[1]

    def test_as_json(self, run: Command) -> None:
        shown = json.loads(run("show", "model", "--json")[1])
        assert shown["version"] == 3
        assert shown["result"]["config"] == {"C": 2.0}
        assert {source["name"] for source in shown["sources"]} >= {"flow:model"}


class TestDiff:
    def test_of_code_line_by_line(self, run: Command) -> None:
        _, out, _ = run("diff", "features@v1", "v2")
        assert "-    return x * 2" in out
        assert "+    return x * 3" in out
        assert "flow:scale" in out

    def test_of_inputs_and_metrics(self, run: Command) -> None:
        _, out, _ = run("diff", "model@v1", "model@v2")
        assert "features v1" in out
        assert "features v2" in out
        assert "metric       auc: 5 -> 7" in out

    def test_of_config_as_json(self, run: Command) -> None:
        changes = json.loads(run("diff", "model@v2", "v3", "--json")[1])
        assert {"kind": "config", "name": "C", "before": 1.0, "after": 2.0} in changes

    def test_of_a_version_with_itself(self, run: Command) -> None:
        assert run("diff", "model@v1", "v1")[1] == "nothing differs that is recorded\n"


class TestLoad:
    def test_to_a_file(self, run: Command, tmp_path: Path) -> None:
        target = tmp_path / "model.json"
        code, out, _ = run("load", "model@v1", "-o", str(target))
        assert code == 0
        assert str(target) in out
        assert json.loads(target.read_text()) == {"auc": 5.0}

    def test_in_a_notebook(self, lab: Lab) -> None:
        assert mlrepro.load("model@v2", store=lab.url) == {"auc": 7.0}
        assert mlrepro.load("features@v1", store=lab.url).equals(pd.DataFrame({"x": [1, 4]}))

    def test_that_was_damaged_is_named(self, run: Command, lab: Lab, tmp_path: Path) -> None:
        (version, *_) = mlrepro.versions("features", store=lab.url)
        lab.blob(version.stored.content_hash).unlink()
        code, _, err = run("load", "features", "-o", str(tmp_path / "out"))
        assert code == 1
        assert version.stored.content_hash in err
        assert not (tmp_path / "out").exists()


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["versions", "nobody"], "nobody has no versions in"),
            (["show", "model@v9"], "model has no v9 in"),
            (["show", "model@v9"], "its newest version is v3"),
            (["show", "model@x"], "model/x serves nothing in"),
            (["show", "model@1x"], "'1x' in 'model@1x' is no version"),
            (["diff", "model@v1", "v9"], "model has no v9"),
            (["load", "nobody", "-o", "x"], "materialize it first"),
            (["versions", "model", "--store", "ftp://x"], "ftp"),
        ],
    )
    def test_end_in_one_line(self, run: Command, arguments: list[str], says: str) -> None:
        code, out, err = run(*arguments)
        assert code == 1
        assert out == ""
        assert says in err
        assert len(err.splitlines()) == 1

    def test_without_a_store(self, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MLREPRO_STORE")
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
        code, _, err = run("versions")
        assert code == 1
        assert "set MLREPRO_STORE" in err

    def test_in_python_are_errors_of_our_own(self, lab: Lab) -> None:
        with pytest.raises(UnknownVersionError):
            mlrepro.load("model@v9", store=lab.url)
        with pytest.raises(VersionNameError):
            mlrepro.load("model@", store=lab.url)

    def test_a_partitioned_asset_without_its_partition(self, lab: Lab) -> None:
        asset = mlrepro.ml_asset(name="daily", partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))(lambda: 1)
        lab.run(asset, partition="b")
        with pytest.raises(UnknownVersionError, match=r"daily is partitioned .* name one of its partitions \(b\)"):
            mlrepro.versions("daily", store=lab.url)
        assert mlrepro.versions("daily", partition="b", store=lab.url)[0].partition == "b"


class TestVerify:
    @pytest.fixture
    def project(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
        source = f"""
            import random
            import pathlib
            from mlrepro import ReproStore, ml_asset, ml_definitions

            @ml_asset
            def steady() -> int:
                return 1

            @ml_asset
            def shaky() -> float:
                return random.SystemRandom().random()

            defs = ml_definitions(assets=[steady, shaky], store=ReproStore(url={lab.url!r}))
        """
        lab.module(source, name="verified_project")
        return lab

    def test_finds_out_what_is_deterministic(self, run: Command, project: Lab) -> None:
        import verified_project

        assert "no result to compare with" in run("verify", "steady", "-m", "verified_project")[2]
        verified_project.defs.resolve_implicit_global_asset_job_def().execute_in_process()
        code, out, _ = run("verify", "steady", "-m", "verified_project")
        assert (code, out) == (0, "steady: deterministic: computed again, the same bytes came out\n")
        code, out, _ = run("verify", "shaky", "-m", "verified_project", "--json")
        assert code == 1
        assert json.loads(out)["deterministic"] is False
        shaky = mlrepro.versions("shaky", store=project.url)
        assert len(shaky) == 1, "verifying makes no version"
        assert len(project.store().deviations(str(shaky[0].input_hash))) == 1

    def test_of_what_is_not_there(self, run: Command, project: Lab) -> None:
        assert "no module 'nowhere'" in run("verify", "steady", "-m", "nowhere")[2]
        assert "have no asset nobody" in run("verify", "nobody", "-m", "verified_project")[2]


@pytest.mark.parametrize("verb", ["versions", "show", "diff", "load", "verify"])
def test_help_teaches(run: Command, verb: str) -> None:
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert "--json" in out
    assert "Usage: mlrepro" in out


class TestFingerprint:
    @pytest.fixture
    def project(self, lab: Lab) -> None:
        lab.module(textwrap.dedent(PROJECT).format(factor=7), name="fingerprinted_project")

    @pytest.mark.usefixtures("project")
    def test_of_an_asset_and_of_a_helper(self, run: Command) -> None:
        _, out, _ = run("fingerprint", "fingerprinted_project:features", "--code")
        assert "fingerprinted_project:scale" in out
        assert "return x * 7" in out
        shown = json.loads(run("fingerprint", "fingerprinted_project:scale", "--json")[1])
        assert shown["fingerprint"] == mlrepro.code_fingerprint(__import__("fingerprinted_project").scale)

    @pytest.mark.parametrize(
        ("target", "says"),
        [
            ("json", "write MODULE:NAME"),
            ("nowhere:f", "the module 'nowhere', which cannot be imported"),
            ("json:nope", "which json does not have"),
        ],
    )
    def test_of_what_is_not_there(self, run: Command, target: str, says: str) -> None:
        code, _, err = run("fingerprint", target)
        assert code == 1
        assert says in err
        assert len(err.splitlines()) == 1
