"""The demo's project in Dagster's own UI, in a real browser."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlrepro import load
from mlrepro.catalog.channels import ChannelName, newest_entry
from mlrepro.store import open_store
from tests.browser import chromium
from tests.deployment.demo_home import load_demo
from tests.deployment.pages import ROOT, blocks

LOCATIONS = ROOT / "deployment" / "locations"


@pytest.fixture
def page() -> Iterator[object]:
    with chromium() as browser:
        context = browser.new_context(bypass_csp=True, viewport={"width": 1500, "height": 1000})
        context.set_default_timeout(60_000)
        yield context.new_page()


@contextlib.contextmanager
def dagster_dev(folder: Path, *command: str, **environment: str) -> Iterator[str]:
    """Run what `make ui` runs, or another command that takes a port; the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = command or (sys.executable, "deployment/demo.py", "ui", "--folder", str(folder))
    with (folder / "ui.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, "MLREPRO_USER": "not used", **environment},
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


@pytest.mark.slow
def test_a_model_is_rolled_back_by_launching_the_job_as_it_opens(tmp_path: Path, page) -> None:
    (tmp_path / "churn.py").write_text(blocks("docs/channels.md", "python")[0])
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    environment = {"DAGSTER_HOME": str(home), "MLREPRO_STORE": str(tmp_path / "store"), "MLREPRO_USER": "ana"}
    dagster = [sys.executable, "-m", "dagster"]
    for slope in (0.5, 0.4):
        (tmp_path / "run.yaml").write_text(f"ops: {{churn_model: {{config: {{slope: {slope}}}}}}}\n")
        trained = subprocess.run(
            [*dagster, "job", "execute", "-f", "churn.py", "-j", "__ASSET_JOB", "-c", "run.yaml"],
            cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert trained.returncode == 0, trained.stderr
    assert load("churn_model@production", store=environment["MLREPRO_STORE"]) == {"slope": 0.4}

    with dagster_dev(tmp_path, *dagster, "dev", "-f", str(tmp_path / "churn.py"), **environment) as address:
        page.goto(f"{address}/locations/churn.py/jobs/rollback/playground")
        page.get_by_text("No errors").wait_for()
        page.get_by_role("button", name="Launch Run").click()
        page.get_by_text("Success", exact=True).first.wait_for()
        page.get_by_text("churn_model/production: v2 -> v1 (rollback, entry 3").first.wait_for()

        page.goto(f"{address}/assets/churn_model/production?view=events")
        row = page.get_by_role("row").filter(has=page.get_by_text("mlrepro/serves", exact=True))
        assert row.first.text_content().endswith("v1")
    assert load("churn_model@production", store=environment["MLREPRO_STORE"]) == {"slope": 0.5}
    assert (
        newest_entry(open_store(environment["MLREPRO_STORE"]), ChannelName(("churn_model",), "production")).who == "ana"
    )
