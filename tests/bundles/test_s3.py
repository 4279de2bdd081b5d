"""Bundles in a bucket: what travels, and how long it takes."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlrepro.bundles import File, fetch, pack, store_bundle
from mlrepro.store import open_store
from tests.bundles.project import write_tree
from tests.store.s3_server import BUCKET, S3Server, s3_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


def test_five_hundred_files_travel_once(s3: S3Server, tmp_path: Path) -> None:
    store = open_store(f"s3://{BUCKET}/bundles", options={"endpoint": s3.endpoint, "region": "us-east-1", **s3.options})
    files = {f"p{n % 20}/m{n}.py": f"x = {n}\n" * 100 for n in range(500)}
    root = write_tree(tmp_path / "project", files)

    def timed(known: set[str]) -> tuple[int, float, str]:
        began = time.monotonic()
        packed = pack(root)
        sent = store_bundle(packed, store, known=known)
        known |= {entry.digest for entry in packed.manifest.entries.values() if isinstance(entry, File)}
        return sent.files, time.monotonic() - began, packed.digest

    known: set[str] = set()
    first = timed(known)
    (root / "p0/m0.py").write_text("x = 'other'\n")
    second = timed(known)
    assert (first[0], second[0]) == (500, 1)
    began = time.monotonic()
    tree = fetch(store, second[2], tmp_path / "cache")
    fetched = time.monotonic() - began
    assert (tree / "p0/m0.py").read_text() == "x = 'other'\n"
    print(f"first {first[1]:.2f} s, one file changed {second[1]:.2f} s, extracted {fetched:.2f} s")
    assert second[1] < first[1]
