"""The rendered files, as they are checked in."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlrepro.tenancy.rendering import changes, render
from tests.tenancy.files import EXAMPLE, GOLDEN, RENDERED, read, small, team


@pytest.mark.parametrize(
    ("file", "folder"),
    [(EXAMPLE, RENDERED), (GOLDEN / "isolated.yaml", GOLDEN / "isolated")],
    ids=["shared", "isolated"],
)
def test_what_is_rendered_is_what_is_checked_in(file: Path, folder: Path) -> None:
    files = render(read(file.read_text()))
    found = changes(files, folder)
    assert not found, f"run: mlrepro tenants render {file} --to {folder}\n{found.unified(files)}"


def test_another_process_with_another_hash_seed_renders_the_same() -> None:
    program = (
        "import sys, json; from mlrepro.tenancy import load_tenants; from mlrepro.tenancy.rendering import render;"
        "print(json.dumps(render(load_tenants(sys.argv[1]))))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program, str(EXAMPLE)],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo", "LC_ALL": "C"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_two_hundred_tenants_take_seconds() -> None:
    tenants = read(small(*(team(f"team{number}", "members: [{group: g, role: viewer}]") for number in range(200))))
    begun = time.process_time()
    files = render(tenants)
    assert len(files) == 200 * 3 + 6
    assert time.process_time() - begun < 20


def test_without_an_image_there_is_nothing_for_kubernetes() -> None:
    text = small(team("a")).replace("  image: registry.example.com/all:1\n", "")
    assert {path.split("/")[0] for path in render(read(text))} == {"machine", "s3", "seaweedfs"}


def test_no_secret_is_rendered() -> None:
    text = "".join(render(read(EXAMPLE.read_text())).values())
    assert "kind: Secret" not in text
    assert "postgresqlPassword" not in text
