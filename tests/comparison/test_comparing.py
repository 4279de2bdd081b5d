"""What `compare` says of two versions or more, as text, Markdown and JSON."""

import json
import re
from pathlib import Path

import dagster as dg
import pytest

import mlrepro
from mlrepro import compare
from mlrepro.errors import MlreproError, UnknownVersionError, VersionNameError
from tests.comparison.shop import move, train
from tests.definitions.lab import Lab


@pytest.fixture
def trained(lab: Lab) -> Lab:
    """Three versions: as it was, a deeper one, and one with other code on more customers."""
    train(lab, 2, tags={"user": "ana"})
    train(lab, 4, tags={"user": "bob"})
    train(lab, 5, factor=5, customers=5, tags={"user": "bob"})
    return lab


class TestText:
    def test_shows_metrics_side_by_side(self, trained: Lab) -> None:
        text = str(compare("churn_model", "v1", "v2", store=trained.store()))
        assert re.search(r"metrics +v1 +v2 +change", text)
        assert re.search(r"evaluation.auc +0.666667 +0.8 +\+0.1333 \(\+20%\)", text)
        assert re.search(r"train_rows +3 +3 +=", text)

    def test_shows_when_by_whom_and_how_large(self, trained: Lab) -> None:
        lines = str(compare("churn_model", "v1", "v2", store=trained.store())).splitlines()
        facts = {line.split()[0]: line for line in lines[4:12] if line.split()}
        assert lines[0] == "churn_model: v1, v2"
        assert facts["by"].split() == ["by", "ana", "bob"]
        assert facts["made"].count("UTC") == 2
        assert {"run", "took", "size", "content"} <= facts.keys()

    def test_shows_what_was_changed(self, trained: Lab) -> None:
        text = str(compare("churn_model", "v1", "v2", "v3", store=trained.store()))
        assert re.search(r"depth +2 +4 +5\n", text)
        assert re.search(r"customers +customers v1 .* +customers v1 .* +customers v2 ", text)
        assert "code v1 -> v3: `squash()` in shop.py changed" in text
        assert "-    return x / 4\n+    return x / 5" in text
        assert "code v1 -> v2" not in text

    def test_of_a_version_with_itself(self, trained: Lab) -> None:
        text = str(compare("churn_model@v1", "churn_model@v1", store=trained.store()))
        assert text.endswith("nothing else differs that is recorded")

    def test_of_different_assets(self, trained: Lab) -> None:
        found = compare("churn_model@v1", "evaluation@v1", store=trained.store())
        assert [each.label for each in found.versions] == ["churn_model@v1", "evaluation@v1"]
        assert found.metrics["evaluation.auc"].values == (pytest.approx(2 / 3), None)
        assert found.metrics["auc"].values == (None, pytest.approx(2 / 3))
        assert {change.kind for change in found.changes[0]} >= {"code", "config", "input"}
        assert str(found).startswith("churn_model@v1, evaluation@v1")

    def test_of_versions_without_records(self, lab: Lab) -> None:
        for auc in (0.5, 0.75):
            lab.run(dg.asset(name="model")(_returning({"auc": auc})))
        found = compare("model", "v1", "v2", store=lab.store())
        assert found.metrics["auc"].values == (0.5, 0.75)
        assert found.changes == ((),)
        assert "note: v1 was not computed by an @ml_asset, so nothing tells its config, inputs and code" in str(found)


def _returning(value: object) -> object:
    def model():  # type: ignore[no-untyped-def]
        return value

    return model


class TestDamage:
    def _record(self, lab: Lab, name: str) -> tuple[Path, dict]:
        (found, *_) = mlrepro.versions(name, store=lab.store())
        (path,) = [path for path in lab.results() if path.stem == found.input_hash]
        path.chmod(0o644)
        record = json.loads(path.read_text())
        del record["sha256"]
        return path, record

    @pytest.mark.filterwarnings("ignore")
    def test_of_a_record_is_said(self, trained: Lab) -> None:
        path, _ = self._record(trained, "churn_model@v2")
        path.write_text("{")
        found = compare("churn_model", "v1", "v2", store=trained.store())
        assert found.notes == ("the record of v2 is lost or damaged, so nothing tells its config, inputs and code",)
        assert found.changes == ((),)
        assert found.metrics["depth"].values == (2, 4)
        assert "lost or damaged" in found.to_markdown()
        assert "lost or damaged" in found.to_html()

    @pytest.mark.parametrize(
        "edited",
        [
            {"code": None},
            {"code": {"fingerprint": 3}},
            {"inputs": {"customers": 3}},
            {"environment": "?"},
            {"outputs": None},
            {"outputs": {"result": 3}},
            {"outputs": {"result": {"stored": 3, "metrics": [], "metadata": 3}}},
            {"key_parts": {"inputs": {"customers": 3}}},
            {"config": "?"},
            {"seconds": "?"},
        ],
    )
    def test_of_any_kind_is_no_failure(self, trained: Lab, edited: dict) -> None:
        path, record = self._record(trained, "churn_model@v2")
        path.write_text(json.dumps({**record, **edited}))
        found = compare("churn_model", "v1", "v2", store=trained.store())
        assert str(found)
        assert found.to_markdown()
        assert found.to_html()
        assert json.dumps(found.to_json())

    def test_of_the_sources_leaves_the_rest(self, trained: Lab) -> None:
        _, record = self._record(trained, "churn_model@v3")
        trained.blob(record["code"]["sources"]).unlink()
        found = compare("churn_model", "v1", "v3", store=trained.store())
        assert found.notes == ("the source code of v3 is lost or damaged, and is not compared",)
        assert "- code: the code changed" in found.to_markdown()
        assert "- config: depth 2 -> 5" in found.to_markdown()


class TestMarkdown:
    def test_is_short(self, trained: Lab) -> None:
        assert compare("churn_model", "v1", "v3", store=trained.store()).to_markdown().splitlines() == [
            "**churn_model v3** compared with **v1**",
            "",
            "| metric | v1 | v3 | change |",
            "| --- | ---: | ---: | ---: |",
            "| depth | 2 | 5 | +3 (+150%) |",
            "| train_rows | 3 | 5 | +2 (+66.7%) |",
            "| evaluation.auc | 0.666667 | 0.833333 | +0.1667 (+25%) |",
            "| evaluation.f1 | 0.52 | 0.55 | +0.03 (+5.77%) |",
            "| live_quality.mean | 1 | 2 | +1 (+100%) |",
            "| live_quality.served | 3 | 5 | +2 (+66.7%) |",
            "",
            "- config: depth 2 -> 5",
            "- inputs: customers v1 -> v2",
            "- code: `squash()` in shop.py changed",
        ]

    def test_takes_users_text_as_text(self, lab: Lab) -> None:
        train(lab, 2)
        train(lab, 2, note="<script>alert(1)</script> | [x](http://x) *b*\n# h", customers=4)
        (line,) = [
            line
            for line in compare("churn_model", "v1", "v2", store=lab.store()).to_markdown().splitlines()
            if "config" in line
        ]
        assert line == r'- config: note "" -> \<script>alert(1)\</script> \| \[x\](http:...'

    def test_of_a_channel_names_it(self, trained: Lab) -> None:
        move(trained, "production", "promotion", 1)
        found = compare("churn_model@production", "churn_model@v3", store=trained.store())
        assert found.to_markdown().startswith("**churn_model v3** compared with **v1 (production)**")


class TestJson:
    def test_is_complete(self, trained: Lab) -> None:
        found = json.loads(json.dumps(compare("churn_model", "v1", "v3", store=trained.store()).to_json()))
        first, second = found["versions"]
        assert (first["name"], second["name"]) == ("churn_model@v1", "churn_model@v3")
        assert (first["who"], second["who"]) == ("ana", "bob")
        assert first["config"] == {"depth": 2, "note": ""}
        assert second["inputs"]["customers"]["version"] == 2
        assert {"created", "run_id", "seconds", "size", "content_hash", "environment"} <= first.keys()
        auc = next(metric for metric in found["metrics"] if metric["name"] == "evaluation.auc")
        assert auc["deltas"] == [0.0, pytest.approx(1 / 6)]
        assert auc["relative"] == [0.0, pytest.approx(0.25)]
        assert found["changes"][0]["version"] == "churn_model@v3"
        assert {"kind": "config", "name": "depth", "before": 2, "after": 5} in found["changes"][0]["changes"]

    def test_is_the_same_each_time(self, trained: Lab) -> None:
        written = {
            json.dumps(compare("churn_model", "v1", "v2", "v3", store=trained.store()).to_json()) for _ in range(3)
        }
        assert len(written) == 1


class TestNames:
    @pytest.mark.parametrize(
        ("names", "meant"),
        [
            (["churn_model", "v1", "v3"], ["churn_model@v1", "churn_model@v3"]),
            (["churn_model", "1", "latest"], ["churn_model@v1", "churn_model@v3"]),
            (["churn_model@v1", "v3"], ["churn_model@v1", "churn_model@v3"]),
            (["churn_model", "production", "v3"], ["churn_model@v2", "churn_model@v3"]),
            (["churn_model@production", "churn_model"], ["churn_model@v2", "churn_model@v3"]),
            (["churn_model", "evaluation"], ["churn_model@v3", "evaluation@v3"]),
            (["churn_model", "v1", "evaluation", "v1", "v2"], ["churn_model@v1", "evaluation@v1", "evaluation@v2"]),
        ],
    )
    def test_that_lean_on_the_asset_before_them(self, trained: Lab, names: list[str], meant: list[str]) -> None:
        move(trained, "production", "promotion", 2)
        assert [each.name for each in compare(*names, store=trained.store()).versions] == meant

    @pytest.mark.parametrize(
        ("names", "error", "says"),
        [
            ([], VersionNameError, "nothing to compare"),
            (["churn_model"], VersionNameError, "name two versions or more"),
            (["v3", "v1"], VersionNameError, "'v3' follows no asset"),
            (["churn_model", "v1", "v9"], UnknownVersionError, "its newest version is v3"),
            (["churn_model", "v1", "produktion"], MlreproError, "produktion serves nothing"),
            (["nobody", "v1", "v2"], UnknownVersionError, "nobody has no versions"),
            (["churn_model@v1", "churn_model@?"], VersionNameError, "is no version"),
        ],
    )
    def test_that_mean_nothing(self, trained: Lab, names: list[str], error: type[Exception], says: str) -> None:
        with pytest.raises(error, match=re.escape(says)):
            compare(*names, store=trained.store())
