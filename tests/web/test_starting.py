"""`mlrepro webserver` that can't start says in one line what is missing, before anything slow is done."""

import socket
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mlrepro.cli.app import app
from mlrepro.cli.webserver import webserver_command
from mlrepro.errors import MlreproError
from tests.web.installation import installation_files

assert webserver_command.name == "webserver"


def refusal(folder: Path, *options: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("MLREPRO_TENANTS", raising=False)
    result = CliRunner().invoke(app, ["webserver", *options])
    if isinstance(result.exception, MlreproError):
        return str(result.exception)
    assert result.exit_code == 2, result.output
    return result.output.splitlines()[-1]


LARS = ("--auth", "none", "--user", "lars")


def test_without_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation_files(tmp_path, "shared")
    assert refusal(tmp_path, monkeypatch=monkeypatch) == (
        "tenants.yaml has no section identity, so nobody could be known: write one, or use --auth none --user NAME on"
        " this machine"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_without_login_on_an_address_that_others_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    installation_files(tmp_path, "shared")
    told = refusal(tmp_path, *LARS, "--home", ".", "-h", host, monkeypatch=monkeypatch)
    assert f"refused on '{host}'" in told


def test_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation_files(tmp_path, "shared")

    def told(*options: str) -> str:
        return refusal(tmp_path, *options, monkeypatch=monkeypatch)

    assert told("--auth", "none") == "Error: --auth none needs --user: who everybody is"
    assert "--user is for --auth none" in told("--user", "lars")
    assert told(*LARS) == "no folder with dagster.yaml is named: give --home, or set DAGSTER_HOME"
    assert "gone is no folder" in told(*LARS, "--home", "gone", "-p", "0")
    assert "must begin with a slash" in told(*LARS, "--home", ".", "-l", "dagster")
    (tmp_path / "taken.yaml").write_text("load_from: [{grpc_server: {port: 1, location_name: delay@v2}}]")
    assert told(*LARS, "--home", ".", "-w", "taken.yaml", "-p", "0") == (
        "taken.yaml has code location delay@v2, which would be what delay can't serve: rename it"
    )
    assert "gone.yaml is not there" in told(*LARS, "--home", ".", "-w", "gone.yaml", "-p", "0")
    assert "gone/audit.jsonl can't be written" in told(*LARS, "--home", ".", "--audit", "gone/audit.jsonl", "-p", "0")
    assert "gone.yaml" in told("--tenants", "gone.yaml")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert told(*LARS, "--home", ".", "-p", port) == f"port {port} of 127.0.0.1 is taken: name another by --port"


@pytest.mark.parametrize(
    ("dagster_yaml", "why"),
    [
        (
            "storage: {postgres: {postgres_url: {env: NOWHERE_SET}}}",
            "dagster.yaml takes NOWHERE_SET from the environment, where it is not set",
        ),
        ("storage: {postgres: {host: db}}", 'Received unexpected config entry "host" at path root'),
    ],
)
def test_a_dagster_yaml_that_can_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dagster_yaml: str, why: str
) -> None:
    installation_files(tmp_path, "shared")
    (tmp_path / "dagster.yaml").write_text(dagster_yaml)
    told = refusal(tmp_path, *LARS, "--home", ".", "-p", "0", monkeypatch=monkeypatch)
    assert told.startswith(f"the Dagster instance of . can't be opened: {why}")
    assert len(told.splitlines()) == 1


def test_a_location_that_tenants_yaml_has_and_the_workspace_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation_files(tmp_path, "shared")
    file = tmp_path / "workspace.yaml"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "fleet" not in line))
    told = refusal(tmp_path, *LARS, "--home", ".", "-p", "0", monkeypatch=monkeypatch)
    assert (
        told
        == "tenant aircraft has code location fleet, which workspace.yaml lacks: render it anew, or add the location"
    )


def test_a_workspace_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation_files(tmp_path, "shared")
    for text in ("load_from: 7\n", "- [\n", "load_from: [{python_module: {}}]\n"):
        (tmp_path / "workspace.yaml").write_text(text)
        told = refusal(tmp_path, *LARS, "--home", ".", "-p", "0", monkeypatch=monkeypatch)
        assert told.startswith("workspace.yaml can't be read: "), told


@pytest.mark.parametrize(
    "text",
    [
        "storage: [\n",
        "run_coordinator: {module: nowhere, class: Nothing}\n",
        "storage: {postgres: {postgres_db: {username: a, password: {env: NOT_SET}, hostname: h, db_name: d}}}\n",
        pytest.param(
            "storage: {postgres: {postgres_url: 'postgresql://a:b@127.0.0.1:1/d'}}\n",
            marks=pytest.mark.slow,  # it is tried several times
        ),
    ],
)
def test_a_dagster_yaml_that_can_not_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    installation_files(tmp_path, "shared")
    (tmp_path / "dagster.yaml").write_text(text)
    told = refusal(tmp_path, *LARS, "--home", ".", "-p", "0", monkeypatch=monkeypatch)
    assert told.startswith("the Dagster instance of . can't be opened: "), told
    assert "\n" not in told


def test_isolated_tenants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation_files(tmp_path, "isolated")

    def told(*options: str) -> str:
        return refusal(tmp_path, *LARS, "--home", ".", "-p", "0", *options, monkeypatch=monkeypatch)

    assert "leave --workspace out" in told("-w", "delay/workspace.yaml")
    (tmp_path / "delay" / "workspace.yaml").write_text(
        (tmp_path / "delay" / "workspace.yaml").read_text()
        + (tmp_path / "aircraft" / "workspace.yaml").read_text().split("\n", 1)[1]
    )
    assert "has code location fleet, which is tenant aircraft's: take it out" in told()
    (tmp_path / "aircraft" / "dagster.yaml").unlink()
    assert "tenant aircraft has no aircraft/dagster.yaml" in told()


def test_the_verb_explains_itself() -> None:
    text = click.Context(webserver_command).get_help()
    assert "--auth none --user ana@example.com" in text
