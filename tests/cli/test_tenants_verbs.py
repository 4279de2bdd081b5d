"""`mlrepro tenants`, called in process; what it prints is what an administrator reads."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlrepro.cli import main
from mlrepro.tenancy.schema import json_schema
from tests.tenancy.files import EXAMPLE, small, team

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mlrepro", "tenants", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        printed = capsys.readouterr()
        return int(exit_.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "tenants.yaml"
    found.write_text(EXAMPLE.read_text())
    return found


def test_check_takes_the_file_in_the_working_directory(run: Run, file: Path) -> None:
    assert run("check") == (0, "tenants.yaml: 2 tenants, nothing wrong\n", "")


def test_check_tells_everything_at_once(run: Run, file: Path) -> None:
    file.write_text(small(team("a", "x: 1"), team("b", "namespace: a")))
    code, out, _ = run("check")
    assert code == 1
    assert [line.split(": ")[1] for line in out.splitlines()] == ["tenant a, x", "tenant b, namespace"]
    code, out, _ = run("check", "--json")
    assert code == 1
    assert [(problem["line"], problem["field"]) for problem in json.loads(out)["problems"]] == [
        (9, "x"),
        (13, "namespace"),
    ]


def test_render_writes_and_diff_shows_what_it_would(run: Run, file: Path, tmp_path: Path) -> None:
    assert run("diff", "--to", "out")[0] == 1
    assert not (tmp_path / "out").exists()
    assert run("render", "--to", "out") == (0, "2 tenants: 13 files in out, 13 added\n", "")
    assert run("diff", "--to", "out") == (0, "", "")
    file.write_text(file.read_text().replace("runs: 4", "runs: 5"))
    code, out, _ = run("diff", "--to", "out")
    assert code == 1
    assert "-          runs: 4\n+          runs: 5\n" in out
    answer = json.loads(run("render", "--to", "out", "--json")[1])
    assert answer["changed"] == ["kubernetes/aircraft.yaml", "kubernetes/mlrepro.webserver.yaml"]


def test_a_tenant_that_is_gone_takes_its_files_along(run: Run, file: Path, tmp_path: Path) -> None:
    file.write_text(small(team("a"), team("b")))
    run("render", "--to", "out")
    file.write_text(small(team("a")))
    assert "3 removed" in run("render", "--to", "out")[1]
    assert not (tmp_path / "out/kubernetes/b.yaml").exists()


def test_nothing_is_written_while_something_is_wrong(run: Run, file: Path, tmp_path: Path) -> None:
    file.write_text(small(team("a", "x: 1")))
    code, out, err = run("render", "--to", "out")
    assert (code, out) == (1, "")
    assert err.startswith("mlrepro: tenants.yaml:9: tenant a, x: unknown field")
    assert not (tmp_path / "out").exists()


def test_without_an_image_it_says_what_is_left_out(run: Run, file: Path) -> None:
    file.write_text(small(team("a")).replace("  image: registry.example.com/all:1\n", ""))
    assert "instance.image must say" in run("render", "--to", "out")[2]


def test_a_file_that_is_not_there(run: Run) -> None:
    assert run("check", "nowhere.yaml") == (
        1,
        "",
        (
            "mlrepro: nowhere.yaml can't be read: No such file or directory."
            " `mlrepro tenants --help` shows how to begin one\n"
        ),
    )


def test_schema(run: Run) -> None:
    assert run("schema")[1] == json_schema()


def test_the_example_in_the_help_is_right(run: Run, file: Path) -> None:
    help_ = run("--help")[1]
    example = help_[help_.index("    instance:") : help_.index("    mlrepro tenants check")]
    file.write_text(example)
    assert run("check") == (0, "tenants.yaml: 1 tenant, nothing wrong\n", "")
