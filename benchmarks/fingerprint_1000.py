"""What fingerprinting adds to the load of a code location with 1,000 assets.

A module with 1,000 assets that share helpers is generated, and loaded in fresh processes without and with
fingerprinting every function, in turn. Printed: medians of processor seconds (a load does not wait for anything,
and other work on the machine does not count), and the ratio.

    python benchmarks/fingerprint_1000.py [--assets 1000] [--rounds 5] [--single]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HELPERS = '''
"""Shared feature code."""
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from location import settings

LIMITS = {"low": 0.1, "high": 0.9, "names": ["a", "b", "c"]}


@dataclass(frozen=True)
class Window:
    size: int = 7
    closed: str = "left"

    def over(self, frame: pd.DataFrame, column: str) -> pd.Series:
        return frame[column].rolling(self.size, closed=self.closed).mean()


def clip(values: pd.Series) -> pd.Series:
    return values.clip(LIMITS["low"], LIMITS["high"])


def scale(values: pd.Series) -> pd.Series:
    spread = float(np.std(values)) or 1.0
    return clip((values - values.mean()) / spread) * settings.FACTOR


def entropy(values: pd.Series) -> float:
    counts = values.value_counts(normalize=True)
    return -sum(p * math.log(p) for p in counts if p > 0)


def features(frame: pd.DataFrame, window: Window = Window()) -> pd.DataFrame:
    out = pd.DataFrame(index=frame.index)
    for column in frame.columns:
        if frame[column].dtype.kind == "f":
            out[column] = scale(window.over(frame, column))
        else:
            out[f"{column}_entropy"] = entropy(frame[column])
    return out
'''

ASSET = '''

@dg.asset(group_name="g{group}")
def asset_{i}() -> pd.DataFrame:
    """Asset {i}."""
    rows = {rows}
    frame = pd.DataFrame({{"x": np.arange(rows), "y": np.linspace(0.0, {i}.5, rows)}})
    # keep what is usable
    frame = frame[frame["x"] > {i}]
    made = shared.features(frame)
    total = 0.0
    for name in made.columns:
        total += float(made[name].sum()) * settings.FACTOR
    return made.assign(total=total, label=f"asset {i}: {{total:.2f}}")
'''

TRIVIAL = """

@dg.asset(group_name="g{group}")
def asset_{i}() -> int:
    return shared.clip({rows}) + {i}
"""

LOAD = """
import json, sys, time
started = time.process_time()
import dagster as dg
from mlrepro.versioning import fingerprint, fingerprint_session
platform = time.process_time()
import location.assets as assets
definitions = dg.Definitions(assets=dg.load_assets_from_modules([assets]))
definitions.get_repository_def()
loaded = time.process_time()
if {fingerprint}:
    functions = [
        asset.op.compute_fn.decorated_fn for asset in vars(assets).values() if isinstance(asset, dg.AssetsDefinition)
    ]
    if {single}:
        found = [fingerprint(function) for function in functions]
    else:
        with fingerprint_session() as session:
            found = [session.fingerprint(function) for function in functions]
    assert len(found) == {assets} and len({{f.digest for f in found}}) == {assets}, len(found)
done = time.process_time()
print(json.dumps([platform - started, loaded - platform, done - loaded]))
"""


def write(root: Path, assets: int, template: str) -> None:
    """Write the code location."""
    package = root / "location"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "settings.py").write_text("FACTOR = 1.5\n")
    (package / "shared.py").write_text(HELPERS)
    imports = ["dagster as dg", "numpy as np", "pandas as pd"]
    head = "".join(f"import {name}\n" for name in imports) + "from location import settings, shared\n"
    body = "".join(template.format(i=i, group=i % 10, rows=100 + i) for i in range(assets))
    (package / "assets.py").write_text(head + body)


def load(root: Path, *, fingerprint: bool, assets: int, single: bool) -> list[float]:
    """Load it once in a fresh process."""
    script = LOAD.format(fingerprint=fingerprint, assets=assets, single=single)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(title: str, template: str, options: argparse.Namespace) -> None:
    """Measure one kind of asset and print its line."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, options.assets, template)
        load(root, fingerprint=False, assets=options.assets, single=False)  # writes the bytecode cache
        without, with_, added, location = [], [], [], []
        for _ in range(options.rounds):
            plain = load(root, fingerprint=False, assets=options.assets, single=options.single)
            full = load(root, fingerprint=True, assets=options.assets, single=options.single)
            without.append(sum(plain))
            with_.append(sum(full))
            added.append(full[2])
            location.append(plain[1])
    before, after = statistics.median(without), statistics.median(with_)
    own = statistics.median(location)
    extra = statistics.median(added)
    print(
        f"{title:<16} load {before:.2f} s, with fingerprints {after:.2f} s: x{after / before:.3f}"
        f"   (the location alone {own:.2f} s, fingerprints {extra:.3f} s = {extra / own:.0%} of it,"
        f" {extra / options.assets * 1000:.3f} ms an asset)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--single", action="store_true", help="one call each instead of one session")
    options = parser.parse_args()
    measure("one-line assets", TRIVIAL, options)
    measure("ten-line assets", ASSET, options)


if __name__ == "__main__":
    main()
