"""Take the pictures of the README with Dagster's own webserver and a browser: `make pictures`, after `make demo`.

It needs Debian's chromium.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser import chromium  # noqa: E402 -- after the path

IMAGES = ROOT / "docs" / "images"
HOME = ROOT / ".demo" / "home"


@contextlib.contextmanager
def webserver() -> Iterator[str]:
    """Serve the demo's project and history; the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    program = Path(sys.executable).with_name("dagster-webserver")
    server = subprocess.Popen(
        [program, "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)],
        cwd=ROOT / "deployment",
        env={**os.environ, "DAGSTER_HOME": str(HOME)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(120):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/server_info", timeout=5).close()
                yield address
                return
            time.sleep(1)
        sys.exit("dagster-webserver did not answer")
    finally:
        server.terminate()
        server.wait(30)


@contextlib.contextmanager
def browser(address: str, width: int, height: int) -> Iterator[Page]:
    """Open a browser window of a size, its navigation folded."""
    with chromium() as started:
        context = started.new_context(bypass_csp=True, base_url=address, viewport={"width": width, "height": height})
        page = context.new_page()
        page.goto("/asset-groups")
        page.get_by_text("Hide navigation").click()
        yield page


def take_hit(page: Page) -> None:
    """The features of team aircraft, that team delay computed."""
    page.goto("/assets/aircraft/flight_features?view=events")
    page.get_by_text("mlrepro/computed_by").wait_for()
    page.wait_for_timeout(2000)
    page.screenshot(path=IMAGES / "hit.png")


def take_lineage(page: Page) -> None:
    """Both teams' assets, from the tables on."""
    page.goto("/asset-groups")
    page.get_by_text("aircraft").last.wait_for()
    page.wait_for_timeout(2000)
    page.mouse.click(page.viewport_size["width"] * 0.7, page.viewport_size["height"] * 0.9)
    page.keyboard.press("Alt+e")
    page.get_by_text("risk_evaluation").last.wait_for()
    page.reload()  # so that the whole graph is fitted into the window
    page.get_by_text("risk_evaluation").last.wait_for()
    page.wait_for_timeout(4000)
    page.screenshot(path=IMAGES / "lineage.png")


def main() -> None:
    """Take them all."""
    if not HOME.exists():
        sys.exit("there is nothing to show yet: make demo")
    IMAGES.mkdir(exist_ok=True)
    with webserver() as address:
        with browser(address, 1220, 910) as page:
            take_hit(page)
        with browser(address, 1500, 1080) as page:
            take_lineage(page)
    for image in sorted(IMAGES.glob("*.png")):
        print(f"{image.relative_to(ROOT)}: {image.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
