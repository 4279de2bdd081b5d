"""`mlrepro tokens create`, `list` and `revoke`."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlrepro.tenancy.token_file import create_token, read_tokens, revoke_token, sha256
from tests.cli.conftest import Command

Run = Callable[..., str]


@pytest.fixture
def run(command: Command) -> Run:
    """Runs a verb that works; what it prints."""

    def call(*arguments: str) -> str:
        code, printed, told = command("tokens", *arguments)
        assert code == 0, told
        return printed

    return call


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "tokens.json")


def test_a_tokens_life(run: Run, file: str) -> None:
    token = run("create", "--user", "ci@example.com", "--group", "delay", "--expires", "90d", file).strip()
    assert token.startswith("mlr_")
    assert len(token) > 40
    listed = run("list", file)
    assert token not in listed
    assert "ci@example.com" in listed
    (entry,) = json.loads(run("list", file, "--json"))
    assert (entry["user"], entry["groups"], entry["expired"]) == ("ci@example.com", ["delay"], False)
    assert entry["id"] == sha256(token)[:12]
    assert run("revoke", entry["id"], file) == f"{entry['id']} of ci@example.com is revoked\n"
    assert json.loads(run("list", file, "--json")) == []


def test_as_json(run: Run, file: str) -> None:
    made = json.loads(run("create", "--user", "ci", file, "--json"))
    assert made == {"token": made["token"], "user": "ci", "groups": [], "file": file}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create", "--user", " ", "FILE"], "' ' is no name of a user or a group"),
        (["create", "--user", "a\nb", "FILE"], "is no name of a user or a group"),
        (["create", "--user", "a", "--group", "", "FILE"], "'' is no name of a user or a group"),
        (["create", "--user", "a", "--expires", "3x", "FILE"], "'3x' is no length of time"),
        (["create", "--user", "a", "--expires", "999999999d", "FILE"], "--expires"),
        (["create", "FILE"], "--user"),
        (["create", "--user", "a", "nowhere/tokens.json"], "nowhere/tokens.json can't be written"),
        (["list", "nowhere.json"], "nowhere.json can't be read: No such file or directory"),
        (["revoke", "0123456789ab", "FILE"], "has not a token '0123456789ab': `mlrepro tokens list"),
        (["revoke", "mlr_secret", "FILE"], "has not that token"),
    ],
)
def test_mistakes_end_in_a_line(command: Command, file: str, arguments: list[str], says: str) -> None:
    create_token(Path(file), "first")
    code, printed, told = command("tokens", *(file if argument == "FILE" else argument for argument in arguments))
    assert (code != 0, printed) == (True, "")
    assert says in told
    assert "mlr_secret" not in told


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 2}', '{"tokens": [{"user": "a"}]}', "\udcff"])
def test_what_is_no_file_of_tokens_is_left_as_it_is(command: Command, file: str, content: str) -> None:
    Path(file).write_text(content, errors="surrogateescape")
    before = Path(file).read_bytes()
    code, _, told = command("tokens", "create", "--user", "a", file)
    assert (code, "is no file of tokens" in told) == (1, True)
    assert Path(file).read_bytes() == before


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    create_token(file, "first")
    identifier = read_tokens(file)[0].id
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda number: create_token(file, f"user {number}"), range(60)))
        revoke_token(file, identifier)
    assert {token.sha256 for token in read_tokens(file)} == {sha256(token) for token in made}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tokens.json.lock", "tokens.json"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    create_token(file, "first")
    with ThreadPoolExecutor(4) as pool:
        writing = pool.submit(lambda: [create_token(file, "more") for _ in range(50)])
        counts = [len(read_tokens(file))]
        while not writing.done():
            counts.append(len(read_tokens(file)))
    assert counts == sorted(counts)


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    link = tmp_path / "tokens.json"
    link.symlink_to("data/tokens.json")
    create_token(link, "ci")
    assert link.is_symlink()
    assert len(read_tokens(tmp_path / "data" / "tokens.json")) == 1
