"""The verbs that look after a store, as a user calls them."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlrepro.cli import progress as progress_module
from mlrepro.store import Store, open_store
from mlrepro.store.housekeeping import retention
from tests.catalog.lab import MODEL, PRODUCTION, entry_key, lose, record, serve, train
from tests.cli.conftest import Command
from tests.store.housekeeping.aging import contents, grow_old


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "store"), options={"durable": "false"})
    for number in range(12):
        version = train(store, b"x" * 1000 + str(number).encode())
        store.put_result(version.input_hash, record(version, assets=["churn_model"]))
    grow_old(store, 100)
    return store


@pytest.fixture
def run(store: Store, monkeypatch: pytest.MonkeyPatch, command: Command) -> Command:
    monkeypatch.setenv("MLREPRO_STORE", store.url)
    monkeypatch.setenv("MLREPRO_USER", "ada")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return command


class TestGc:
    def test_says_what_would_go_and_changes_nothing(self, run: Command, store: Store) -> None:
        before = contents(store)
        code, out, err = run("gc")
        assert (code, err) == (0, "")
        assert "this would be done with --delete" in out
        assert "set aside        2  2.0 kB" in out
        assert "2.0 kB  churn_model" in out
        assert contents(store) == before

    def test_deletes_what_was_set_aside_before(self, run: Command, store: Store) -> None:
        assert "freed now: 0 B; freed by the next gc after the grace period of 1d: 2.6 kB" in run("gc", "--delete")[1]
        grow_old(store, 2)
        assert "freed now: 2.6 kB" in run("gc", "--delete")[1]
        assert next(store.entries(("gc",))).body["who"] == "ada"

    def test_takes_a_policy(self, run: Command) -> None:
        told = json.loads(run("gc", "--keep-versions", "2", "--json")[1])
        assert told["set_aside"]["blob"] == {"count": 10, "bytes": 10 * 1001}
        assert told["policy"]["grace"] == 86_400
        assert json.loads(run("gc", "--younger-than", "101d", "--json")[1])["set_aside"] == {}

    def test_refuses_a_short_grace_period(self, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        code, _, err = run("gc", "--grace", "59m")
        assert code == 1
        assert "a grace period of 59m is too short" in err
        assert "--grace 1h or more" in err
        monkeypatch.setattr(retention, "LEAST_GRACE", dt.timedelta(minutes=1))
        assert run("gc", "--grace", "59m")[0] == 0

    @pytest.mark.parametrize("text", ["soon", "3", "-1d", "1e9w", "99999999999w"])
    def test_refuses_what_is_no_time_span(self, run: Command, text: str) -> None:
        code, _, err = run("gc", "--younger-than", text)
        assert code == 1
        assert f"{text!r} is no time span: write a number and a unit, such as 30d" in err

    def test_tells_of_what_cannot_be_read(self, run: Command, store: Store) -> None:
        store._objects.delete(entry_key(store, ("versions", *MODEL, "_"), 12))
        store._objects.create(entry_key(store, ("versions", *MODEL, "_"), 12), b"{")
        code, _, err = run("gc")
        assert code == 0
        assert err.startswith("note: default/versions/churn_model/_/")


class TestFsck:
    def test_of_a_clean_store(self, run: Command) -> None:
        code, out, _ = run("fsck")
        assert code == 0
        assert "scope default: clean; 24 records and 12 (11.7 kB) of blobs checked" in out

    def test_tells_of_each_problem_what_to_do(self, run: Command, store: Store) -> None:
        lose(store, train(store, b"lost"))
        code, out, _ = run("fsck", "--quick")
        assert code == 1
        assert "missing blob: default/blobs/sha256/" in out
        assert "(churn_model@v13)" in out
        assert "materialize it again" in out
        assert "1 problem" in out

    def test_repairs(self, run: Command, store: Store) -> None:
        store._objects.delete(entry_key(store, ("versions", *MODEL, "_"), 3))
        assert "filled with an entry that says it is lost" in run("fsck", "--repair")[1]
        assert json.loads(run("fsck", "--json")[1])["clean"] is True


class TestStats:
    def test_sizes_without_an_instance(self, run: Command) -> None:
        code, out, _ = run("stats")
        assert code == 0
        assert "churn_model  11.7 kB       12         12          12" in out
        assert "hits and seconds saved: unknown, as DAGSTER_HOME is not set" in out

    def test_as_json(self, run: Command) -> None:
        told = json.loads(run("stats", "--json")[1])
        assert told["scopes"][0]["assets"][0]["versions"] == 12
        assert told["savings"] is None


class TestCopy:
    def test_copies_and_skips_what_is_there(self, run: Command, store: Store, tmp_path: Path) -> None:
        code, out, _ = run("copy", store.url, str(tmp_path / "copy"))
        assert code == 0
        assert ["copied", "12", "11.7", "kB", "24"] in [line.split() for line in out.splitlines()]
        serve(store, b"new")
        told = json.loads(run("copy", store.url, str(tmp_path / "copy"), "--json")[1])
        assert {kind: amount["count"] for kind, amount in told["copied"].items()} == {
            "blob": 1,
            "version": 1,
            "channel": 1,
        }

    def test_tells_of_conflicts(self, run: Command, store: Store, tmp_path: Path) -> None:
        serve(open_store(str(tmp_path / "copy"), options={"durable": "false"}), b"theirs")
        serve(store, b"ours", name=PRODUCTION)
        code, out, _ = run("copy", store.url, str(tmp_path / "copy"))
        assert code == 1
        assert "conflict: default/channels/churn_model/production/_/999999999998.json: the target has another" in out

    def test_a_wrong_url_is_one_line(self, run: Command, tmp_path: Path) -> None:
        code, out, err = run("copy", "ftp://somewhere", str(tmp_path))
        assert (code, out) == (1, "")
        assert err.count("\n") == 1
        assert "ftp://somewhere is of no known kind of store" in err


class TestProgress:
    def test_a_long_command_tells_how_far_it_is(self, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(progress_module, "_LOG", 0.0)
        lines = run("fsck")[2].splitlines()
        assert "24 records read in scope default" in lines
        assert "12 blobs read in scope default" in lines

    def test_a_short_one_says_nothing(self, run: Command) -> None:
        assert run("fsck")[2] == ""

    def test_interrupted_it_ends_without_a_traceback(self, store: Store, tmp_path: Path) -> None:
        command = [sys.executable, "-c", INTERRUPTED, "copy", store.url, str(tmp_path / "copy")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1
        assert done.stderr.strip() == "Aborted!"


INTERRUPTED = """
import os, signal, threading
from mlrepro.cli import main
from mlrepro.store.housekeeping import copying
interrupted = threading.Event()
def on_interrupt(*_):
    interrupted.set()
    raise KeyboardInterrupt
def until_ctrl_c(self, scope, row):
    os.kill(os.getpid(), signal.SIGINT)
    interrupted.wait(30)
signal.signal(signal.SIGINT, on_interrupt)
copying._Copying._blob = until_ctrl_c
main()
"""


@pytest.mark.parametrize("verb", ["gc", "fsck"])
def test_where_nothing_is_the_verb_says_so(verb: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from mlrepro.cli import main; main()", verb, "--store", str(tmp_path / "mistyped")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "nothing is stored in scope default of" in done.stderr
    assert "check --store and --scope" in done.stderr
