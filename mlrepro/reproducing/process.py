"""Running a task in a clean process, under the interpreter of an environment."""

import os
import pickle
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from mlrepro.reproducing.task import Answer

_SAY = 10.0
"""Seconds after which the caller hears that it is still computing."""

_TAIL = 15

_OTHERS = (
    "MLREPRO_CACHE",
    "MLREPRO_REQUIRE_SIGNATURES",
    "MLREPRO_SIGNING_KEY",
    "PYTHONHASHSEED",
    "PYTHONSTARTUP",
)
"""Variables that would have a say in how a result is kept, or hide that a set has no order."""


class Performs(Protocol):
    """What a clean process can be told to do."""

    @property
    def workspace(self) -> Path:
        """The temporary folder that all of it is in."""

    @property
    def folder(self) -> Path:
        """Folder for files."""

    @property
    def answer(self) -> Path:
        """File for the answer."""

    @property
    def roots(self) -> tuple[Path, ...]:
        """Import roots of the code."""

    def perform(self) -> Answer:
        """Do it."""


def run_task(task: Performs, python: Path, *, isolated: bool, waiting: Callable[[float], None]) -> Answer:
    """Compute a task in a process of its own.

    Args:
        task: The task.
        python: The interpreter.
        isolated: Whether the process sees nothing of this one's ``PYTHONPATH``.
        waiting: Told from time to time for how many seconds it has been computing.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    temporary = task.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    hidden = {*_OTHERS, "PYTHONPATH", "PYTHONHOME"} if isolated else set(_OTHERS)
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    variables["TMPDIR"] = str(temporary)
    log = task.folder / "log"
    # the store may hold credentials: it goes through the pipe and never to a disk
    payload = pickle.dumps(([str(root) for root in task.roots], str(task.workspace), pickle.dumps(task)))
    command = [str(python), "-P", "-m", "mlrepro.reproducing.worker"]
    with log.open("wb") as output, _started(command, task.folder, variables, output) as process:
        assert process.stdin is not None, "it was asked for"
        with suppress(BrokenPipeError):  # it ended before it read anything: the log tells why
            process.stdin.write(len(payload).to_bytes(8, "big") + payload)
            process.stdin.flush()
        started = time.monotonic()
        while True:
            try:
                process.wait(timeout=_SAY)
                break
            except subprocess.TimeoutExpired:
                waiting(time.monotonic() - started)
    if task.answer.exists():
        answer = pickle.loads(task.answer.read_bytes())  # noqa: S301 -- from the process that this one started
        assert isinstance(answer, Answer), "nothing else is written there"
        return answer
    lines = log.read_text(errors="replace").strip().splitlines()
    ended = f"the process ended with {process.returncode}" + (f": {lines[-1]}" if lines else "")
    return Answer("failed", [ended, *lines[-_TAIL:-1]])


@contextmanager
def _started(
    command: list[str], folder: Path, variables: dict[str, str], output: BinaryIO
) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
