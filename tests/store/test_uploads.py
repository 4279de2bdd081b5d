"""Large objects on their way to a bucket."""

import os
import re
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest

from mlrepro.store import open_store, upload_progress
from tests.store.s3_server import S3Server

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000


def test_a_long_upload_says_how_far_it_is(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(upload_progress, "SAID_EVERY", 0.0)
    store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}", options=s3.options)
    stored = store.write_value(os.urandom(60 * MEGABYTE))
    said = re.findall(r"mlrepro: ([\d.]+) of 0\.1 GB uploaded to (\S+) \((\d+) %\)", capsys.readouterr().err)
    blob = f"{store.url}/default/blobs/sha256/{stored.content_hash[:2]}/{stored.content_hash}"
    assert {where for _, where, _ in said} == {blob}
    percents = [int(percent) for *_, percent in said]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert len(percents) > 10


def test_a_short_one_says_nothing(s3: S3Server, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}", options=s3.options)
    store.write_value(os.urandom(10 * MEGABYTE))
    assert "uploaded" not in capsys.readouterr().err


UPLOAD = """
    import re, sys
    from pathlib import Path
    from mlrepro.store import open_store
    def peak():  # kilobytes; getrusage would count what this process was before it became Python
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
    url, file, size, *options = sys.argv[1:]
    store = open_store(url, options=dict(option.split("=", 1) for option in options))
    small = Path(file).with_name("small")
    small.write_bytes(b"s")
    store.read_value(store.write_value(small))  # all that is imported and started is in memory now
    before = peak()
    stored = store.write_value(Path(file))
    assert stored.size == int(size)
    loaded = store.read_value(stored)
    assert loaded.stat().st_size == int(size)
    print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_memory_is_bounded_however_large_a_file_is(s3: S3Server, tmp_path: Path) -> None:
    size = 400 * MEGABYTE
    file = tmp_path / "large"
    with file.open("wb") as written:
        for _ in range(40):
            written.write(os.urandom(10 * MEGABYTE))
    options = [f"{name}={value}" for name, value in s3.options.items()]
    url = f"s3://mlrepro/{uuid.uuid4().hex}"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(UPLOAD), url, str(file), str(size), *options],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    more = int(done.stdout) * 1024
    print(f"\n{size // MEGABYTE} MB up and down again: {more / MEGABYTE:.0f} MB of memory more than for one byte")
    assert more < 250 * MEGABYTE
