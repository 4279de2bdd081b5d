"""A PostgreSQL server for as long as a test or a benchmark needs it, from the system's own binaries."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class PostgresError(Exception):
    """There is no PostgreSQL here, or it did not start."""


def _program(name: str) -> str:
    # Debian keeps the server's programs off PATH
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = shutil.which(name) or (str(installed[-1]) if installed else None)
    if found is None:
        raise PostgresError(f"{name} is missing: apt-get install postgresql")
    return found


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextlib.contextmanager
def throwaway_postgres() -> Iterator[str]:
    """Start a server with an empty data folder, and remove both at the end.

    The server listens on 127.0.0.1 only, trusts everyone there and never syncs to disk.

    Yields:
        The URL of its database, whose user may create others.

    Raises:
        PostgresError: Where PostgreSQL is not installed or does not start.

    Example:
        ``with throwaway_postgres() as url: ...``
    """
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        data, log = folder / "data", folder / "log"
        who: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

        def call(*command: str) -> None:
            # to a file, not to a pipe: the server would inherit it and keep it open
            with tempfile.TemporaryFile() as output:
                done = subprocess.run(
                    command,
                    check=False,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    **who,
                )
                if done.returncode != 0:
                    output.seek(0)
                    written = output.read().decode(errors="replace")
                    written += log.read_text(errors="replace") if log.exists() else ""
                    raise PostgresError(f"{Path(command[0]).name} failed: {written[-2000:]}")

        call(initdb, "-D", str(data), "-U", "dagster", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        options = " ".join(f"-c {key}={value}" for key, value in settings.items())
        for attempt in range(3):
            port = _free_port()
            try:
                call(pg_ctl, "-D", str(data), "-w", "-s", "-l", str(log), "-o", f"-p {port} {options}", "start")
                break
            except PostgresError:  # another process may have taken the port meanwhile
                if attempt == 2:
                    raise
        try:
            yield f"postgresql://dagster@127.0.0.1:{port}/postgres"
        finally:
            call(pg_ctl, "-D", str(data), "-s", "-m", "immediate", "stop")
