"""An assets query through `mlrepro webserver` and through dagster-webserver, in turn.

Two code locations of many assets each, and for each asset the permissions that the UI asks for: what is checked most.

    python benchmarks/webserver.py --assets 500 --rounds 20
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2

from tests.deployment.programs import environment, free_port, listens
from tests.web.installation import DAGSTER, TENANTS, WORKSPACE

QUERY = """{assetNodes {id assetKey {path} groupName hasMaterializePermission hasWipePermission
hasReportRunlessAssetEventPermission}}"""


def main() -> None:
    """Start both, ask both, print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=500, help="Of each code location.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--user", default="lars", help="As whom: lars is a launcher, root an administrator.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tenants.yaml").write_text(TENANTS.format(visibility="shared"))
        (folder / "dagster.yaml").write_text(DAGSTER)
        for location in ("delay", "fleet"):
            (folder / f"{location}_many.py").write_text(_module(location, given.assets))
        entries = "\n".join(
            f"  - python_module: {{module_name: {location}_many, location_name: {location},"
            f" working_directory: {folder}}}"
            for location in ("delay", "fleet")
        )
        (folder / "workspace.yaml").write_text(WORKSPACE.format(entries=entries))
        _measure(folder, given.rounds, given.user)


def _module(location: str, assets: int) -> str:
    return f"""
import dagster as dg


def made(number):
    @dg.asset(name=f"{location}_{{number}}")
    def asset(): ...

    return asset


defs = dg.Definitions(assets=[made(number) for number in range({assets})])
"""


def _measure(folder: Path, rounds: int, user: str) -> None:
    commands = {
        "dagster-webserver": ["dagster-webserver", "-w", "workspace.yaml"],
        "mlrepro webserver": [
            *["mlrepro", "webserver", "--tenants", "tenants.yaml", "--home", ".", "--auth", "none", "--user", user]
        ],
    }
    ports = {name: free_port() for name in commands}
    variables = environment(DAGSTER_HOME=str(folder))
    running = []
    try:
        for name, command in commands.items():
            program = [str(Path(sys.executable).parent / command[0]), *command[1:], "-p", str(ports[name])]
            with (folder / f"{command[0]}.log").open("wb") as log:
                running.append(
                    subprocess.Popen(program, cwd=folder, env=variables, stdout=log, stderr=log, start_new_session=True)
                )
            while not listens(ports[name]) or not _asked(ports[name]):
                time.sleep(0.5)
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 2):
            for name, port in ports.items():
                begun = time.perf_counter()
                _asked(port)
                if number >= 2:  # the first fill caches
                    times[name].append(time.perf_counter() - begun)
        medians = {name: statistics.median(found) for name, found in times.items()}
        for name, median in medians.items():
            print(f"{name}: {median * 1000:.0f} ms")
        print(f"ratio: {medians['mlrepro webserver'] / medians['dagster-webserver']:.2f}")
    finally:
        for program_ in running:
            program_.terminate()
        for program_ in running:
            program_.wait(20)


def _asked(port: int) -> bool:
    url = f"http://127.0.0.1:{port}"
    try:
        answer = httpx2.post(f"{url}/graphql", json={"query": QUERY}, headers={"origin": url}, timeout=120)
    except httpx2.TransportError:
        return False
    return answer.status_code == 200 and bool(answer.json()["data"]["assetNodes"])


if __name__ == "__main__":
    main()
