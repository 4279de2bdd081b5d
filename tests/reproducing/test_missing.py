"""What `reproduce` says when something is not there any more, and what it does not do."""

import json
from pathlib import Path

import pytest

from mlrepro.reproducing import reproduce
from mlrepro.store import open_store
from tests.reproducing.conftest import Reproduce
from tests.reproducing.project import Project

pytestmark = pytest.mark.slow  # each call starts a process that imports Dagster

TWO = """
    import dagster as dg
    from mlrepro import ml_asset, ml_definitions

    class Login(dg.Config):
        user: str = "ana"
        password: str = dg.EnvVar("SHOP_PASSWORD")

    @ml_asset
    def numbers() -> list[int]:
        return [1, 2, 3]

    @ml_asset
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @ml_asset
    def fetched(config: Login) -> int:
        return len(config.password)

    @dg.asset
    def plain() -> int:
        return 1

    defs = ml_definitions(assets=[numbers, total, fetched, plain])
"""


def test_a_lost_input_is_named_and_made_again_by_deep(project: Project, reproduced: Reproduce) -> None:
    project.write(shop=TWO)
    project.materialize(select=["numbers", "total"])
    blob = reproduced("numbers").content_hash
    next(project.store.rglob(str(blob))).unlink()

    lost = reproduced("total")
    assert (lost.verdict, lost.exit_code) == ("not tried", 2)
    assert f"the bytes of the input numbers (numbers v1, blob {blob})" in lost.missing[0]

    again = reproduced("total", deep=True)
    assert [each.verdict for each in again.everything()] == ["same", "same"]
    assert any("was made again, bit for bit the same" in note for note in again.notes)


def test_a_secret_is_asked_for_by_name_and_never_shown(
    project: Project, reproduced: Reproduce, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(shop=TWO)
    project.materialize(select=["fetched"], SHOP_PASSWORD="correct horse")

    monkeypatch.delenv("SHOP_PASSWORD", raising=False)
    unset = reproduced("fetched")
    assert unset.missing == ["the environment variable SHOP_PASSWORD, a secret of its config: set it to what it was"]

    monkeypatch.setenv("SHOP_PASSWORD", "correct horse")
    assert reproduced("fetched").verdict == "same"

    monkeypatch.setenv("SHOP_PASSWORD", "another battery")
    other = reproduced("fetched")
    assert other.verdict == "differs"
    assert any("SHOP_PASSWORD" in cause and "has another value than then" in cause for cause in other.causes)
    assert "battery" not in str(other.to_json())


def test_a_plain_asset_has_no_recipe(project: Project, reproduced: Reproduce) -> None:
    project.write(shop=TWO)
    project.materialize(select=["plain"])
    found = reproduced("plain")
    assert found.exit_code == 2
    assert "was stored by a plain asset, of which neither code nor inputs are recorded" in found.missing[0]


def test_code_of_a_scope_that_is_not_trusted_is_not_run(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(
        shop="""
        from pathlib import Path
        from mlrepro import Cache, ml_asset, ml_definitions

        @ml_asset(cache=Cache(scope="shared"))
        def numbers() -> list[int]:
            Path("ran").write_text("it ran")
            return [1, 2, 3]

        defs = ml_definitions(assets=[numbers])
        """
    )
    project.materialize(MLREPRO_SCOPE="team_a")
    project.materialize(MLREPRO_SCOPE="team_b")  # a hit: the record is in shared alone
    monkeypatch.chdir(tmp_path)
    theirs = open_store(str(project.store), scope="team_b")
    only_shared = open_store(str(project.store), scope="shared", read_scopes=[])
    (published,) = [json.loads(path.read_text()) for path in project.store.glob("shared/results/*/*.json")]
    assert not only_shared.has_blob(published["code"]["files"]), "whole files are nobody else's business"

    refused = reproduce("numbers", store=theirs)
    assert refused.exit_code == 2
    assert "the record is of scope 'shared', which is not trusted, so they are not run" in refused.missing[0]

    monkeypatch.setenv("MLREPRO_TRUSTED_SCOPES", "shared")
    reads_theirs = open_store(str(project.store), scope="team_b", read_scopes=["shared", "team_a"])
    assert reproduce("numbers", store=reads_theirs).verdict == "same"


def test_a_pickle_of_a_scope_that_is_not_trusted_is_not_loaded_to_be_compared(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tmp_path / "loaded"
    loaded.mkdir()
    project.write(
        shop=f"""
        import secrets
        from pathlib import Path
        from mlrepro import ml_asset, ml_definitions

        class Trap:
            def __init__(self) -> None:
                self.number = secrets.token_hex(8)

            def __reduce__(self):
                return eval, (f"__import__('pathlib').Path('{loaded}', '{{self.number}}').touch()",)

        @ml_asset
        def trap() -> object:
            made = Trap()
            Path("made").write_text(made.number)
            return made

        defs = ml_definitions(assets=[trap])
        """
    )
    project.materialize(MLREPRO_SCOPE="team_a")
    theirs = loaded / (project.code / "made").read_text()
    theirs.unlink(missing_ok=True)
    monkeypatch.chdir(tmp_path)
    reading = open_store(str(project.store), scope="team_b", read_scopes=["team_a"])

    found = reproduce("trap", store=reading, repository=project.code)

    assert "the code in" in found.code, "it was computed from the code that is here"
    assert not theirs.exists()
    assert found.verdict == "differs"
    assert "not trusted" in str(found.differs)


def test_an_error_of_the_code_is_told_in_its_own_words(project: Project, reproduced: Reproduce) -> None:
    project.write(
        shop="""
        import os
        from mlrepro import ml_asset, ml_definitions

        @ml_asset
        def fragile() -> int:
            return int(os.environ["SHOP_NUMBER"])

        defs = ml_definitions(assets=[fragile])
        """
    )
    project.materialize(SHOP_NUMBER="7")
    found = reproduced("fragile")
    assert found.exit_code == 2
    assert "KeyError: 'SHOP_NUMBER'" in found.missing[0]
