"""`mlrepro audit`: who asked to change what, and what came of it."""

import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlrepro.cli.app import app
from mlrepro.cli.audit import audit_command
from mlrepro.errors import AuditError
from mlrepro.tenancy import Identity
from mlrepro.web.audit import AuditLog

assert audit_command.name == "audit"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    log = AuditLog(tmp_path / "audit.jsonl")
    ana, bob = Identity("ana"), Identity("bob\x1b[31m")
    entry = log.asked("launchRun", connection=None, identity=ana, target={"location": "delay"}, tenants=["delay"])
    log.asked(
        "wipeAssets", connection=None, identity=bob, target={"assets": ["a", "b"]}, tenants=["delay"], refused="no"
    )
    log.done(entry, {"outcome": "LaunchRunSuccess", "runs": ["a4c1"]})
    log.asked("reloadWorkspace", connection=None, identity=ana, target={}, tenants=[])
    return log.path


def told(file: Path, *options: str) -> list[str]:
    return [
        line.split("  ", 1)[1] for line in CliRunner().invoke(app, ["audit", str(file), *options]).stdout.splitlines()
    ]


def test_each_attempt_with_what_came_of_it(file: Path) -> None:
    assert told(file) == [
        "ana from None  launchRun of location delay  LaunchRunSuccess a4c1",
        "bob?[31m from None  wipeAssets of assets a b  refused: no",
        "ana from None  reloadWorkspace  no outcome: the webserver ended before",
    ]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--user", "ana"], [0, 2]),
        (["--tenant", "delay"], [0, 1]),
        (["--refused"], [1]),
        (["--since", "2999-01-01"], []),
        (["--since", "2000-01-01", "--user", "ana", "--tenant", "delay"], [0]),
    ],
)
def test_some_of_them(file: Path, options: list[str], shown: list[int]) -> None:
    assert told(file, *options) == [told(file)[number] for number in shown]


def test_for_machines(file: Path) -> None:
    lines = CliRunner().invoke(app, ["audit", str(file), "--json"]).stdout.splitlines()
    first = json.loads(lines[0])
    assert (first["user"], first["outcome"], first["runs"]) == ("ana", "LaunchRunSuccess", ["a4c1"])


def test_a_damaged_line_is_named_and_left_out(file: Path) -> None:
    file.write_text('{"time": \n[1]\n' + file.read_text())
    result = CliRunner().invoke(app, ["audit", str(file)])
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr.splitlines() == [f"{file}:{number} is no entry, and is left out" for number in (1, 2)]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["audit", str(tmp_path / "gone.jsonl")])
    assert isinstance(result.exception, AuditError)
    assert "gone.jsonl can't be read: No such file or directory. `mlrepro webserver` says where" in str(
        result.exception
    )


def test_a_time_of_another_zone_and_one_that_is_none(file: Path) -> None:
    first = json.loads(file.read_text().splitlines()[0])["time"]
    there = dt.datetime.fromisoformat(first).astimezone(dt.timezone(dt.timedelta(hours=9)))
    assert len(told(file, "--since", there.isoformat())) == 3
    assert told(file, "--since", (there + dt.timedelta(days=1)).isoformat()) == []
    result = CliRunner().invoke(app, ["audit", str(file), "--since", "yesterday"])
    assert result.exit_code == 2
    assert "'yesterday' is no time: write a day or a time in UTC, such as 2026-11-29" in result.output
