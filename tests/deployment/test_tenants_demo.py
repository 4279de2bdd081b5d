"""The demo's two teams as two tenants, each with a user in a real browser."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.tenants_installation import TenantsInstallation, signed_in
from tests.deployment.test_ui import FLAGS
from tests.postgres import PostgresError, throwaway_postgres

pytestmark = pytest.mark.slow
pytest.importorskip("dagster_aws", reason="needs the package dagster-aws")
pytest.importorskip("dagster_webserver", reason="needs the package dagster-webserver")
sync_api = pytest.importorskip("playwright.sync_api")

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
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


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


def computed_by(page: Any, site: str, asset: str) -> str:
    """Who computed what an asset holds now, as its page says."""
    page.goto(f"{site}/assets/{asset}?view=events")
    row = page.get_by_role("row").filter(has=page.get_by_text("mlrepro/computed_by", exact=True)).first
    row.wait_for()
    return str(row.text_content()).removeprefix("mlrepro/computed_by")


def materialize_button(page: Any, site: str, asset: str) -> Any:
    page.goto(f"{site}/assets/{asset}?view=events")
    return page.get_by_role("button").filter(has_text="Materialize").first


def test_each_team_launches_its_own_and_only_looks_at_the_others(browser: Any) -> None:
    with installation("shared") as made, signed_in_page(browser, made, ANA) as ana:
        site = made.address
        run = materialize(ana, site, "delay/clean_flights")
        assert computed_by(ana, site, "delay/clean_flights") == ANA
        assert materialize_button(ana, site, "aircraft/clean_flights").is_disabled()

        with signed_in_page(browser, made, BOB) as bob:
            bob.goto(run)  # everybody looks
            bob.get_by_text("Success", exact=True).first.wait_for()
            assert materialize_button(bob, site, "delay/clean_flights").is_disabled()
            materialize(bob, site, "aircraft/clean_flights")
            bob.get_by_text(f"without running it: computed by {ANA}").first.wait_for()
            assert computed_by(bob, site, "aircraft/clean_flights") == ANA


def test_where_they_are_isolated_the_other_teams_work_does_not_exist(browser: Any) -> None:
    with installation("isolated") as made, signed_in_page(browser, made, ANA) as ana:
        delay, aircraft = (f"{made.address}/tenants/{tenant}" for tenant in ("delay", "aircraft"))
        run = materialize(ana, delay, "delay/clean_flights")
        assert computed_by(ana, delay, "delay/clean_flights") == ANA

        with signed_in_page(browser, made, BOB) as bob:
            materialize(bob, aircraft, "aircraft/clean_flights")
            # results go by the bucket, where this tenant reads the shared scope: no instance knows of the other
            bob.get_by_text(f"without running it: computed by {ANA}").first.wait_for()
            bob.goto(f"{aircraft}/assets")
            bob.get_by_text("clean_flights").first.wait_for()
            assert bob.get_by_text("delay").count() == 0
            bob.goto(run.replace("/tenants/delay", "/tenants/aircraft"))
            bob.get_by_text("could not be found").or_(bob.get_by_text("not found")).first.wait_for()
            assert bob.goto(run).status == 404
