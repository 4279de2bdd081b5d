"""`tenants.yaml` as processes that run on read it."""

from pathlib import Path

import pytest

from mlrepro.errors import TenantsError
from mlrepro.tenancy import TenantsFile
from tests.tenancy.files import small, team

ANA = "\nmembers: [{user: ana, role: editor}]"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tenants.yaml"
    path.write_text(small(team("a", ANA)))
    return path


def test_who_is_removed_has_no_role_any_more(path: Path) -> None:
    file = TenantsFile(path)
    assert list(file.tenants.roles("ana")) == ["a"]
    path.write_text(small(team("a")))
    assert file.tenants.roles("ana") == {}


def test_a_file_that_is_replaced_is_read_again(path: Path) -> None:
    file = TenantsFile(path)
    before = file.tenants
    assert file.tenants is before, "nothing is read twice"
    (path.parent / "new").write_text(path.read_text().replace("ana", "bob"))  # of the same length
    (path.parent / "new").replace(path)
    assert file.tenants.roles("ana") == {}


@pytest.mark.parametrize("change", ["tenants: {", small(team("a", "namespace: kube-system")), None])
def test_a_change_that_is_wrong_is_reported_once_and_changes_nothing(
    path: Path, change: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = TenantsFile(path)
    before = file.tenants
    if change is None:
        path.unlink()
    else:
        path.write_text(change)
    assert file.tenants is before
    assert file.tenants is before
    assert len([record for record in caplog.records if "what it said before still holds" in record.message]) == 1
    path.write_text(small(team("a"), team("b")))
    assert sorted(file.tenants.tenants) == ["a", "b"]


def test_a_file_that_was_never_right_is_refused_each_time(tmp_path: Path) -> None:
    file = TenantsFile(tmp_path / "none.yaml")
    for _ in range(2):
        with pytest.raises(TenantsError, match=r"none\.yaml can't be read"):
            _ = file.tenants
    file.path.write_text(small(team("a")))
    assert list(file.tenants.tenants) == ["a"]


def test_the_environment_names_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLREPRO_TENANTS", str(path))
    assert TenantsFile().path == path
    monkeypatch.delenv("MLREPRO_TENANTS")
    with pytest.raises(TenantsError, match="set MLREPRO_TENANTS"):
        TenantsFile()
