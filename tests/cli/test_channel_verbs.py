"""The verbs that move channels and pins, as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from mlrepro import channel, ml_asset
from mlrepro.cli.main import app
from mlrepro.errors import MlreproError
from tests.definitions.lab import Lab

Run = Callable[..., Result]


class Slope(dg.Config):
    value: float = 0.5


@ml_asset
def slope(config: Slope) -> dict[str, float]:
    return {"auc": config.value}


production = channel("production", slope)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Type a command; the store has a model of three versions, all of which were promoted."""
    lab = Lab(tmp_path)
    for value in (0.5, 0.6, 0.7):
        lab.run(slope, production, config={"slope": {"value": value}})
    monkeypatch.setenv("MLREPRO_STORE", lab.url)
    monkeypatch.setenv("MLREPRO_USER", "ana")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def typed(*words: str) -> Result:
        return CliRunner().invoke(app, list(words))

    return typed


def as_json(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_back_and_who_did_it(run: Run) -> None:
    done = run("rollback", "slope", "--channel", "production", "--reason", "AUC fell")
    assert "slope/production: v3 -> v2 (rollback, entry 4 of its history)" in done.output
    assert "Dagster was not told, as DAGSTER_HOME is not set" in done.output
    lines = run("history", "slope", "--channel", "production").output.splitlines()
    assert lines[2].split()[0] == "4"
    assert all(word in lines[2] for word in ("rollback", "v3", "v2", "ana", "by hand", "AUC fell"))
    assert "v3 is quarantined: mlrepro release slope@v3 --channel production" in "\n".join(lines)
    short = run("history", "slope@production").output
    assert "v3 is quarantined: mlrepro release slope@v3 --channel production" in short  # to be typed as it stands
    entries = as_json(run("history", "slope@production", "--json"))
    assert [(each["entry"], each["from"] and each["from"]["version"], each["to"]["version"]) for each in entries] == [
        (4, 3, 2), (3, 2, 3), (2, 1, 2), (1, None, 1),
    ]  # fmt: skip


def test_to_a_version_that_is_named_and_forward_again(run: Run) -> None:
    assert as_json(run("rollback", "slope", "--channel", "production", "--to", "v1", "--json"))["to"] == 1
    assert "serves v1 as before" in run("release", "slope@v3", "--channel", "production").output
    assert as_json(run("promote", "slope@v3", "--channel", "production", "--json"))["to"] == 3


def test_the_versions_say_what_is_served_and_pinned(run: Run) -> None:
    run("rollback", "slope", "--channel", "production")
    pinned = run("rollback", "slope", "--to", "v1", "--reason", "labels are wrong")
    assert "slope is pinned at v1 until it is released" in pinned.output
    assert "slope has the channels production, which serve what they served" in pinned.output
    notes = {each["version"]: each["marks"] for each in as_json(run("versions", "slope", "--json"))}
    assert notes == {3: [], 2: ["production"], 1: ["pinned"]}
    assert "labels are wrong" in run("pins").output
    assert "labels are wrong" in run("history", "slope").output
    assert "slope is pinned no more" in run("release", "slope").output
    assert "nothing is pinned" in run("pins").output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rollback", "slope", "--channel", "staging"], "slope/staging serves nothing in"),
        (["rollback", "nobody"], "nobody has no versions in"),
        (["rollback", "slope", "--channel", "production", "--to", "v3"], "slope/production serves v3 already"),
        (["rollback", "slope", "--channel", "production", "--to", "v8"], "v8 is newer than v3"),
        (["rollback", "slope", "--channel", "production", "--to", "back"], "'back' is no version to go back to"),
        (["rollback", "slope", "--channel", "production", "--cascade"], "name their module"),
        (["promote", "slope@v9", "--channel", "production"], "slope has no v9 in"),
        (["promote", "slope@v3", "--channel", "v1"], "'v1' cannot be a channel's name"),
        (["approve", "slope", "--channel", "production"], "no version of slope/production waits for approval"),
        (["release", "slope"], "slope is not pinned in"),
        (["release", "slope", "--channel", "production"], "name the version to release from quarantine: slope@v3"),
        (["history", "slope"], "slope was never pinned in"),
        (["history", "slope", "--channel", "staging"], "slope/staging serves nothing in"),
    ],
)
def test_mistakes_end_in_one_line_and_move_nothing(run: Run, words: list[str], says: str) -> None:
    done = run(*words)
    assert isinstance(done.exception, MlreproError)
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)
    assert len(as_json(run("history", "slope@production", "--json"))) == 3
    assert as_json(run("pins", "--json")) == []
