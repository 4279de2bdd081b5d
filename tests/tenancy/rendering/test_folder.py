"""Writing to a folder: whole files, and nothing of anybody else's."""

from pathlib import Path

import pytest

from mlrepro.errors import TenantsError
from mlrepro.tenancy.rendering import changes, write
from mlrepro.tenancy.rendering.folder import INDEX


def tree(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    files = {"a/x.yaml": "1\n", "b.json": "2\n"}
    assert write(files, tmp_path).added == ("a/x.yaml", "b.json")
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    assert not write(files, tmp_path)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


def test_what_is_no_longer_rendered_goes_with_its_folder(tmp_path: Path) -> None:
    write({"gone/x.yaml": "1\n", "stays.yaml": "2\n"}, tmp_path)
    assert set(write({"stays.yaml": "2\n"}, tmp_path).removed) == {"gone/x.yaml"}
    assert set(tree(tmp_path)) == {"stays.yaml", INDEX}
    assert not (tmp_path / "gone").exists()


def test_what_somebody_changed_is_kept(tmp_path: Path) -> None:
    write({"x.yaml": "1\n", "y.yaml": "1\n"}, tmp_path)
    (tmp_path / "x.yaml").write_text("mine\n")
    assert write({"y.yaml": "1\n"}, tmp_path).kept == ("x.yaml",)
    assert (tmp_path / "x.yaml").read_text() == "mine\n"


@pytest.mark.parametrize("known", [True, False], ids=["changed since", "never ours"])
def test_what_is_somebody_elses_is_not_overwritten(known: bool, tmp_path: Path) -> None:
    if known:
        write({"x.yaml": "1\n"}, tmp_path)
    (tmp_path / "x.yaml").write_text("mine\n")
    before = tree(tmp_path)
    with pytest.raises(TenantsError, match=r"x\.yaml\. Nothing was written"):
        write({"x.yaml": "2\n", "new.yaml": "3\n"}, tmp_path)
    assert tree(tmp_path) == before
    write({"x.yaml": "2\n"}, tmp_path, force=True)
    assert (tmp_path / "x.yaml").read_text() == "2\n"


def test_files_of_others_beside_ours_stay(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello\n")
    write({"x.yaml": "1\n"}, tmp_path)
    write({}, tmp_path)
    assert set(tree(tmp_path)) == {"README.md", INDEX}


@pytest.mark.parametrize("at", range(6))
def test_a_writer_that_is_killed_leaves_whole_files_and_the_next_one_goes_on(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"a.yaml": "old\n", "b.yaml": "old\n", "gone.yaml": "old\n"}
    new = {"a.yaml": "new\n", "b.yaml": "new\n", "c.yaml": "new\n"}
    write(old, tmp_path)
    left = at
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        try:
            write(new, tmp_path)
        except KeyboardInterrupt:
            assert at < 5
    assert {text for name, text in tree(tmp_path).items() if name != INDEX} <= {"old\n", "new\n"}
    write(new, tmp_path)
    assert {name: text for name, text in tree(tmp_path).items() if name != INDEX} == new


def test_the_difference_is_what_writing_does(tmp_path: Path) -> None:
    write({"a.yaml": "1\n2\n", "gone.yaml": "x\n"}, tmp_path)
    files = {"a.yaml": "1\n3\n", "new.yaml": "y\n"}
    found = changes(files, tmp_path)
    assert found.to_json() == {
        "added": ["new.yaml"], "changed": ["a.yaml"], "removed": ["gone.yaml"], "kept": [], "foreign": [],
    }  # fmt: skip
    lines = found.unified(files).splitlines()
    assert {line for line in lines if line[0] in "+-" and line[:3] not in {"+++", "---"}} == {"-2", "+3", "-x", "+y"}
    assert {"--- /dev/null", "+++ /dev/null"} <= set(lines)
    assert tree(tmp_path)["a.yaml"] == "1\n2\n"


@pytest.mark.parametrize(
    "index", ["{", "[]", '{"by": "someone"}', '{"by": "mlrepro tenants render", "files": {"../x": ["0"]}}']
)
def test_an_index_that_is_not_ours_is_refused(index: str, tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(index)
    with pytest.raises(TenantsError, match=r"rendered\.json"):
        write({"x.yaml": "1\n"}, tmp_path)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    with pytest.raises(TenantsError, match="there"):
        write({"x.yaml": "1\n"}, tmp_path / "there")


def test_files_can_be_read_by_others(tmp_path: Path) -> None:
    write({"x.yaml": "1\n"}, tmp_path)
    assert (tmp_path / "x.yaml").stat().st_mode & 0o777 == 0o644
