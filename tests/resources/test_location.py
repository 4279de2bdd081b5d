import pytest

from mlrepro.errors import StoreError
from mlrepro.resources import default_scope, default_store_url


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLREPRO_STORE", "MLREPRO_SCOPE", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_environment_variable_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/home/dagster")
    monkeypatch.setenv("MLREPRO_STORE", "s3://bucket/prefix")
    assert default_store_url("/instance") == "s3://bucket/prefix"


def test_then_a_folder_in_dagsters_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/home/dagster")
    assert default_store_url("/instance") == "/home/dagster/mlrepro"


def test_then_the_folder_of_the_instance_at_hand() -> None:
    assert default_store_url("/instance") == "/instance/mlrepro"


def test_else_the_error_says_what_to_set() -> None:
    with pytest.raises(StoreError, match=r"set MLREPRO_STORE .* set DAGSTER_HOME"):
        default_store_url()


def test_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_scope() == "default"
    monkeypatch.setenv("MLREPRO_SCOPE", "team")
    assert default_scope() == "team"
