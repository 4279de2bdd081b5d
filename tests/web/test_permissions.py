"""Who may do what: each mutation for each role, on one's own code location and on another team's."""

import httpx2
import pytest
from dagster._core.workspace.permissions import LOCATION_SCOPED_PERMISSIONS, Permissions
from dagster_graphql.schema import create_schema

from mlrepro.tenancy import Role
from mlrepro.tenancy.permissions import NEEDED
from mlrepro.web.guards import GUARDS
from tests.web.installation import Installation
from tests.web.mutations import ANYBODY, MUTATIONS, NOBODY, Mutation, Team

USERS = {"vera": Role.VIEWER, "lars": Role.LAUNCHER, "eve": Role.EDITOR, "ada": Role.ADMIN}
"""Of team delay. bob is the other team's administrator, and root is the instance's."""

FAILING = {"shutdownRepositoryLocation", "refreshComponentState"}
"""Dagster itself has nothing to do here, and says so."""


def may(user: str, mutation: Mutation) -> bool:
    """What the table of docs/webserver.md says."""
    if mutation.needs == NOBODY:
        return False
    if mutation.needs == ANYBODY or user == "root":
        return True
    return mutation.needs is not None and user in USERS and USERS[user].rank >= Role(mutation.needs).rank


def refused(response: httpx2.Response) -> str | None:
    """Why a mutation was not made; None if it was."""
    told = response.json()
    if not told.get("data"):
        return str(told["errors"][0]["message"])
    (answer,) = told["data"].values()
    if isinstance(answer, dict) and answer["__typename"] == "UnauthorizedError":
        return str(answer["message"])
    return None


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_role_may_do_what_the_table_says_on_its_own_and_nothing_on_another_teams(
    shared: Installation, mutation: Mutation
) -> None:
    team = Team(shared, "delay")
    variables = mutation.variables(team)
    for user in ("bob", *USERS, "root"):
        before = len(shared.audited())
        why = refused(shared.user(user).post(mutation.query, variables))
        asked, *outcome = shared.audited()[before:]
        assert (why is None) == may(user, mutation) == asked["allowed"], f"{user}: {why}"
        assert (asked["user"], asked["what"], asked["by"]) == (user, mutation.name, "POST")
        assert asked.get("why") == why
        assert [entry["id"] for entry in outcome] == ([asked["id"]] if asked["allowed"] else [])
        if asked["allowed"]:
            assert [entry for entry in outcome if entry.get("error")] == [] or mutation.name in FAILING
            variables = mutation.variables(team)  # what was there may be gone


def test_every_mutation_that_dagster_has_is_in_the_table_and_has_a_guard() -> None:
    mutations = create_schema().graphql_schema.mutation_type
    assert mutations is not None
    assert set(mutations.fields) == {mutation.name for mutation in MUTATIONS} == set(GUARDS)


def test_every_permission_that_dagster_has_is_given_to_a_role() -> None:
    assert set(NEEDED) == set(Permissions)
    assert {name for name, role in NEEDED.items() if role is not None} == LOCATION_SCOPED_PERMISSIONS


def test_a_mutation_that_a_later_dagster_adds_is_refused_until_it_has_a_guard(
    shared: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    from pathlib import Path

    from mlrepro.web import guarded_schema
    from mlrepro.web.audit import AuditLog

    assert isinstance(tmp_path, Path)
    known = {name: guard for name, guard in GUARDS.items() if name != "setNuxSeen"}
    monkeypatch.setattr(guarded_schema, "GUARDS", known)
    schema = guarded_schema.guarded_schema(AuditLog(tmp_path / "audit.jsonl"))
    with _context(shared) as context:
        result = schema.execute("mutation {setNuxSeen}", context=context)
    assert result.errors is not None
    assert "does not know the mutation setNuxSeen" in result.errors[0].message


def test_the_ui_is_told_which_role_it_takes(shared: Installation) -> None:
    query = (
        "{workspaceOrError {... on Workspace {locationEntries {name permissions {permission value disabledReason}}}}}"
    )
    entries = shared.user("vera").post(query).json()["data"]["workspaceOrError"]["locationEntries"]
    told = {entry["name"]: {each["permission"]: each for each in entry["permissions"]} for entry in entries}
    assert told["delay"]["launch_pipeline_execution"] == {
        "permission": "launch_pipeline_execution",
        "value": False,
        "disabledReason": "this takes the role launcher in tenant delay, and yours is viewer",
    }
    assert told["fleet"]["wipe_assets"]["disabledReason"].endswith(
        "role editor in tenant aircraft, and you have none there"
    )


@pytest.mark.parametrize(("user", "may"), [("eve", True), ("lars", False), ("bob", False), ("root", True)])
def test_what_a_location_can_not_serve_is_for_its_team_to_reload(shared: Installation, user: str, may: bool) -> None:
    for name in ("delay@v2", "delay@history"):
        found = _context(shared, user).permissions_for_location(location_name=name)["reload_repository_location"]
        assert found.enabled == may
    assert _context(shared, user).permissions_for_location(location_name="other@v2") == _context(
        shared, user
    ).permissions_for_location(location_name="other")


def test_whoever_is_in_a_group_has_the_groups_role(shared: Installation) -> None:
    mutation = next(each for each in MUTATIONS if each.name == "launchRun")
    for name in ("delay", "fleet"):
        assert refused(shared.user("gina").post(mutation.query, mutation.variables(Team(shared, name)))) is None


def _context(shared: Installation, user: str = "root"):  # type: ignore[no-untyped-def]
    from mlrepro.tenancy import Identity, TenantsFile
    from mlrepro.tenancy.permissions import IdentifiedRequestContext
    from mlrepro.web.people import People

    identity = Identity(user)
    return IdentifiedRequestContext(
        identity=identity,
        access=People(TenantsFile(shared.tenants_file)).access(identity),
        instance=shared.instance(),
        current_workspace=__import__("dagster._core.workspace.workspace", fromlist=["x"]).CurrentWorkspace(
            code_location_entries={}
        ),
        process_context=None,
        version="",
        source=None,
    )
