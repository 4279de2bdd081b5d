"""A large file must not need as much memory as it is long."""

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.store.s3_server import S3Server

MEGABYTES = 400

BOUNDED = """
import json, resource, sys, threading
from pathlib import Path
from mlrepro.store import open_store

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

url, folder, options, megabytes = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
store = open_store(url, options=options)
store.write_value(Path(__file__) if "__file__" in globals() else b"warm")
before = peak()
path = folder / "large.bin"
with path.open("wb") as file:
    for number in range(megabytes):
        file.write(number.to_bytes(4, "big") * 262_144)
stored = store.write_value(path)
written = peak()
loaded = store.read_value(stored)
read = peak()
store.verify_blob(stored.content_hash)
assert loaded.stat().st_size == path.stat().st_size == megabytes << 20
print(json.dumps([written - before, read - before, peak() - before]))
"""


def grown(url: str, folder: Path, options: dict[str, str]) -> list[int]:
    told = subprocess.run(
        [sys.executable, "-c", BOUNDED, url, str(folder), json.dumps(options), str(MEGABYTES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_a_large_file_passes_through_a_folder_in_little_memory(tmp_path: Path) -> None:
    assert max(grown(str(tmp_path / "store"), tmp_path, {})) < 130


@pytest.mark.slow
def test_a_large_file_passes_through_a_bucket_in_little_memory(s3: S3Server, tmp_path: Path) -> None:
    assert max(grown(f"s3://mlrepro/{uuid.uuid4().hex}", tmp_path, s3.options)) < 260
