from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlrepro.reproducing import Reproduction, reproduce
from tests.reproducing.project import Project

Reproduce = Callable[..., Reproduction]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.new(tmp_path)


@pytest.fixture
def reproduced(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Reproduce]:
    """Reproduces from a folder that holds no code, and checks that nothing was written by it."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "tmp").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("TMPDIR", str(elsewhere / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)

    def call(name: str, **how: object) -> Reproduction:
        before = project.tree()
        found = reproduce(name, store=str(project.store), **how)  # type: ignore[arg-type]
        assert project.tree() == before
        return found

    yield call
    assert list((elsewhere / "tmp").iterdir()) == []
