import os
from pathlib import Path
from typing import Any

import pytest

from mlrepro.bundles import fetch
from mlrepro.bundles.comparing import workflow_diff
from mlrepro.bundles.pushing import Pushed, push
from mlrepro.catalog.workflows import current_version, workflow_version
from mlrepro.errors import BundleError
from mlrepro.store import Store, open_store
from mlrepro.store.keys import blob_key
from tests.bundles.project import commit, definitions, write_project, write_tree


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


def do(store: Store, project: Path, **more: Any) -> Pushed:
    cache = project.parent / "cache"
    return push("pricing", "pricing.definitions", root=project, store=store, who="ada", cache=cache, **more)


def test_a_push_appends_who_when_commit_bundle_and_environment(store: Store, project: Path) -> None:
    made = commit(project)
    pushed = do(store, project, reason="first", image="registry/pricing:7")
    body = workflow_version(store, "pricing", 1).to_json()
    assert (body["who"], body["reason"], body["image"]) == ("ada", "first", "registry/pricing:7")
    assert body["git"] == {"commit": made, "dirty": False}
    assert pushed.packed is not None
    assert body["bundle"]["content_hash"] == pushed.packed.digest
    assert body["counts"] == {"assets": 2, "jobs": 4, "resources": 1}
    assert "dagster==" in store.read_bytes(body["environment"]["freeze"]).decode()
    (project / "pricing/query.sql").write_text("select 2\n")
    second = do(store, project)
    assert second.version.body["git"] == {"commit": made, "dirty": True}
    assert (second.version.number, second.sent.files) == (2, 1)
    assert second.version.digest == pushed.version.digest  # another bundle, the same definitions
    assert "the same definitions" in str(second)
    assert do(store, project).new is False


def test_the_store_and_dagsters_home_are_no_source(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = project / "home"
    write_tree(home, {"dagster.yaml": "", "storage/run.txt": "1"})
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    first = do(open_store(str(project / "store")), project)
    assert first.packed is not None
    assert not [name for name in first.packed.manifest.entries if name.startswith(("home/", "store/"))]
    assert do(open_store((project / "store").as_uri()), project).new is False
    assert "2 assets, 4 jobs, 1 resource;" in str(first)


def test_a_diff_shows_what_was_added_removed_and_changed(store: Store, project: Path) -> None:
    do(store, project)
    more = "@ml_asset\ndef extra() -> int:\n    return 1\n"
    text = definitions(2, more).replace("assets=[numbers, total]", "assets=[numbers, total, extra]")
    write_tree(project, {"pricing/definitions.py": text, "pricing/new.sql": ""})
    do(store, project)
    diff = workflow_diff(store, workflow_version(store, "pricing", 1), workflow_version(store, "pricing", 2))
    assert [(each.kind, each.name, each.what) for each in diff.differences if each.kind == "assets"] == [
        ("assets", "extra", "added"),
        ("assets", "total", "changed"),
    ]
    assert diff.files == {"pricing/definitions.py": "changed", "pricing/new.sql": "added"}
    assert "-    return 1 * sum(numbers)\n+    return 2 * sum(numbers)" in str(diff)


BROKEN: dict[str, tuple[dict[str, str], str]] = {
    "a mistake in the code": (
        {"pricing/definitions.py": "import dagster as dg\n\n1 / 0\n"},
        r"ZeroDivisionError: division by zero \(pricing/definitions.py, line 3\)",
    ),
    "a mistake of syntax": (
        {"pricing/definitions.py": "def f(:\n"},
        r"SyntaxError.*\(pricing/definitions.py, line 1\)",
    ),
    "a module that is missing": (
        {"pricing/definitions.py": "import pricing.helpers\n"},
        r"No module named 'pricing.helpers' \(pricing/definitions.py, line 1\)",
    ),
    "no definitions": ({"pricing/definitions.py": "x = 1\n"}, "does not load"),
    "an asset twice": (
        {"pricing/definitions.py": definitions() + "defs = dg.Definitions(assets=[total, total.with_attributes()])\n"},
        "does not load",
    ),
    "the end of the process": ({"pricing/definitions.py": "import os\nos._exit(3)\n"}, "ended the process.* code 3"),
    "sys.exit": ({"pricing/definitions.py": "raise SystemExit('bye')\n"}, "bye"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_does_not_load_is_told_and_nothing_is_appended(store: Store, project: Path, case: str) -> None:
    files, why = BROKEN[case]
    write_tree(project, files)
    with pytest.raises(BundleError, match=why) as caught:
        do(store, project)
    assert "\n" not in str(caught.value)
    assert current_version(store, "pricing") is None


def test_a_module_that_was_not_added_to_git_is_named(store: Store, project: Path) -> None:
    commit(project)
    write_tree(project, {"pricing/definitions.py": "import pricing.helpers\n", "pricing/helpers.py": ""})
    with pytest.raises(BundleError, match=r"git does not track pricing/helpers\.py: git add it"):
        do(store, project)


def test_a_module_that_hangs_is_given_up(store: Store, project: Path) -> None:
    write_tree(project, {"pricing/definitions.py": "import time\ntime.sleep(600)\n"})
    with pytest.raises(BundleError, match="did not load within 3 s"):
        do(store, project, timeout=3)


@pytest.mark.parametrize("module", ["pricing.nothing", "../pricing", "pricing definitions", ""])
def test_a_module_that_is_not_in_the_bundle_is_refused_before_anything_is_sent(
    store: Store, project: Path, module: str
) -> None:
    with pytest.raises(BundleError):
        push("pricing", module, root=project, store=store)
    assert not Path(store.url.removeprefix("file://")).exists()


def test_a_src_layout_is_found(store: Store, tmp_path: Path) -> None:
    write_tree(tmp_path / "p", {"src/pricing/__init__.py": "", "src/pricing/definitions.py": definitions()})
    assert do(store, tmp_path / "p").version.import_from == "src"


def test_what_an_image_holds_is_noted_without_a_bundle(store: Store, project: Path) -> None:
    with pytest.raises(BundleError, match="--image NAME:TAG"):
        do(store, project, bundle=False)
    pushed = do(store, project, bundle=False, image="registry/pricing:v7")
    assert (pushed.version.bundle, pushed.version.image) == (None, "registry/pricing:v7")
    assert "image registry/pricing:v7)" in str(pushed)
    assert do(store, project, bundle=False, image="registry/pricing:v8").new


def test_a_module_that_is_installed_elsewhere_does_not_pass_for_the_bundle(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path / "elsewhere", {"sitecustomize.py": "import pricing.definitions\n"})
    write_project(tmp_path / "elsewhere")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'elsewhere'}{os.pathsep}{Path.cwd()}")
    with pytest.raises(BundleError, match=r"was loaded from .*elsewhere"):
        do(store, write_project(tmp_path / "project", 2))


def test_a_file_that_the_store_lost_is_sent_again(store: Store, project: Path) -> None:
    first = do(store, project)
    assert first.packed is not None
    lost = first.packed.manifest.entries["pricing/query.sql"]
    store._objects.delete(blob_key("default", lost.digest))  # type: ignore[union-attr]
    write_project(project, 2)
    second = do(store, project)
    assert second.packed is not None
    assert fetch(store, second.packed.digest, project.parent / "other").is_dir()


LOCK = """version = 1
[[package]]
name = "pandas"
version = "{}"
[[package]]
name = "pricing"
version = "{}"
source = {{ editable = "." }}
"""


def test_a_lock_that_differs_from_that_of_the_image_stops_the_push(
    store: Store, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path, {"image.lock": LOCK.format("2.2.1", "1.0"), "project/uv.lock": LOCK.format("2.2.3", "1.1")})
    monkeypatch.setenv("MLREPRO_IMAGE_LOCK", str(tmp_path / "image.lock"))
    with pytest.raises(
        BundleError, match=r"uv\.lock differs from MLREPRO_IMAGE_LOCK.*pandas 2\.2\.1 -> 2\.2\.3.*--allow"
    ):
        do(store, project)
    assert not Path(store.url.removeprefix("file://")).exists()
    assert do(store, project, allow_lock_drift=True).new
    write_tree(project, {"uv.lock": LOCK.format("2.2.1", "1.2")})
    assert do(store, project).new


def test_without_the_image_s_lock_the_one_of_the_version_before_counts(store: Store, project: Path) -> None:
    write_tree(project, {"requirements.txt": "pandas==2.2.1\nscikit_learn==1.5  # models\n"})
    do(store, project)
    write_tree(project, {"requirements.txt": "pandas==2.2.1\nscikit-learn==1.6\n"})
    with pytest.raises(BundleError, match=r"differs from requirements\.txt of v1.*scikit-learn 1\.5 -> 1\.6"):
        do(store, project)
    assert do(store, project, allow_lock_drift=True).version.number == 2
    write_project(project, 2)
    assert do(store, project).version.number == 3  # the drift was allowed once, and is the new state


def test_without_any_lock_the_libraries_that_the_code_uses_count(store: Store, project: Path) -> None:
    text = definitions().replace("return [1, 2, 3]", "import numpy\n    return numpy.arange(3).tolist()")
    write_tree(project, {"pricing/definitions.py": text})
    pushed = do(store, project)
    assert "numpy" in pushed.version.body["libraries"]

    def other(newest: Any) -> dict[str, Any]:
        return {
            **newest.body,
            "libraries": {**newest.body["libraries"], "numpy": "1.0", "gone": "1"},
            "digest": "other",
        }

    store.append(("locations", "pricing"), other)
    with pytest.raises(BundleError, match=r"the environment here differs.*numpy 1\.0 -> "):
        do(store, project)
