"""A version that can't be served: the one before stays in service, and both UIs say what is wrong."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlrepro.bundles.service_state import Problem, libraries, problem_of
from mlrepro.catalog.workflows import append_rollback, current_version
from mlrepro.store.keys import blob_key
from tests.browser import chromium
from tests.bundles.installation import Installation
from tests.bundles.project import PROJECT, definitions

VERSION = "can't be served, pricing@v1 stays in service: "


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ({}, None),
        ({"dagster": "1.13.27", "pricing@v4": "in service"}, None),
        (libraries("pricing", "pricing@v4", None), None),
        (libraries("pricing", "pricing@v4", Problem("v5", "no")), Problem("v5", "no")),
        (libraries("pricing", "pricing@v4", Problem("history", "no")), Problem("history", "no")),
        (libraries("pricing", "pricing@v4", Problem("v4", "no")), Problem("v4", "no")),
        ({"churn@v5": "of another team's location"}, None),
        ({"pricing": "takes the place of the location"}, None),
        ({"pricing@v0": "is no version"}, None),
        ({"pricing@v5/../..": "is no version"}, None),
        ({"pricing@v5": "x" * 9000}, Problem("v5", "x" * 2000)),
    ],
)
def test_what_a_code_server_says_of_itself(shown: Mapping[str, str], found: Problem | None) -> None:
    assert problem_of("pricing", shown) == found


@pytest.fixture
def installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="mlrepro-") as folder:  # a code server's socket needs a short path
        yield Installation(Path(folder))


def cached(factor: int) -> dict[str, str]:
    return {**PROJECT, "pricing/definitions.py": definitions(factor)}


BY_SHOP = """
@ml_asset(partitions_def=dg.DynamicPartitionsDefinition(name="shops"))
def by_shop() -> int:
    return 1
"""
ADD_SHOP = """mutation { addDynamicPartition(partitionKey: "berlin", partitionsDefName: "shops", repositorySelector:
    {repositoryLocationName: "pricing", repositoryName: "__repository__"}) { __typename
    ... on UnauthorizedError { message } ... on PythonError { message } } }"""


def partitioned() -> dict[str, str]:
    source = definitions(1, BY_SHOP).replace("[numbers, total]", "[numbers, total, by_shop]")
    return {**PROJECT, "pricing/definitions.py": source}


def broken(installation: Installation, number: int, **differing: Any) -> None:
    """Append a version that nobody can serve, which `mlrepro push` would never do."""
    now = current_version(installation.store, "pricing")
    assert now is not None
    body = {**now.body, "kind": "push", "of": number, **differing}
    installation.store.append(("locations", "pricing"), lambda newest: body)


def missing(installation: Installation, number: int) -> None:
    now = current_version(installation.store, "pricing")
    assert now is not None
    broken(installation, number, bundle={**now.body["bundle"], "content_hash": "5eed" * 16})


def damaged(installation: Installation) -> None:
    """Push a good version, then lose a file of it in the store and on this machine before anybody serves it."""
    packed = installation.push(cached(2) | {"pricing/query.sql": "select 2\n"}).packed
    tree = installation.folder / "cache" / packed.digest
    tree.rename(installation.folder / "away")
    installation.store._objects.delete(blob_key("default", packed.manifest.entries["pricing/query.sql"].digest))


@pytest.mark.slow
def test_dagster_s_own_webserver_shows_it_among_the_libraries(installation: Installation) -> None:
    installation.push(cached(1))
    with installation.code_server(), installation.webserver():
        installation.wait("the first version", lambda: installation.libraries().get("pricing@v1") == "in service")
        served = installation.code_versions()

        missing(installation, 2)
        installation.wait("v2", lambda: "pricing@v2" in installation.libraries())
        told = installation.libraries()["pricing@v2"]
        assert told.startswith(f"{VERSION}the code bundle 5eed5eed5eed can't be read from")
        assert f"pricing@v2 {told}" in installation.log()
        assert installation.code_versions() == served
        assert installation.locations() == {"pricing": None}

        append_rollback(installation.store, "pricing", 1, who="ben")
        installation.wait(
            "v1", lambda: installation.libraries().keys() & {"pricing@v1", "pricing@v2"} == {"pricing@v1"}
        )
        assert "pricing@v1 of code location pricing is what is wanted" in installation.log()

        (installation.folder / "store").rename(installation.folder / "lost")
        installation.wait("the history", lambda: "pricing@history" in installation.libraries())
        assert installation.code_versions() == served
        (installation.folder / "lost").rename(installation.folder / "store")
        installation.wait("it to be well", lambda: "pricing@history" not in installation.libraries())


@pytest.mark.slow
def test_our_webserver_shows_a_failed_location_beside_the_one_in_service(installation: Installation) -> None:
    installation.push(partitioned())
    with installation.code_server(), installation.webserver(ours=True):
        installation.wait("the first version", lambda: installation.libraries().get("pricing@v1") == "in service")
        served = installation.code_versions()

        broken(installation, 2, module="pricing.nothing")
        installation.wait("v2", lambda: "pricing@v2" in installation.locations())
        assert "No module named 'pricing.nothing'" in (installation.locations()["pricing@v2"] or "")
        assert installation.locations()["pricing"] is None
        assert installation.code_versions() == served

        with chromium() as browser:
            page = browser.new_context(bypass_csp=True, viewport={"width": 1500, "height": 1000}).new_page()
            page.set_default_timeout(90_000)
            page.goto(f"{installation.url}/locations", wait_until="domcontentloaded")
            row = page.locator("[data-index]").filter(has_text="pricing@v2")
            row.get_by_text("Failed").wait_for()
            row.get_by_text("View error").click()
            page.get_by_text(
                "stays in service: ModuleNotFoundError: No module named 'pricing.nothing'"
            ).first.wait_for()
            page.goto(f"{installation.url}/assets/total", wait_until="domcontentloaded")
            page.get_by_role("button", name="Materialize").first.wait_for()

        added = installation.ask(ADD_SHOP)["addDynamicPartition"]
        assert added == {"__typename": "AddDynamicPartitionSuccess"}, "what failed is no location of somebody else"

        # the reload button of the row that failed
        reload = """mutation { reloadRepositoryLocation(repositoryLocationName: "pricing@v2") { __typename
            ... on WorkspaceLocationEntry { name } } }"""
        answer = {"__typename": "WorkspaceLocationEntry", "name": "pricing@v2"}
        assert installation.ask(reload)["reloadRepositoryLocation"] == answer
        damaged(installation)
        installation.wait("v3", lambda: "pricing@v3" in installation.locations())
        assert "pricing/query.sql" in (installation.locations()["pricing@v3"] or "")
        assert installation.code_versions() == served
        installation.push(cached(3))
        installation.wait("v4", lambda: installation.libraries().get("pricing@v4") == "in service")
        assert installation.locations() == {"pricing": None}
