"""Pages over 5,000 assets with 200 versions each, beside one GraphQL query of Dagster over the same assets.

Bars: overview and asset page each within twice the time of the query; and no page reads in proportion to the store:
what each reads is counted, and is the same with a tenth of the assets.

    python benchmarks/pages.py [--assets 5000] [--versions 200] [--folder DIR]
"""

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
from starlette.testclient import TestClient

from mlrepro.catalog.history import history_name
from mlrepro.io_managers.facts import PREFIX
from mlrepro.store import StoredValue
from mlrepro.store.keys import entry_name, history_folder
from mlrepro.store.local import LocalObjects
from mlrepro.store.records import sealed
from mlrepro.tenancy import TenantsFile
from mlrepro.tenancy.identity_settings import NoneSettings
from mlrepro.web.assembly import Settings, application
from mlrepro.web.authentication.gate import Gate
from mlrepro.web.authentication.loopback import LocalAuthenticator

SCOPE = "team"
TENANTS = """\
instance:
  image: registry.example.com/all:1
  postgres: {host: db, cidrs: [10.0.0.0/24]}
  bucket: {store: "s3://ml/mlrepro", logs: "s3://ml/logs"}
tenants:
  team:
    code_locations: [{name: team, module: many}]
    quota: {cpu: 8, memory: 32Gi}
    members: [{user: ana, role: admin}]
"""
DEFINITIONS = """\
import dagster as dg
from mlrepro import channel, ml_definitions, ReproStore

def made(number):
    @dg.asset(name=f"asset_{number:05}", group_name=f"group_{number % 20}", code_version="1",
              deps=[f"asset_{number - 1:05}"] if number % 10 else [])
    def one(): return number
    return one

assets = [made(number) for number in range(COUNT)]
channels = [channel("production", each) for each in assets[::10]]
defs = ml_definitions(assets=[*assets, *channels], store=ReproStore(scope="team"))
"""
QUERY = """
{ assetsOrError { ... on AssetConnection { nodes { key { path }
    definition { groupName } assetMaterializations(limit: 1) { timestamp runId } } } } }
"""
LIST = "{ assetNodes { assetKey { path } groupName } }"


def write_store(root: Path, assets: int, versions: int) -> None:
    """Write histories as the store lays them out, without its durability: a benchmark's store may be lost."""
    for number in range(assets):
        name = f"asset_{number:05}"
        history = history_name([name], None)
        folder = root / history_folder(SCOPE, history)
        folder.mkdir(parents=True, exist_ok=True)
        for version in range(1, versions + 1):
            digest = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
            stored = StoredValue(digest, "json", "builtins:dict", 100).to_json()
            body = {
                "schema": 1,
                "created": f"2026-11-{1 + version % 28:02}T10:00:00+00:00",
                "partition": None,
                "output": stored,
                "data_version": digest,
                "input_hash": None,
                "metrics": {"auc": 0.5 + version / 1000, "loss": 1 / version},
                "who": "ana",
                "run_id": "0" * 8,
                "seconds": 1.5,
            }
            record = {"schema": 1, "history": list(history), "number": version, "entry": body}
            descriptor = os.open(folder / entry_name(version), os.O_WRONLY | os.O_CREAT, 0o644)
            os.write(descriptor, sealed(record))
            os.close(descriptor)


def write_events(instance: dg.DagsterInstance, assets: int) -> None:
    """One materialization for each asset, so that Dagster's query has something to read."""
    for number in range(assets):
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                f"asset_{number:05}", metadata={f"{PREFIX}cache": "hit", f"{PREFIX}seconds_saved": 1.5}
            )
        )


def timed(look: Callable[[], object], times: int = 5) -> float:
    """Median of some tries, after one that warms up."""
    look()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        look()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


class Reads:
    """Counts what is asked of the store's folder."""

    def __init__(self) -> None:
        self.count = 0
        for name in ("get", "size", "names", "folders", "latest"):
            self._count(name)

    def _count(self, name: str) -> None:
        inner = getattr(LocalObjects, name)

        def counting(*arguments, **named):
            self.count += 1
            return inner(*arguments, **named)

        setattr(LocalObjects, name, counting)


def measure(folder: Path, assets: int, versions: int, reads: Reads) -> dict[str, float]:
    """Make an installation of some size, and ask it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "many.py").write_text(DEFINITIONS.replace("COUNT", str(assets)))
    (folder / "tenants.yaml").write_text(TENANTS)
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (folder / "workspace.yaml").write_text(
        f"load_from:\n  - python_module: {{module_name: many, location_name: team, working_directory: {folder}}}\n"
    )
    os.environ["MLREPRO_STORE"] = str(folder / "store")
    if not (folder / "written").exists():
        start = time.perf_counter()
        write_store(folder / "store", assets, versions)
        print(f"  {assets * versions:,} versions written in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            write_events(instance, assets)
        (folder / "written").touch()
    settings = Settings(tenants=TenantsFile(folder / "tenants.yaml"), home=folder)
    with application(settings) as (app, _):
        gate = Gate(app, tenants=settings.tenants, authenticators=[LocalAuthenticator(NoneSettings(user="ana"))])
        client = TestClient(gate, base_url="http://localhost", client=("127.0.0.1", 1))

        def get(path: str) -> None:
            answer = client.get(path)
            assert answer.status_code == 200, answer.text

        def ask(query: str) -> None:
            answer = client.post("/graphql", json={"query": query}, headers={"origin": "http://localhost"})
            assert answer.status_code == 200, answer.text[:500]

        found = {"GraphQL, assets": timed(lambda: ask(QUERY)), "GraphQL, list of assets": timed(lambda: ask(LIST))}
        while not client.get("/mlrepro/api/overview").json()["counted"]:
            time.sleep(1)
        for name, path in {
            "overview": "/mlrepro/",
            "overview, last page": f"/mlrepro/?page={max(1, assets // 50)}",
            "overview, text": "/mlrepro/?q=asset_0004",
            "asset": "/mlrepro/asset?key=asset_00001",
            "asset with channel": "/mlrepro/asset?key=asset_00000",
            "version": "/mlrepro/version?of=asset_00001@v100",
            "channel": "/mlrepro/channel?key=asset_00000/production",
        }.items():
            found[name] = timed(lambda path=path: get(path))
            before = reads.count
            get(path)
            found[f"{name}: reads"] = reads.count - before
        return found


def main() -> None:
    """Measure a large and a small store, and hold the bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=int, default=5000)
    parser.add_argument("--versions", type=int, default=200)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="mlrepro-pages-"))
    reads = Reads()
    small = measure(folder / "small", given.assets // 10, given.versions, reads)
    large = measure(folder / "large", given.assets, given.versions, reads)
    print(json.dumps({"small": small, "large": large}, indent=1))
    bar = 2 * large["GraphQL, assets"]
    slow = [name for name in ("overview", "asset") if large[name] > bar]
    grown = [name for name in large if name.endswith("reads") and large[name] > small[name] + 5]
    print(f"bar {bar * 1000:.0f} ms; overview {large['overview'] * 1000:.0f} ms, asset {large['asset'] * 1000:.0f} ms")
    if slow or grown:
        sys.exit(f"over the bar: {slow or 'none'}; reads grow with the store: {grown or 'none'}")


if __name__ == "__main__":
    main()
