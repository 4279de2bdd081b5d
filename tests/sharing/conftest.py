from pathlib import Path

import pytest

from tests.definitions.lab import Lab
from tests.sharing.team import Team


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def theirs(tmp_path: Path) -> Team:
    """The other team, which has a project, a scope and a code location."""
    return Team(tmp_path / "theirs", str(tmp_path / "store"), "theirs")


@pytest.fixture
def ours(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """This team, which reads the other one's scope and trusts it."""
    lab.settings = {"read_scopes": ["shared", "theirs"], "trusted_scopes": ["theirs"]}
    monkeypatch.setenv("MLREPRO_STORE", lab.url)
    monkeypatch.setenv("MLREPRO_SCOPE", "ours")
    monkeypatch.setenv("MLREPRO_READ_SCOPES", "shared,theirs")
    monkeypatch.setenv("MLREPRO_TRUSTED_SCOPES", "theirs")
    monkeypatch.setenv("MLREPRO_BUNDLE_CACHE", str(lab.folder / "our-cache"))
    return lab
