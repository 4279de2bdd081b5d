"""The demo's two teams as two tenants, each with a user in a real browser.

With MLREPRO_TEST_PICTURES, a folder, the pictures of docs/webserver.md are taken on the way.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import chromium
from tests.deployment.tenants_installation import TenantsInstallation, signed_in
from tests.postgres import PostgresError, throwaway_postgres

pytestmark = pytest.mark.slow
pytest.importorskip("dagster_aws", reason="needs the package dagster-aws")
pytest.importorskip("dagster_webserver", reason="needs the package dagster-webserver")

ANA, BOB = "ana@example.com", "bob@example.com"


@contextlib.contextmanager
def installation(visibility: str) -> Iterator[TenantsInstallation]:
    # a code server's socket needs a short path
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as folder:
        try:
            with throwaway_postgres() as database:
                made = TenantsInstallation(Path(folder), database, visibility)  # type: ignore[arg-type]
                with made.started():
                    yield made
        except PostgresError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@contextlib.contextmanager
def signed_in_page(browser: Any, made: TenantsInstallation, user: str) -> Iterator[Any]:
    context = browser.new_context(
        bypass_csp=True, viewport={"width": 1500, "height": 1000}, extra_http_headers=signed_in(user)
    )
    context.set_default_timeout(180_000)
    try:
        yield context.new_page()
    finally:
        context.close()


def materialize(page: Any, site: str, asset: str) -> str:
    """Press the button on an asset's page, and follow the run until it has succeeded; the run's address."""
    page.goto(f"{site}/assets/{asset}?view=events")
    page.get_by_role("button").filter(has_text="Materialize").first.click()
    page.get_by_text("Launched run").wait_for()
    page.get_by_role("link", name="View").or_(page.get_by_role("button", name="View")).first.click()
    page.get_by_text("Success", exact=True).first.wait_for()
    return str(page.url)


def runs_shown(page: Any, site: str, run: str) -> str:
    """The list of runs, once a run is in it."""
    page.goto(f"{site}/runs")
    page.get_by_role("link", name=run.rpartition("/")[2][:8]).first.wait_for()
    return str(page.locator("body").inner_text())


def may_only_look(page: Any, site: str, asset: str) -> bool:
    """Whether an asset's page shows it, with a button that can't be pressed."""
    page.goto(f"{site}/assets/{asset}?view=events")
    page.get_by_text("mlrepro/cache").wait_for()
    button = page.get_by_role("button").filter(has_text="Materialize").first
    button.hover(force=True)
    page.get_by_text("You do not have permission").wait_for()
    return bool(button.is_disabled())


def picture(page: Any, name: str) -> None:
    if folder := os.environ.get("MLREPRO_TEST_PICTURES"):
        page.set_viewport_size({"width": 1220, "height": 640})
        page.wait_for_timeout(3000)
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_each_team_launches_its_own_and_only_looks_at_the_others(browser: Any) -> None:
    with installation("shared") as made, signed_in_page(browser, made, ANA) as ana:
        site = made.address
        run = materialize(ana, site, "delay/clean_flights")
        assert f"user: {ANA}" in runs_shown(ana, site, run)

        with signed_in_page(browser, made, BOB) as bob:
            hit = materialize(bob, site, "aircraft/clean_flights")
            bob.get_by_text(f"without running it: computed by {ANA}").first.wait_for()
            shown = runs_shown(bob, site, hit)
            assert f"user: {BOB}" in shown
            assert f"user: {ANA}" in shown, "everybody looks"
            assert may_only_look(bob, site, "delay/clean_flights")
            picture(bob, "tenants-shared")
        assert may_only_look(ana, site, "aircraft/clean_flights")
        attempts = [json.loads(line) for line in made.audit.read_text().splitlines()]
        launched = [each for each in attempts if each.get("what") == "launchPipelineExecution"]
        assert [(each["user"], each["tenants"]) for each in launched] == [(ANA, ["delay"]), (BOB, ["aircraft"])]


def test_where_they_are_isolated_the_other_teams_work_does_not_exist(browser: Any) -> None:
    with installation("isolated") as made, signed_in_page(browser, made, ANA) as ana:
        delay, aircraft = (f"{made.address}/tenants/{tenant}" for tenant in ("delay", "aircraft"))
        run = materialize(ana, delay, "delay/clean_flights")
        assert f"user: {ANA}" in runs_shown(ana, delay, run)

        with signed_in_page(browser, made, BOB) as bob:
            hit = materialize(bob, aircraft, "aircraft/clean_flights")
            # results go by the bucket, where this tenant reads the shared scope: no instance knows of the other
            bob.get_by_text(f"without running it: computed by {ANA}").first.wait_for()
            shown = runs_shown(bob, aircraft, hit)
            assert f"user: {BOB}" in shown
            assert ANA not in shown
            bob.goto(f"{aircraft}/asset-groups")
            bob.get_by_text("risk_scores").first.wait_for()
            assert bob.get_by_text("arrival_model").count() == 0
            picture(bob, "tenants-isolated")
            for page in (delay, run, f"{delay}/graphql", f"{delay}/download_debug/{run.rpartition('/')[2]}"):
                assert bob.goto(page).status == 404
            answer = bob.request.get(f"{aircraft}/download_debug/{run.rpartition('/')[2]}")
            assert answer.status == 404, "nor is the run in his own instance"
