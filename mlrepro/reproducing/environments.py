"""The environment a version is computed in: this one, or a fresh one from the recorded list of distributions."""

import importlib.metadata
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlrepro import version as mlrepro
from mlrepro.errors import MissingExtraError, MlreproError
from mlrepro.store import Store
from mlrepro.versioning import environment

_OURS = "mlrepro"

_SAY = 10.0
"""Seconds after which the caller hears that an environment is still being built."""


@dataclass(frozen=True)
class Interpreter:
    """A Python to compute with.

    Attributes:
        python: The program.
        what: Which environment it is, in words.
        isolated: Whether it is a fresh one, that sees nothing of this process.
        notes: What is not as it was.
    """

    python: Path
    what: str
    isolated: bool
    notes: tuple[str, ...] = field(default=())


class NoEnvironmentError(MlreproError):
    """The recorded environment cannot be built, and what is missing."""


def current() -> Interpreter:
    """The interpreter and the libraries of this process."""
    return Interpreter(Path(sys.executable), f"the current environment (Python {environment().python})", isolated=False)


def recorded(record: Mapping[str, Any], store: Store, folder: Path, progress: Callable[[str], None]) -> Interpreter:
    """Build a fresh environment with the distributions and the Python that a record lists.

    Args:
        record: The result record.
        store: Where the list is.
        folder: Where to; must not exist.
        progress: Told what is done.

    Raises:
        MissingExtraError: There is no uv.
        NoEnvironmentError: A distribution, or the Python, cannot be had.
    """
    uv = find_uv()
    was = record["environment"]
    freeze = store.read_bytes(was["freeze"]).decode()
    local = {_OURS, *(was.get("local") or _local_here(freeze))}
    wanted = [line for line in freeze.splitlines() if line and line.partition("==")[0] not in local]
    notes = []
    if skipped := sorted(line for line in freeze.splitlines() if line.partition("==")[0] in local - {_OURS}):
        notes.append(
            f"{', '.join(skipped)} came from no index but from a folder or a repository, and is not installed: what the"
            " code needs of it must be among its own stored files"
        )
    if was["platform"] != environment().platform:
        notes.append(f"it was computed on {was['platform']}, this is {environment().platform}")
    progress(f"building an environment: Python {was['python']}, {len(wanted)} distributions")
    notes += _make(uv, was["python"], folder)
    listed = folder.with_suffix(".txt")
    listed.write_text("".join(f"{line}\n" for line in wanted))
    python = folder / "bin" / "python"
    # exactly what was there, whatever its own requirements say: that is what ran
    done = _run([uv, "pip", "install", "--python", str(python), "--no-deps", "--requirements", str(listed)], progress)
    if done.returncode:
        raise NoEnvironmentError(
            f"the recorded environment cannot be built: {_told(done.stderr)} (uv takes other indexes by"
            " UV_INDEX and UV_FIND_LINKS)"
        )
    notes += _put_mlrepro_in(python, freeze)
    what = f"the recorded environment (Python {was['python']}, {len(wanted)} distributions)"
    return Interpreter(python, what, isolated=True, notes=tuple(notes))


def find_uv() -> str:
    """The program uv: from the package of that name, else from the PATH.

    Raises:
        MissingExtraError: There is none.
    """
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise MissingExtraError("building the recorded environment (--env recorded)", "reproduce")
    return found


def _make(uv: str, version: str, folder: Path) -> list[str]:
    """Make an empty environment with the recorded Python, or with another patch release of it."""
    # the one that runs this is there, wherever uv would look for it
    known = sys.executable if version == environment().python else version
    exact = _run([uv, "venv", "--no-project", "--python", known, str(folder)])
    if exact.returncode == 0:
        return []
    minor = ".".join(version.split(".")[:2])
    like = _run([uv, "venv", "--no-project", "--python", minor, str(folder)])
    if like.returncode == 0:
        return [f"Python {minor} in another patch release stands for Python {version}"]
    raise NoEnvironmentError(
        f"Python {version} is not here, nor another {minor}, and uv could not fetch it: {_told(exact.stderr)};"
        f" `uv python install {version}` does where the network lets it"
    )


def _local_here(freeze: str) -> list[str]:
    """What a record that does not tell installed from a folder: known only of what is so installed here."""
    names = {line.partition("==")[0] for line in freeze.splitlines()}
    return [name for name in environment().local if name in names]


def _put_mlrepro_in(python: Path, freeze: str) -> list[str]:
    """Put this mlrepro into an environment: it is the one that knows how to read the task."""
    done = _run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    site = Path(done.stdout.strip())
    package = Path(mlrepro.__file__).parent
    shutil.copytree(package, site / _OURS, ignore=shutil.ignore_patterns("__pycache__"))
    metadata = importlib.metadata.distribution(_OURS).read_text("METADATA")
    info = site / f"{_OURS}-{mlrepro.__version__}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(metadata or f"Name: {_OURS}\nVersion: {mlrepro.__version__}\n")
    (info / "RECORD").write_text(f"{_OURS}/__init__.py,,\n")
    was = next((line.partition("==")[2] for line in freeze.splitlines() if line.startswith(f"{_OURS}==")), None)
    if was and was != mlrepro.__version__:
        return [f"mlrepro {mlrepro.__version__} stands for {was}: it loads and stores values and sets the seed"]
    return []


def _run(command: list[str], progress: Callable[[str], None] = lambda _: None) -> "subprocess.CompletedProcess[str]":
    """Run a program, and say from time to time that it still runs."""
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while True:
                try:
                    output, errors = process.communicate(timeout=_SAY)
                    return subprocess.CompletedProcess(command, process.returncode, output, errors)
                except subprocess.TimeoutExpired:
                    progress(f"still building the environment: {time.monotonic() - started:.0f} s")
        except BaseException:
            process.kill()
            raise


def _told(text: str) -> str:
    """Uv's own words on one line, without its drawing."""
    words = " ".join(text.replace("\u2570\u2500\u25b6", " ").replace("\u251c\u2500\u25b6", " ").split())
    return words.replace("\u00d7", "").strip()[:500]
