"""Two teams with models, and the webserver that shows them."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dagster import DagsterInstance
from lxml import html

from mlrepro import rollback
from mlrepro.store import Store, open_store
from mlrepro.tenancy import TenantsFile
from mlrepro.web.assembly import Settings, application
from mlrepro.web.witness import Witness
from tests.deployment.pages import ROOT
from tests.web.installation import DAGSTER, TENANTS, WORKSPACE, Installation, Vouching
from tests.web.pages.team import definitions, train

TEAMS = {"delay": "delay", "aircraft": "fleet"}


class Shop(Installation):
    """The webserver, and the store behind it."""

    @property
    def store_url(self) -> str:
        return str(self.folder / "store")

    def store(self, scope: str) -> Store:
        return open_store(self.store_url, scope=scope)

    def page(self, path: str, user: str = "eve", tenant: str | None = None) -> html.HtmlElement:
        """A page that is there, as a browser reads it."""
        answer = self.user(user, tenant).request("GET", f"/mlrepro{path}")
        assert answer.status_code == 200, answer.text
        return html.fromstring(answer.text)

    def json(self, path: str, user: str = "eve", tenant: str | None = None, status: int = 200):
        """What a page's twin answers."""
        answer = self.user(user, tenant).request("GET", f"/mlrepro/api{path}")
        assert answer.status_code == status, answer.text
        return answer.json()


@contextlib.contextmanager
def shop(folder: Path, visibility: str) -> Iterator[Shop]:
    """Train, promote and roll back in both teams, then serve it all."""
    homes = {"": TEAMS} if visibility == "shared" else {team: {team: TEAMS[team]} for team in TEAMS}

    def live(instance: DagsterInstance, home: str) -> None:
        for team in homes[home]:
            _live(instance, team)

    modules = {home: {location: location for location in teams.values()} for home, teams in homes.items()}
    with serving(folder, visibility, modules, live) as found:
        yield found


@contextlib.contextmanager
def serving(
    folder: Path,
    visibility: str,
    homes: Mapping[str, Mapping[str, str]],
    live: Callable[[DagsterInstance, str], None],
    *,
    store: str | None = None,
) -> Iterator[Shop]:
    """Serve code locations, by the modules of theirs in this folder, for each of Dagster's homes."""
    (folder / "tenants.yaml").write_text(
        TENANTS.format(visibility=visibility).replace("tests.web.", "tests.web.pages.")
    )
    before = dict(os.environ)
    os.environ["MLREPRO_STORE"] = store or str(folder / "store")
    try:
        for home, modules in homes.items():
            (folder / home).mkdir(exist_ok=True)
            (folder / home / "dagster.yaml").write_text(DAGSTER)
            entries = "\n".join(
                f"  - python_module: {{module_name: tests.web.pages.{module}, location_name: {location},"
                f" working_directory: {ROOT}}}"
                for location, module in modules.items()
            )
            (folder / home / "workspace.yaml").write_text(WORKSPACE.format(entries=entries))
            with DagsterInstance.from_config(str(folder / home)) as instance:
                live(instance, home)
        settings = Settings(tenants=TenantsFile(folder / "tenants.yaml"), home=folder)
        with application(settings) as (app, audit):
            yield Shop(folder, Witness(Vouching(app, {"gina": {"both"}}), audit=audit))
    finally:
        os.environ.clear()
        os.environ.update(before)


def _live(instance: DagsterInstance, team: str) -> None:
    """v1 and v2 were promoted, v2 was rolled back, and v3 did not pass its gate."""
    defs = definitions(team)
    assert train(defs, instance, team, 0.5, "ana").success
    assert train(defs, instance, team, 0.6, "ben").success
    rollback(
        f"{team}_model",
        channel="production",
        reason="too <b>steep</b>",
        scope=team,
        instance=instance,
        who="ana",
    )
    assert not train(defs, instance, team, 0.01, "ben").success
