"""What a team does in a browser: a real webserver, a real daemon, real runs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from mlrepro import rollback
from mlrepro.catalog.channels import ChannelName, newest_entry
from mlrepro.catalog.pins import pins
from mlrepro.store import open_store
from tests.deployment.pages import ROOT
from tests.deployment.programs import Programs, answers, environment, free_port
from tests.web.installation import DAGSTER, TENANTS, WORKSPACE
from tests.web.pages.team import definitions, train

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = pytest.mark.slow


class Site:
    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder = address, folder

    def serves(self) -> int | None:
        entry = newest_entry(open_store(str(self.folder / "store"), scope="delay"), MODEL)
        return entry.after.number if entry and entry.after else None


MODEL = ChannelName(("delay_model",), "production")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A model of which v1 and v2 were trained and promoted, its webserver and its daemon."""
    folder = tmp_path_factory.mktemp("flow")
    (folder / "tenants.yaml").write_text(TENANTS.format(visibility="shared").replace("tests.web.", "tests.web.pages."))
    (folder / "dagster.yaml").write_text(DAGSTER)
    entries = "\n".join(
        f"  - python_module: {{module_name: tests.web.pages.{name}, location_name: {name}, working_directory: {ROOT}}}"
        for name in ("delay", "fleet")
    )
    (folder / "workspace.yaml").write_text(WORKSPACE.format(entries=entries))
    variables = {
        "DAGSTER_HOME": str(folder),
        "MLREPRO_STORE": str(folder / "store"),
        "MLREPRO_PAGES": "/mlrepro",
        "PYTHONPATH": str(ROOT),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        with DagsterInstance.from_config(str(folder)) as instance:
            for slope, user in ((0.5, "ana"), (0.6, "ben")):
                assert train(definitions("delay"), instance, "delay", slope, user).success
    programs = Programs(folder)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    webserver = ["mlrepro", "webserver", "--home", str(folder), "--auth", "none", "--user", "eve", "-p", str(port)]
    variables["MLREPRO_TENANTS"] = str(folder / "tenants.yaml")
    with (
        programs.running("webserver", webserver, environment(**variables)),
        programs.running("daemon", ["dagster-daemon", "run", "-w", "workspace.yaml"], environment(**variables)),
    ):
        programs.wait("the webserver", lambda: answers(f"{address}/healthz"))
        yield Site(address, folder)


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def page(chromium, site: Site) -> Iterator[object]:
    context = chromium.new_context(base_url=site.address, viewport={"width": 1280, "height": 860})
    context.set_default_timeout(60_000)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
    opened.on(
        "request", lambda sent: None if sent.url.startswith((site.address, "data:")) else complaints.append(sent.url)
    )
    yield opened
    context.close()
    assert not complaints, "nothing is loaded from elsewhere, and the policy stops nothing of our own"


def test_a_model_is_compared_rolled_back_by_click_and_promoted_again(page, site: Site) -> None:
    page.goto("/mlrepro/")
    page.get_by_label("Search").fill("delay_model")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="delay_model", exact=True).click()
    page.get_by_role("link", name=re.compile("v2: 0.6")).first.wait_for()  # a point of the plot

    page.get_by_role("button", name="Compare what is ticked").click()
    page.get_by_role("row", name=re.compile(r"^slope 0\.5 0\.6|^slope 0\.6 0\.5")).first.wait_for()
    page.go_back()

    page.get_by_role("link", name="production serves v2").click()
    form = page.get_by_role("form", name="Roll back to v1")
    assert "delay_predictions v2 → v1 from the cache" in " ".join(form.inner_text().split())
    assert "delay_board v2 → v1 from the cache" in " ".join(form.inner_text().split())
    form.get_by_label("Reason").fill("a bad <b>month</b>")
    form.get_by_role("button", name="Roll back to v1").click()

    # the run is followed without a further click, until what stands downstream is back
    page.wait_for_url("**/mlrepro/run?**")
    page.get_by_text("delay_model/production: v2 -> v1 (rollback").first.wait_for()
    page.get_by_role("heading", name="What stands downstream").wait_for()
    page.get_by_text("2 from the cache").first.wait_for()
    page.locator("[data-follow]").wait_for(state="detached")
    assert site.serves() == 1

    page.get_by_role("link", name="Back to the channel").click()
    row = page.get_by_role("row").filter(has_text="rollback").first
    assert "a bad <b>month</b>" in row.inner_text()
    assert "eve" in row.inner_text()
    assert page.locator("svg .rollback path.arrow").count() >= 1, "it is seen on the line"

    page.get_by_role("form", name="Release from quarantine").get_by_role("button", name="Release").click()
    page.get_by_text("the version may be promoted again").first.wait_for()
    page.get_by_role("link", name="Back to the channel").click()
    promotion = page.get_by_role("form", name="Promote by hand")
    promotion.get_by_label("Version").select_option(label="v2")
    promotion.get_by_label("Reason").fill("it was the month")
    promotion.get_by_role("button", name="Promote").click()
    page.get_by_text("delay_model/production: v1 -> v2 (promotion").first.wait_for()
    page.get_by_text("2 from the cache").first.wait_for()
    assert site.serves() == 2
    who = newest_entry(open_store(str(site.folder / "store"), scope="delay"), MODEL)
    assert (who.who, who.reason) == ("eve", "it was the month")


def test_a_pin_is_released_by_click(page, site: Site) -> None:
    url = str(site.folder / "store")
    rollback("delay_features", to=1, reason="a <b>bad</b> day", store=url, scope="delay", who="ana")
    page.goto("/mlrepro/asset?key=delay_features")
    assert "pinned at v1 by ana" in page.locator("main").inner_text()
    form = page.get_by_role("form", name="Release the pin")
    form.get_by_label("Reason").fill("a good day")
    form.get_by_role("button", name="Release the pin").click()

    page.wait_for_url("**/mlrepro/run?**")
    page.locator("[data-follow]").wait_for(state="detached")
    assert not pins(open_store(url, scope="delay"))
    page.get_by_role("link", name="Back to the asset").click()
    page.get_by_role("heading", name="Versions", exact=True).wait_for()
    assert "pinned at" not in page.locator("main").inner_text()


def test_dagsters_own_pages_lead_here_and_back(page, site: Site) -> None:
    page.goto("/assets/delay_model?view=events")
    with page.context.expect_page() as opened:  # Dagster opens such links in a new tab
        page.locator("a[href*='/mlrepro/version']").first.click()
    page = opened.value
    page.get_by_role("heading", name="delay_model v2").wait_for()
    page.get_by_role("link", name="delay_model", exact=True).first.click()
    page.get_by_role("link", name="Open in Dagster").click()
    page.wait_for_url("**/assets/delay_model**")


PAGES = {
    "overview": "/mlrepro/",
    "asset": "/mlrepro/asset?key=delay_model",
    "version": "/mlrepro/version?of=delay_model@v2",
    "compare": "/mlrepro/compare?of=delay_model@v1&of=delay_model@v2",
    "channel": "/mlrepro/channel?key=delay_model/production",
    "runs": "/mlrepro/runs",
    "plan": "/mlrepro/plan?selection=*delay_board",
    "problem": "/mlrepro/asset?key=nobody",
}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(chromium, site: Site, name: str, scheme: str, width: int) -> None:
    context = chromium.new_context(
        base_url=site.address, color_scheme=scheme, viewport={"width": width, "height": 860}, bypass_csp=True
    )
    page = context.new_page()
    page.goto(PAGES[name])
    found = axe.Axe().run(page).response["violations"]
    serious = [
        (each["id"], each["nodes"][0]["html"][:200], each["nodes"][0].get("failureSummary", "")[:300])
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]
    assert not serious, json.dumps(serious, indent=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page itself does not scroll sideways"
    assert page.title().endswith("mlrepro")
    context.close()


def test_everything_is_reached_by_keyboard(page, site: Site) -> None:
    page.goto("/mlrepro/channel?key=delay_model/production")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    seen: list[str] = []
    for _ in range(150):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break  # all were visited
        seen.append(page.evaluate("document.activeElement.textContent.trim().slice(0, 40)"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", seen[-1]
    assert {"Promote", "Roll back to v1", "Release"} & set(seen), "the buttons among them"
