"""The tenants' image. It can't be built here: its parts are checked, and its entry script runs as a process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlrepro.bundles import pack, store_bundle
from mlrepro.store import Store, open_store
from tests.bundles.project import definitions, write_tree
from tests.deployment.pages import ROOT

IMAGE = ROOT / "deployment" / "image"
ENTRY = IMAGE / "entry.sh"
PROGRAMS = Path(sys.executable).parent


def enter(home: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the entry script with what a pod would have, and what a test adds; empty is not set."""
    given = {
        "PATH": f"{PROGRAMS}:/usr/bin:/bin",
        "HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "MLREPRO_STORE": "s3://ml/mlrepro",
        **environment,
    }
    return subprocess.run(
        [str(ENTRY), *command],
        env={name: value for name, value in given.items() if value},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


GRPC = ("dagster", "api", "grpc", "-h", "0.0.0.0", "-p", "4000")


@pytest.mark.parametrize(
    ("command", "environment", "code", "told"),
    [
        ((), {}, 64, ["there is nothing to run: give a command"]),
        (
            ("mlrepro", "code-server"),
            {},
            78,
            ["MLREPRO_CODE_LOCATION is not set: it is the code location whose bundles"],
        ),
        (
            ("mlrepro", "code-server"),
            {"MLREPRO_STORE": "", "MLREPRO_CODE_LOCATION": "pricing"},
            78,
            ["MLREPRO_STORE is not set"],
        ),
        (("no-such-program",), {}, 69, ["no-such-program is not in the image"]),
        (GRPC, {}, 78, ["nothing says what the code server is to load: give -m team.definitions"]),
        (
            (*GRPC, "-m", "team.definitions"),
            {"MLREPRO_STORE": "", "DAGSTER_HOME": ""},
            78,
            ["DAGSTER_HOME is not set", "MLREPRO_STORE is not set: it is where results go, such as s3://bucket/prefix"],
        ),
        (
            ("dagster", "--version"),
            {"MLREPRO_STORE": "ml/mlrepro"},
            78,
            ["MLREPRO_STORE is ml/mlrepro, which is no place"],
        ),
        (("dagster", "--version"), {"MLREPRO_EXECUTOR": "k8s"}, 78, ["MLREPRO_EXECUTOR is k8s: set it to kubernetes"]),
        (
            ("dagster", "api", "execute_run", '{"password": {"env": "DAGSTER_PG_PASSWORD"}}'),
            {},
            78,
            ["DAGSTER_PG_PASSWORD is not set: the secret with the key postgresql-password is not in this namespace"],
        ),
        (
            ("dagster", "--version"),
            {"DAGSTER_HOME": "/proc/dagster"},
            73,
            ["DAGSTER_HOME, /proc/dagster, can't be written"],
        ),
    ],
)
def test_what_is_missing_is_said_at_once(
    tmp_path: Path, command: tuple[str, ...], environment: dict[str, str], code: int, told: list[str]
) -> None:
    done = enter(tmp_path, *command, **environment)
    assert done.returncode == code
    lines = done.stderr.splitlines()
    assert all(line.startswith("mlrepro: ") for line in lines)
    for sentence in told:
        assert any(sentence in line for line in lines), done.stderr
    assert done.stdout == ""


def test_with_all_that_is_needed_it_becomes_the_program(tmp_path: Path) -> None:
    done = enter(tmp_path, "dagster", "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("dagster, version ")
    assert (tmp_path / "dagster").is_dir()


def test_what_was_submitted_with_a_bundle_is_run_from_it(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    digest = store_bundle_of(tmp_path, store)
    told = {"MLREPRO_STORE": (tmp_path / "store").as_uri(), "MLREPRO_BUNDLE": digest}
    told["MLREPRO_BUNDLE_CACHE"] = str(tmp_path / "bundles")
    done = enter(tmp_path, "dagster", "definitions", "validate", "-m", "podded", **told)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bundles" / digest / "podded.py").is_file()
    done = enter(tmp_path, "dagster", "--version", **{**told, "MLREPRO_BUNDLE": "5eed" * 16})
    assert done.returncode == 1
    assert "the code bundle 5eed5eed5eed can't be read from" in done.stderr
    assert enter(tmp_path, "echo", "as it is", **told).stdout == "as it is\n"


def store_bundle_of(folder: Path, store: Store) -> str:
    packed = pack(write_tree(folder / "project", {"podded.py": definitions()}))
    store_bundle(packed, store)
    return packed.digest


def test_a_program_that_is_not_dagster_needs_no_settings(tmp_path: Path) -> None:
    done = enter(tmp_path, "sh", "-c", "echo $$; exit 3", MLREPRO_STORE="", DAGSTER_HOME="")
    assert done.returncode == 3


def test_it_is_replaced_by_the_program_so_that_signals_reach_it(tmp_path: Path) -> None:
    environment = {"PATH": f"{PROGRAMS}:/usr/bin:/bin"}
    # as in a pod: what the tests' own process ignores or holds back, a program inherits
    heeds = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_SETMASK, []);"
    heeds += " signal.signal(signal.SIGTERM, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", heeds, str(ENTRY), "sleep", "60"], env=environment)
    try:
        path = Path(f"/proc/{process.pid}/cmdline")

        def became() -> bool:
            return path.read_bytes().split(b"\0")[:2] == [b"sleep", b"60"]

        from tests.kubernetes.deployment import until

        until(became, timeout=20, what="the program")
    finally:
        process.terminate()
    assert process.wait(10) == -15


def test_a_store_on_a_disk_is_warned_of(tmp_path: Path) -> None:
    done = enter(tmp_path, "dagster", "--version", MLREPRO_STORE="file:///data")
    assert done.returncode == 0
    assert "pods share no disk" in done.stderr


@pytest.mark.parametrize(
    "command",
    [("hadolint", str(IMAGE / "Dockerfile")), ("shellcheck", str(ENTRY))],
    ids=["Dockerfile", "entry.sh"],
)
def test_linters_have_nothing_to_say(command: tuple[str, ...]) -> None:
    done = subprocess.run([PROGRAMS / command[0], *command[1:]], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_what_the_dockerfile_copies_is_there_and_not_ignored() -> None:
    kept = [line[1:] for line in (IMAGE / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for line in (IMAGE / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY") and "--from" not in line
        for source in [part for part in line.split()[1:-1] if not part.startswith("--")]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(source == each or source.startswith(f"{each}/") for each in kept), source


def test_the_image_runs_as_a_number_that_the_manifests_name() -> None:
    from mlrepro.tenancy.rendering.pods import POD_SECURITY

    user = f"USER {POD_SECURITY['runAsUser']}:{POD_SECURITY['runAsGroup']}"
    assert user in (IMAGE / "Dockerfile").read_text().splitlines()
    assert os.access(ENTRY, os.X_OK)
