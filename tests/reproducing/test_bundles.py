"""Code of a location that was deployed as a code bundle."""

import pytest

from mlrepro.bundles import pack, store_bundle
from mlrepro.store import open_store
from tests.reproducing.conftest import Reproduce
from tests.reproducing.project import Project


@pytest.mark.slow
def test_the_code_bundle_of_the_run_comes_first(project: Project, reproduced: Reproduce) -> None:
    project.write(
        src__shop="""
        from pathlib import Path
        from mlrepro import ml_asset, ml_definitions

        FACTORS = Path(__file__).parent / "factors.txt"

        @ml_asset
        def number() -> int:
            return len(FACTORS.read_text())

        defs = ml_definitions(assets=[number])
        """
    )
    (project.code / "src" / "factors.txt").write_text("four")
    store = open_store(str(project.store))
    packed = pack(project.code)
    store_bundle(packed, store)
    digest = packed.digest
    project.materialize("src.shop", MLREPRO_BUNDLE=digest)
    (project.code / "src" / "shop.py").unlink()
    (project.code / "src" / "factors.txt").unlink()

    found = reproduced("number")

    assert found.verdict == "same", found
    assert found.code == f"code bundle {digest[:12]}"
