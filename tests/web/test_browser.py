"""A browser's view: what a user may not do is grey, and what they may do works."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import chromium
from tests.deployment.pages import ROOT
from tests.deployment.programs import Programs, environment, free_port
from tests.web.installation import installation_files

pytestmark = pytest.mark.slow


@pytest.fixture
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize(("user", "may_launch"), [("vera", False), ("lars", True)])
def test_only_ones_own_assets_can_be_materialized_and_only_by_a_launcher(
    browser: Any, tmp_path: Path, user: str, may_launch: bool
) -> None:
    installation_files(tmp_path, "shared")
    programs, port = Programs(tmp_path), free_port()
    command = ["mlrepro", "webserver", "--tenants", "tenants.yaml", "--home", ".", "--auth", "none", "--user", user]
    with programs.running("webserver", [*command, "-p", str(port)], environment(PYTHONPATH=str(ROOT))):
        programs.wait_for_port("webserver", port)
        context = browser.new_context(bypass_csp=True, viewport={"width": 1500, "height": 1000})
        context.set_default_timeout(90_000)
        page = context.new_page()
        for team, allowed in (("fleet", False), ("delay", may_launch)):
            page.goto(f"http://127.0.0.1:{port}/assets/{team}_model", wait_until="domcontentloaded")
            button = page.get_by_role("button", name="Materialize").first
            expect(button).to_be_enabled(enabled=allowed, timeout=90_000)
        if may_launch:
            button.click()
            page.get_by_text("Launched run").wait_for()
            asked, done = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
            assert (asked["user"], asked["target"]["assets"]) == ("lars", ["delay_model"])
            assert done["outcome"] == "LaunchRunSuccess"
