"""Take the pictures of docs/pages.md: a team that trained eleven models, in the webserver's pages, light and dark.

    python docs/make_page_pictures.py

It needs Debian's chromium.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, RunsFilter

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from mlrepro import rollback  # noqa: E402 -- after the path
from tests.browser import chromium  # noqa: E402 -- after the path
from tests.deployment.programs import Programs, answers, environment, free_port  # noqa: E402
from tests.web.installation import DAGSTER, TENANTS, WORKSPACE  # noqa: E402
from tests.web.pages.team import definitions, train  # noqa: E402

IMAGES = ROOT / "docs" / "images"
MODELS = [0.42, 0.47, 0.45, 0.52, 0.58, 0.56, 0.61, 0.63, 0.60, 0.68, 0.66]
USERS = ["ana", "ben", "ana", "mia"]
LARGEST = 120_000


def live(folder: Path) -> str:
    """Train, promote, roll back and pin; the ids of the two newest runs that trained, as a page is asked for them."""
    with DagsterInstance.from_config(str(folder)) as instance:
        for place, slope in enumerate(MODELS):
            for team in ("delay", "aircraft") if place < 2 else ("delay",):
                train(definitions(team), instance, team, slope, USERS[place % len(USERS)])
            if place in (7, len(MODELS) - 1):
                back = {"channel": "production", "scope": "delay", "instance": instance, "who": "mia"}
                rollback("delay_model", reason="live error is 0.52, above 0.45", **back)
        train(definitions("aircraft"), instance, "aircraft", 0.02, "tom")
        rollback("delay_features", to=1, reason="until the weather feed is whole again", who="ben", scope="delay")
        runs = instance.get_runs(RunsFilter(job_name="everything"), limit=3)[1:]
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
    variables["MLREPRO_TENANTS"] = str(folder / "tenants.yaml")
    daemon = ["dagster-daemon", "run", "-w", "workspace.yaml"]
    with (
        programs.running("webserver", command, environment(**variables)),
        programs.running("daemon", daemon, environment(**variables)),
        chromium() as browser,
    ):
        programs.wait("the webserver", lambda: answers(f"{address}/healthz"))
        take(browser, address, runs, roll_back(browser, address))


def roll_back(browser: Any, address: str) -> str:
    """Take a channel back by its button; the path of the page that followed the run."""
    context = browser.new_context(base_url=address)
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto("/mlrepro/channel?key=delay_model/production")
    form = page.locator("form[action$='rollback']")
    form.get_by_label("Reason").fill("too many false alarms since Monday")
    form.get_by_role("button").click()
    page.wait_for_url("**/mlrepro/run?**")
    page.locator("[data-follow]").wait_for(state="detached")
    path = str(page.url.removeprefix(address))
    context.close()
    return path


def take(browser: Any, address: str, runs: str, followed: str) -> None:
    """Take each page, light and dark."""
    pages = {
        "overview": ("/mlrepro/", 700),
        "asset": ("/mlrepro/asset?key=delay_model", 800),
        "pin": ("/mlrepro/asset?key=delay_features", 700),
        "version": ("/mlrepro/version?of=delay_model@v7", 800),
        "compare": ("/mlrepro/compare?of=delay_model@v7&of=delay_model@v8&of=delay_model@v11", 800),
        "channel": ("/mlrepro/channel?key=delay_model/production", 800),
        "runs": (f"/mlrepro/runs?{runs}", 700),
        "run": (followed, 700),
        "plan": ("/mlrepro/plan?selection=*delay_board", 700),
    }
    for scheme in ("light", "dark"):
        for name, (path, height) in pages.items():
            size = {"width": 1040, "height": height}
            context = browser.new_context(base_url=address, color_scheme=scheme, viewport=size)
            page = context.new_page()
            page.goto(path)
            target = IMAGES / f"page-{name}-{scheme}.png"
            page.screenshot(path=target)
            large = target.stat().st_size
            print(f"{target.relative_to(ROOT)}: {large // 1000} kB{' (too large)' if large > LARGEST else ''}")
            context.close()


if __name__ == "__main__":
    main()
