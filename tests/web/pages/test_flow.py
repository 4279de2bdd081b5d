"""What a team does in a browser: a real webserver, a real daemon, real runs."""

import contextlib
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

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = pytest.mark.slow


class Site:
    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder = address, folder
        self.runs: list[str] = []
        """Those that trained, oldest first."""

    def serves(self) -> int | None:
        entry = newest_entry(open_store(str(self.folder / "store"), scope="delay"), MODEL)
        return entry.after.number if entry and entry.after else None


MODEL = ChannelName(("delay_model",), "production")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, chromium) -> Iterator[Site]:
    """A webserver and a daemon, and a model whose v1 and v2 eve has trained by the buttons of Dagster's own pages."""
    folder = tmp_path_factory.mktemp("flow")
    (folder / "tenants.yaml").write_text(TENANTS.format(visibility="shared").replace("tests.web.", "tests.web.pages."))
    (folder / "dagster.yaml").write_text(DAGSTER)
    server = free_port()
    entries = (
        f"  - grpc_server: {{host: 127.0.0.1, port: {server}, location_name: delay}}\n"  # as in a container of its own
        f"  - python_module: {{module_name: tests.web.pages.fleet, location_name: fleet, working_directory: {ROOT}}}"
    )
    (folder / "workspace.yaml").write_text(WORKSPACE.format(entries=entries))
    variables = {
        "DAGSTER_HOME": str(folder),
        "MLREPRO_STORE": str(folder / "store"),
        "MLREPRO_PAGES": "/mlrepro",
        "PYTHONPATH": str(ROOT),
    }
    with DagsterInstance.from_config(str(folder)):
        pass  # its databases, which programs that all start now would make at once, and trip over each other
    programs = Programs(folder)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    webserver = ["mlrepro", "webserver", "--home", str(folder), "--auth", "none", "--user", "eve", "-p", str(port)]
    variables["MLREPRO_TENANTS"] = str(folder / "tenants.yaml")
    code = ["dagster", "api", "grpc", "-m", "tests.web.pages.delay", "-d", str(ROOT), "-p", str(server)]
    with contextlib.ExitStack() as running:
        running.enter_context(programs.running("code", code, environment(**variables)))
        programs.wait_for_port("the code server", server)
        running.enter_context(programs.running("webserver", webserver, environment(**variables)))
        daemon = ["dagster-daemon", "run", "-w", "workspace.yaml"]
        running.enter_context(programs.running("daemon", daemon, environment(**variables)))
        programs.wait("the webserver", lambda: answers(f"{address}/healthz"))
        found = Site(address, folder)
        train(chromium, found)
        yield found


def train(chromium, site: Site) -> None:
    """Materialize all as it stands, then with another slope from the launchpad."""
    context = chromium.new_context(base_url=site.address, viewport={"width": 1280, "height": 860})
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto("/locations/delay/jobs/everything")
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_text("Launched run").wait_for()
    page.get_by_role("link", name="View").or_(page.get_by_role("button", name="View")).first.click()
    site.runs.append(succeeded(page))

    page.goto("/locations/delay/jobs/everything/playground")
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("ops: {delay_model: {config: {slope: 0.6}}}")
    page.get_by_role("button", name="Launch Run").click()
    site.runs.append(succeeded(page))
    context.close()


def succeeded(page) -> str:
    """Id of the run that a page shows, once it has succeeded."""
    page.wait_for_url("**/runs/*")
    page.get_by_text("Success", exact=True).first.wait_for()
    return str(page.url.rpartition("/")[2].partition("?")[0])


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


def test_a_model_that_was_trained_is_seen_with_who_did_it_and_what_changed(page, site: Site) -> None:
    page.goto("/mlrepro/asset?key=delay_model")
    second = page.get_by_role("row").filter(has=page.get_by_role("link", name="v2", exact=True))
    assert "by eve" in second.inner_text()
    assert "slope 0.5 -> 0.6" in second.inner_text()
    second.get_by_role("link", name=f"run {site.runs[1][:8]}").click()
    page.wait_for_url(f"**/runs/{site.runs[1]}*")

    page.goto(f"/mlrepro/runs?of={site.runs[0]}&of={site.runs[1]}")
    features = page.get_by_role("row").filter(has_text="delay_features")
    assert "hit" in features.inner_text()
    assert "computed by eve" in features.inner_text()


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


def test_the_code_itself_tells_what_a_run_would_find(page, site: Site) -> None:
    page.goto("/mlrepro/plan")
    page.get_by_label("Selection").fill("+delay_model")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Ask its code what a run would find").click()
    page.wait_for_url("**/mlrepro/plan?**asked=**")
    table = page.get_by_role("region", name="What a run would find")
    table.wait_for()
    rows = [" ".join(row.inner_text().split()) for row in table.get_by_role("row").all()[1:]]
    assert [row.partition(" computed by eve")[0] for row in rows] == ["delay_features v1 hit", "delay_model v3 hit"]
    # v3, as the newest version was made with another config
    assert "asked by eve, for its default config" in page.locator("#followed").inner_text()


def test_dagsters_own_pages_lead_here_and_back(page, site: Site) -> None:
    page.goto("/assets/delay_model?view=events")
    with page.context.expect_page() as opened:  # Dagster opens such links in a new tab
        page.locator("a[href*='/mlrepro/version']").first.click()
    page = opened.value
    page.get_by_role("heading", name="delay_model v2").wait_for()
    page.get_by_role("link", name="delay_model", exact=True).first.click()
    page.get_by_role("link", name="Open in Dagster").click()
    page.wait_for_url("**/assets/delay_model**")


FOCUSED = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]"

PAGES = {
    "overview": "/mlrepro/",
    "asset": "/mlrepro/asset?key=delay_model",
    "version": "/mlrepro/version?of=delay_model@v2",
    "compare": "/mlrepro/compare?of=delay_model@v1&of=delay_model@v2",
    "channel": "/mlrepro/channel?key=delay_model/production",
    "pin": "/mlrepro/asset?key=delay_evaluation",
    "runs": "/mlrepro/runs",
    "runs compared": "/mlrepro/runs?of={runs[0]}&of={runs[1]}",
    "run": "/mlrepro/run?id={runs[1]}&back=delay_model/production",
    "plan": "/mlrepro/plan?selection=*delay_board",
    "problem": "/mlrepro/asset?key=nobody",
}


@pytest.fixture(scope="module")
def _pinned(site: Site) -> None:
    store = {"store": str(site.folder / "store"), "scope": "delay"}
    rollback("delay_evaluation", to=1, reason="the new labels are wrong", who="ana", **store)


@pytest.mark.usefixtures("_pinned")
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing(chromium, site: Site, name: str, scheme: str, width: int) -> None:
    context = chromium.new_context(
        base_url=site.address, color_scheme=scheme, viewport={"width": width, "height": 860}, bypass_csp=True
    )
    page = context.new_page()
    page.goto(PAGES[name].format(runs=site.runs))
    found = axe.Axe().run(page).response["violations"]
    told = [
        (each["impact"], each["id"], each["nodes"][0]["html"][:200], each["nodes"][0].get("failureSummary", "")[:300])
        for each in found
    ]
    assert not told, json.dumps(told, indent=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page itself does not scroll sideways"
    assert page.title().endswith("mlrepro")
    context.close()


@pytest.mark.usefixtures("_pinned")
@pytest.mark.parametrize("name", [name for name in PAGES if name != "problem"])
def test_everything_is_reached_by_keyboard_in_the_order_in_which_it_stands(page, site: Site, name: str) -> None:
    page.goto(PAGES[name].format(runs=site.runs))
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"
    wanted = page.evaluate(f"[...document.querySelectorAll({FOCUSED!r})].filter(each => each.checkVisibility()).length")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    seen: list[int] = []
    while not page.evaluate("document.activeElement === document.body"):
        seen.append(page.evaluate(f"[...document.querySelectorAll({FOCUSED!r})].indexOf(document.activeElement)"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        assert len(seen) <= wanted, "nobody is caught"
        page.keyboard.press("Tab")
    assert seen == sorted(seen)
    assert len(seen) == wanted
