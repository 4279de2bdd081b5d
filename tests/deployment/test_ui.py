"""The demo's project in Dagster's own UI, in a real browser."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.demo_home import load_demo
from tests.deployment.pages import ROOT

sync_api = pytest.importorskip("playwright.sync_api")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOCATIONS = ROOT / "deployment" / "locations"


@pytest.fixture
def page() -> Iterator[object]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        context = browser.new_context(bypass_csp=True, viewport={"width": 1500, "height": 1000})
        context.set_default_timeout(60_000)
        yield context.new_page()
        browser.close()


@contextlib.contextmanager
def dagster_dev(folder: Path) -> Iterator[str]:
    """Run what `make ui` runs; the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "deployment/demo.py", "ui", "--folder", str(folder), "--port", str(port)]
    with (folder / "ui.log").open("w") as log:
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "MLREPRO_USER": "not used"},
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that the whole group can be stopped
        )
        try:
            for _ in range(180):
                if server.poll() is not None:
                    break
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5).close()
                    yield f"http://127.0.0.1:{port}"
                    return
                time.sleep(1)
            pytest.fail(f"dagster dev did not answer:\n{(folder / 'ui.log').read_text()[-3000:]}")
        finally:
            os.killpg(server.pid, signal.SIGINT)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait(30)


@pytest.mark.slow
def test_pressing_materialize_on_a_shared_asset_finds_the_other_teams_result(tmp_path: Path, page) -> None:
    demo = load_demo().Demo(tmp_path)
    demo.prepare()
    ana = subprocess.run(
        [
            sys.executable,
            "-m",
            "dagster",
            "asset",
            "materialize",
            "-m",
            "delay.definitions",
            "--select",
            "key:delay/clean_flights",
        ],
        cwd=LOCATIONS,
        env={**demo.environment(), "MLREPRO_USER": "ana"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ana.returncode == 0, ana.stderr

    with dagster_dev(tmp_path) as address:
        page.goto(f"{address}/assets/aircraft/clean_flights?view=events")
        page.get_by_role("button").filter(has_text="Materialize").first.click()
        page.get_by_text("Launched run").wait_for()
        page.get_by_role("link", name="View").or_(page.get_by_role("button", name="View")).first.click()
        page.get_by_text("Success", exact=True).first.wait_for()
        page.get_by_text("without running it: computed by ana").first.wait_for()

        page.goto(f"{address}/assets/aircraft/clean_flights?view=events")
        for name, value in {"mlrepro/cache": "hit", "mlrepro/computed_by": "ana", "mlrepro/scope": "shared"}.items():
            row = page.get_by_role("row").filter(has=page.get_by_text(name, exact=True))
            assert row.first.text_content().endswith(value)
