"""An installation as docs/deploying.md sets it up: PostgreSQL, S3, a code server, the daemon and the webserver."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.deployment.pages import ROOT
from tests.store.s3_server import BUCKET, S3Server

WORKSPACE = """
load_from:
  - grpc_server: {{ host: 127.0.0.1, port: {port}, location_name: shop }}
"""


def programs(code_port: int, web_port: int) -> dict[str, list[str]]:
    """What is started, as it is typed."""
    return {
        "code": ["dagster", "code-server", "start", "-f", "shop.py", "-h", "127.0.0.1", "-p", str(code_port)],
        "daemon": ["dagster-daemon", "run", "-w", "workspace.yaml"],
        "web": ["dagster-webserver", "-h", "127.0.0.1", "-p", str(web_port), "-w", "workspace.yaml"],
    }


class Installation:
    """Dagster's programs, each a process of its own, with deployment/dagster.yaml as it is."""

    def __init__(self, folder: Path, database: str, s3: S3Server, location: str) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        shutil.copy(ROOT / "deployment" / "dagster.yaml", self.home)
        (folder / "shop.py").write_text(location)
        self.code_port, self.web_port = _free_port(), _free_port()
        (folder / "workspace.yaml").write_text(WORKSPACE.format(port=self.code_port))
        self.store = f"s3://{BUCKET}/store"
        postgres = urlsplit(database)
        self.variables = {
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_POSTGRES_USER": str(postgres.username),
            "DAGSTER_POSTGRES_PASSWORD": "any",
            "DAGSTER_POSTGRES_HOST": str(postgres.hostname),
            "DAGSTER_POSTGRES_PORT": str(postgres.port),
            "DAGSTER_POSTGRES_DB": postgres.path.lstrip("/"),
            "DAGSTER_LOGS_BUCKET": BUCKET,
            "DAGSTER_LOGS_PREFIX": "dagster-logs",
            "MLREPRO_STORE": self.store,
            "AWS_ENDPOINT_URL": s3.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": s3.options["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": s3.options["secret_access_key"],
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLREPRO_", "AWS_"))}
        self._environment = {**inherited, **self.variables}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        """Start everything, and wait until the webserver has found the code server."""
        code, daemon, web = programs(self.code_port, self.web_port).values()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._process("code", code))
            self.wait("the code server", lambda: _listens(self.code_port))
            stack.enter_context(self._process("daemon", daemon))
            stack.enter_context(self._process("web", web))
            self.wait("the webserver", lambda: _listens(self.web_port) and self._answers())
            yield

    @contextlib.contextmanager
    def _process(self, name: str, arguments: list[str]) -> Iterator[None]:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / arguments[0]), *arguments[1:]],
                cwd=self.folder,
                env=self._environment,
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

    def wait(self, what: str, found: Callable[[], object], seconds: float = 120) -> None:
        """Wait until something is true; if it never is, the logs tell why."""
        end = time.monotonic() + seconds
        while not found():
            ended = [name for name, process in self._running.items() if process.poll() is not None]
            if ended or time.monotonic() > end:
                logs = "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log"))
                pytest.fail(f"{what} did not come ({', '.join(ended)} ended)\n{logs}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}/server_info", timeout=10).close()
        except (urllib.error.URLError, OSError):
            return False
        return True


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
