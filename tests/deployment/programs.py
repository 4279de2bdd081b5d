"""Programs of an installation, each a process of its own, until a test is over."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest


class Programs:
    """What was started, and what it wrote to its log.

    Args:
        folder: Where the programs work, and their logs are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @contextlib.contextmanager
    def running(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[None]:
        """Start a program of this Python's environment; stop it, and all that it started, at the end."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / arguments[0]), *arguments[1:]],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that it can be stopped with all that it started
            )
        self._running[name] = process
        try:
            yield
        finally:
            del self._running[name]
            for number, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """The process of a program that runs."""
        return self._running[name]

    def wait(self, what: str, found: Callable[[], object], seconds: float = 120) -> None:
        """Wait until something is true; if it never is, the logs tell why."""
        end = time.monotonic() + seconds
        while not found():
            ended = [name for name, process in self._running.items() if process.poll() is not None]
            if ended or time.monotonic() > end:
                logs = "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log"))
                pytest.fail(f"{what} did not come ({', '.join(ended)} ended)\n{logs}")
            time.sleep(0.2)

    def wait_for_port(self, what: str, port: int) -> None:
        """Wait until a program listens."""
        self.wait(what, lambda: listens(port))


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without what would lead to another store, with variables of one's own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLREPRO_", "AWS_"))}
    return {**inherited, **variables}


def listens(port: int) -> bool:
    """Whether anybody answers at a port."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    """Whether a web page is there, for whoever asks."""
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
