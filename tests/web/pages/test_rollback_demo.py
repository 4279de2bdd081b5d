"""The second demo's project in a browser: the bad month came, the sensor took the model back, and the pages tell it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.deployment.pages import ROOT
from tests.deployment.test_ui import dagster_dev

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo after its run, opened as `make rollback-ui` does; its address."""
    folder = tmp_path_factory.mktemp("rollback") / "demo"
    script = [sys.executable, "deployment/rollback_demo.py"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLREPRO_")}
    done = subprocess.run(
        [*script, "run", "--folder", str(folder)],
        cwd=ROOT,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with dagster_dev(folder, *script, "ui", "--folder", str(folder), MLREPRO_USER="mia") as address:
        yield address


def test_the_pages_tell_how_the_model_was_taken_back(project: str, chromium) -> None:
    context = chromium.new_context(base_url=project, viewport={"width": 1280, "height": 860})
    context.set_default_timeout(60_000)
    page = context.new_page()

    page.goto("/mlrepro/")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="arrival_model", exact=True))
    assert "production rolled back to v1" in row.inner_text()

    page.goto("/mlrepro/channel?key=arrival_model/production")
    assert "Serves\nv1" in page.get_by_label("What it serves").inner_text()
    moves = page.locator("figure").first.locator("svg g title").all_text_contents()
    assert [said.split(" on ")[0] for said in moves] == [
        "production promoted to v1",
        "production promoted from v1 to v2",
        "production rolled back from v2 to v1",
    ]
    assert page.locator("svg .rollback path.arrow").count() >= 1
    back = page.get_by_role("row").filter(has_text="rollback").first
    assert "watchdog" in back.inner_text()
    assert "within_10_minutes" in back.inner_text(), "the sensor says why"
    back.get_by_role("link", name="run").click()
    page.get_by_text("arrival_model/production: v2 -> v1 (rollback", exact=False).first.wait_for()

    page.goto("/mlrepro/asset?key=arrival_model")
    assert "production rolled back from v2 to v1" in " ".join(page.locator("svg g title").all_text_contents())
    served = page.get_by_role("row").filter(has=page.get_by_role("link", name="v1", exact=True))
    assert "production" in served.inner_text()
    second = page.get_by_role("row").filter(has=page.get_by_role("link", name="v2", exact=True))
    assert "tom" in second.inner_text()
    link = second.get_by_role("link", name=re.compile(r"^run [0-9a-f]{8}"))
    run_id = link.inner_text().removeprefix("run ")
    link.click()
    page.wait_for_url(f"**/runs/{run_id}*")
    page.get_by_text("Success", exact=True).first.wait_for()

    page.goto("/mlrepro/runs")
    page.get_by_role("row").filter(has_text="rollback").first.wait_for()
    context.close()
