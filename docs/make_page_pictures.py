"""Take the pictures of docs/pages.md: a team that trained eleven models, in the webserver's pages, light and dark.

    python docs/make_page_pictures.py

It needs Debian's chromium, or the browser that CHROMIUM names.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from dagster import DagsterInstance, RunsFilter
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from mlrepro import rollback  # noqa: E402 -- after the path
from tests.deployment.programs import Programs, answers, environment, free_port  # noqa: E402
from tests.web.installation import DAGSTER, TENANTS, WORKSPACE  # noqa: E402
from tests.web.pages.team import definitions, train  # noqa: E402

IMAGES = ROOT / "docs" / "images"
MODELS = [0.42, 0.47, 0.45, 0.52, 0.58, 0.56, 0.61, 0.63, 0.60, 0.68, 0.66]
USERS = ["ana", "ben", "ana", "mia"]
LARGEST = 120_000


def live(folder: Path) -> str:
    """Train, promote and roll back; the id of the newest run."""
    with DagsterInstance.from_config(str(folder)) as instance:
        for place, slope in enumerate(MODELS):
            for team in ("delay", "aircraft") if place < 2 else ("delay",):
                train(definitions(team), instance, team, slope, USERS[place % len(USERS)])
            if place in (7, len(MODELS) - 1):
                back = {"channel": "production", "scope": "delay", "instance": instance, "who": "mia"}
                rollback("delay_model", reason="live error is 0.52, above 0.45", **back)
        runs = instance.get_runs(RunsFilter(job_name="everything"), limit=2)
        return "&".join(f"of={run.run_id}" for run in reversed(runs))


def main() -> None:
    """Make the installation, and take the pictures."""
    folder = Path(tempfile.mkdtemp(prefix="mlrepro-pictures-"))
    teams = {"delay": "delay", "aircraft": "fleet"}
    (folder / "tenants.yaml").write_text(TENANTS.format(visibility="shared").replace("tests.web.", "tests.web.pages."))
    (folder / "dagster.yaml").write_text(DAGSTER)
    entries = "\n".join(
        f"  - python_module: {{module_name: tests.web.pages.{name}, location_name: {name}, working_directory: {ROOT}}}"
        for name in teams.values()
    )
    (folder / "workspace.yaml").write_text(WORKSPACE.format(entries=entries))
    variables = {"DAGSTER_HOME": str(folder), "MLREPRO_STORE": str(folder / "store"), "PYTHONPATH": str(ROOT)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        runs = live(folder)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = ["mlrepro", "webserver", "--home", str(folder), "--auth", "none", "--user", "eve", "-p", str(port)]
    programs = Programs(folder)
    tenants = {"MLREPRO_TENANTS": str(folder / "tenants.yaml")}
    with programs.running("webserver", command, environment(**variables, **tenants)):
        programs.wait("the webserver", lambda: answers(f"{address}/healthz"))
        take(address, runs)


def take(address: str, runs: str) -> None:
    """Take each page, light and dark."""
    pages = {
        "overview": ("/mlrepro/", 700),
        "asset": ("/mlrepro/asset?key=delay_model", 800),
        "version": ("/mlrepro/version?of=delay_model@v7", 800),
        "compare": ("/mlrepro/compare?of=delay_model@v7&of=delay_model@v8&of=delay_model@v11", 800),
        "channel": ("/mlrepro/channel?key=delay_model/production", 800),
        "runs": (f"/mlrepro/runs?{runs}", 700),
        "plan": ("/mlrepro/plan?selection=*delay_board", 700),
    }
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("light", "dark"):
            for name, (path, height) in pages.items():
                context = chromium.new_context(
                    base_url=address, color_scheme=scheme, viewport={"width": 1040, "height": height}
                )
                page = context.new_page()
                page.goto(path)
                target = IMAGES / f"page-{name}-{scheme}.png"
                page.screenshot(path=target)
                size = target.stat().st_size
                print(f"{target.relative_to(ROOT)}: {size // 1000} kB{' (too large)' if size > LARGEST else ''}")
                context.close()
        chromium.close()


if __name__ == "__main__":
    main()
