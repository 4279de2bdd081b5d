"""Opening a demo's project: the webserver with Dagster's UI and mlrepro's pages, and the daemon, until Ctrl-C."""

import getpass
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LOCATIONS = Path(__file__).parent / "locations"
TENANTS = """\
instance:
  image: unused.example.com/on-one-machine:1
  postgres: {{host: unused, cidrs: [127.0.0.1/32]}}
  bucket: {{store: "s3://unused/store", logs: "s3://unused/logs"}}
admins: [{{user: {user!r}}}]
tenants:
"""
TENANT = """\
  {team}:
    code_locations: [{{name: {team}, module: {team}.definitions}}]
    quota: {{cpu: 8, memory: 32Gi}}
"""


def open_project(folder: Path, home: Path, teams: Sequence[str], *, port: int, environment: Mapping[str, str]) -> None:
    """Serve teams' code locations to the one user of this machine, until Ctrl-C.

    Args:
        folder: Where the files go that say what is served.
        home: Dagster's home, with the store.
        teams: The teams; each has a module of its name.
        port: Of the webserver.
        environment: Of all programs.
    """
    user = os.environ.get("MLREPRO_USER") or getpass.getuser()
    tenants, workspace = folder / "tenants.yaml", folder / "workspace.yaml"
    tenants.write_text(TENANTS.format(user=user) + "".join(TENANT.format(team=team) for team in teams))
    entries = (
        f"  - python_module: {{module_name: {team}.definitions, location_name: {team},"
        f" working_directory: {str(LOCATIONS)!r}}}\n"
        for team in teams
    )
    workspace.write_text("load_from:\n" + "".join(entries))
    shared = {**environment, "MLREPRO_PAGES": "/mlrepro"}
    served = ["--home", str(home), "-w", str(workspace), "--tenants", str(tenants), "--auth", "none", "--user", user]
    print(f"Dagster's UI: http://localhost:{port}   mlrepro's pages: http://localhost:{port}/mlrepro/", flush=True)
    programs = [
        subprocess.Popen([_program("dagster-daemon"), "run", "-w", str(workspace)], env=shared),
        subprocess.Popen([_program("mlrepro"), "webserver", *served, "-p", str(port)], env=shared),
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        programs[-1].wait()
    except KeyboardInterrupt:
        pass
    finally:
        for program in programs:
            program.terminate()
        for program in programs:
            program.wait()


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))
