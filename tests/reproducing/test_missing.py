"""What `reproduce` says when something is not there any more, and what it does not do."""

import json
from pathlib import Path

import pytest

from mlrepro.catalog import version
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
    assert "is of scope 'shared', which is not trusted, so nothing that it names is run" in refused.missing[0]

    monkeypatch.setenv("MLREPRO_TRUSTED_SCOPES", "shared")
    reads_theirs = open_store(str(project.store), scope="team_b", read_scopes=["shared", "team_a"])
    assert reproduce("numbers", store=reads_theirs).verdict == "same"


def test_a_record_that_is_not_trusted_chooses_nothing_that_is_imported_or_loaded(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write to a scope that is read forges a record that names modules of the victim's own machine."""
    traces = tmp_path / "traces"
    traces.mkdir()
    project.write(
        shop=f"""
        from pathlib import Path
        from mlrepro import ml_asset, ml_definitions

        class Trap:
            def __reduce__(self):
                return eval, (f"__import__('pathlib').Path('{traces}', 'loaded').touch()",)

        @ml_asset
        def trap() -> object:
            return Trap()

        defs = ml_definitions(assets=[trap])
        """,
        wipe=f"""
        from pathlib import Path
        Path({str(traces)!r}, "imported").touch()
        """,
    )
    project.materialize(MLREPRO_SCOPE="team_a")
    (traces / "loaded").unlink(missing_ok=True)
    theirs = open_store(str(project.store), scope="team_a")
    input_hash = version("trap", store=theirs).input_hash
    assert input_hash is not None
    found = theirs.get_result(input_hash)
    assert found is not None
    record = dict(found.record)
    source = {"name": "wipe:run", "file": "wipe.py", "line": 1, "text": "def run(): ..."}
    forged = theirs.write_bytes(json.dumps([source]).encode())
    record["code"] = {
        **record["code"],
        "sources": forged,
        "function": "wipe:run",
        "definitions": {"module": "wipe"},
        "files": None,
    }
    theirs.replace_result(input_hash, record)
    monkeypatch.chdir(project.code)
    reading = open_store(str(project.store), scope="team_b", read_scopes=["team_a"])

    for name in ("trap", "trap@v1"):
        for env in ("current", "recorded"):
            refused = reproduce(name, store=reading, repository=project.code, module="wipe", env=env)
            assert (refused.verdict, refused.exit_code) == ("not tried", 2)
            (said,) = refused.missing
            assert said == (
                "the record of trap v1 is of scope 'team_a', which is not trusted, so nothing that it names is run: if"
                " you trust all who write there, add 'team_a' to MLREPRO_TRUSTED_SCOPES; to trust one publisher, add"
                " their key to MLREPRO_TRUSTED_KEYS (team_a=ed25519:...)"
            )
    assert list(traces.iterdir()) == []
    monkeypatch.setenv("MLREPRO_TRUSTED_SCOPES", "team_a")
    trusting = open_store(str(project.store), scope="team_b", read_scopes=["team_a"])
    assert reproduce("trap", store=trusting, repository=project.code).verdict == "not tried", "it was forged"
    assert [each.name for each in traces.iterdir()] == ["imported"], "the trap works"


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
