"""What `@ml_asset` adds to the load of a code location, beside the same location with `@asset`.

The whole of what a code server does is timed in fresh processes, in turn: importing Dagster and mlrepro, importing
the module, making the repository, and the snapshot that the webserver gets (which asks for every code version).

    python benchmarks/load_1000.py [--assets 1000] [--rounds 5]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ASSET = '''
@{decorator}
def asset_{number}({upstream}):
    """Feature {number}."""
    total = {number}
    for step in range(3):
        total += scale(step) * FACTOR
    limits = {{"low": 0.1, "high": {number}}}
    if total > limits["high"]:
        total = min(total, limits["low"])
    return {{"total": total, "count": {number}}}
'''

LOAD = """
import json, sys, time
started = time.process_time()
import dagster, mlrepro
mlrepro.ml_asset, mlrepro.InputHashIOManager
imported = time.process_time()
import location
from dagster._core.remote_representation.external_data import RepositorySnap
nodes = RepositorySnap.from_def(location.defs.get_repository_def()).asset_nodes
done = time.process_time()
print(json.dumps({
    "whole": done - started, "location": done - imported, "versions": len({node.code_version for node in nodes}),
}))
"""


def module(decorator: str, assets: int) -> str:
    lines = [
        "import math",
        "from dagster import Definitions, asset",
        "from mlrepro import InputHashIOManager, ml_asset",
        "FACTOR = 2",
        "def scale(x):\n    return math.sqrt(x) + 1",
    ]
    lines += [
        ASSET.format(decorator=decorator, number=number, upstream=f"asset_{number - 1}" if number % 10 else "")
        for number in range(assets)
    ]
    listed = ", ".join(f"asset_{number}" for number in range(assets))
    lines.append(f"defs = Definitions(assets=[{listed}], resources={{'io_manager': InputHashIOManager()}})")
    return "\n".join(lines)


def load(folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr.decode())
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measured: dict[str, list[dict[str, float]]] = {"asset": [], "ml_asset": []}
        for decorator in measured:
            folder = Path(scratch, decorator)
            folder.mkdir()
            (folder / "location.py").write_text(module(decorator, options.assets))
            load(folder)  # writes the .pyc files, as the second start of a code server finds them
        for _ in range(options.rounds):
            for decorator, runs in measured.items():
                runs.append(load(Path(scratch, decorator)))
    assert measured["ml_asset"][0]["versions"] == options.assets, "every asset has a code version of its own"
    print(f"loading a code location of {options.assets} assets, processor seconds, medians of {options.rounds}")
    for name, what in (("whole", "whole process, import of dagster included"), ("location", "the location alone")):
        plain, ours = (statistics.median(run[name] for run in measured[key]) for key in ("asset", "ml_asset"))
        pairs = zip(measured["asset"], measured["ml_asset"], strict=True)
        ratio = statistics.median(other[name] / one[name] for one, other in pairs)
        print(f"  {what:<42} @asset {plain:5.2f}   @ml_asset {ours:5.2f}   ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
