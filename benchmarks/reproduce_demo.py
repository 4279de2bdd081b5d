"""Every version of the flight demo, computed again from its record alone.

Run ``python deployment/demo.py`` first: it makes 5 assets of team delay and 8 of team aircraft, most of them in three
versions. Each is computed in a process of its own.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

from mlrepro.catalog import assets, find_store, versions
from mlrepro.reproducing import reproduce


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent.parent / ".demo", help="of the demo")
    parser.add_argument("--env", choices=["recorded", "current"], default="current")
    parser.add_argument("--asset", help="only this one")
    given = parser.parse_args()
    url = str(given.folder.absolute() / "home" / "mlrepro")
    # what team aircraft found in the cache is team delay's result, which was published: its code is trusted here
    os.environ["MLREPRO_TRUSTED_SCOPES"] = "shared"
    # ... and the copies of the files that it was made from are team delay's
    os.environ["MLREPRO_READ_SCOPES"] = "shared,delay"
    rows, verdicts = [], set()
    with tempfile.TemporaryDirectory() as elsewhere:
        os.chdir(elsewhere)  # where there is no code
        for scope in ("delay", "aircraft"):
            store = find_store(url, scope=scope)
            for asset in (each for each in assets(store=store) if given.asset in (None, each)):
                if not asset.startswith(f"{scope}/"):
                    continue
                for version in versions(asset, store=store):
                    start = time.perf_counter()
                    found = reproduce(f"{asset}@v{version.number}", store=store, env=given.env)
                    wall = time.perf_counter() - start
                    verdicts.add(found.verdict)
                    rows.append((found.name, found.sentence, found.recorded_seconds, found.seconds, wall))
                    print(*rows[-1], *found.missing, *found.differs, *found.causes, file=sys.stderr, flush=True)
    print(tabulate(rows, headers=["version", "came out", "s then", "s now", "s in all"], floatfmt=".2f"))
    print(f"\n{len(rows)} versions, {sum(row[1] == 'bit for bit the same' for row in rows)} bit for bit the same")
    sys.exit(verdicts != {"same"})


if __name__ == "__main__":
    main()
